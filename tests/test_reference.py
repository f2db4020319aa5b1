"""The public names are what they are said to be, and each has its place in the reference."""

import ast
import inspect
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module, util
from pathlib import Path

import griffe
import pytest

import opspo

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
PACKAGES = ["opspo", "opspo.estimators", "opspo.objectives", "opspo.update", "opspo.state_weights"]
PUBLIC = [f"{name}.{symbol}" for name in PACKAGES for symbol in import_module(name).__all__]
PLACES = Counter(
    name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
)


def tool(name):
    """A file of tools/ as a module."""
    spec = util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_has_its_place_in_the_reference():
    missing = sorted(set(PUBLIC) - set(PLACES))
    assert not missing, f"Give a line `::: name` on a page of docs/reference to: {missing}"
    assert max(PLACES.values()) == 1, PLACES.most_common(3)


def test_the_reference_has_no_other_names():
    assert set(PLACES) <= set(PUBLIC)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_there_and_documented(name):
    package = import_module(name)
    for symbol in package.__all__:
        value = getattr(package, symbol)
        if inspect.isfunction(value) or inspect.isclass(value) or inspect.ismodule(value):
            assert value.__doc__, symbol


def test_what_type_checkers_see_is_what_is_loaded():
    """The imports under TYPE_CHECKING, the table of modules and `__all__` are the same names."""
    (block,) = [
        node
        for node in ast.parse(Path(opspo.__file__).read_text()).body
        if isinstance(node, ast.If)
    ]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == opspo._PUBLIC
    assert set(opspo.__all__) == set(opspo._PUBLIC)


def test_settings_and_errors_need_no_jax():
    program = (
        "import sys, opspo; opspo.TrainConfig(algorithm=opspo.OPSPOConfig()); opspo.RunError; "
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("link", "on", "becomes"),
    [
        ("docs/runs.md#extending", "README.md", "runs.md#extending"),
        ("docs/figures/smax_3m.png", "README.md", "figures/smax_3m.png"),
        ("LICENSE", "README.md", "source/LICENSE.md"),
        ("../paper.md", "docs/algorithms/opspo.md", "../paper.md"),
        (
            "../../src/opspo/errors.py",
            "docs/algorithms/opspo.md",
            "../source/src/opspo/errors.py.md",
        ),
        ("../CONTRIBUTING.md", "docs/architecture.md", "contributing.md"),
        ("../benchmarks/notes.md", "docs/speed.md", "source/benchmarks/notes.md"),
        ("../src/opspo/nowhere.py", "docs/speed.md", "../src/opspo/nowhere.py"),
        ("https://example.org/a.md", "README.md", "https://example.org/a.md"),
    ],
)
def test_links_that_github_follows_lead_to_pages_of_the_site(link, on, becomes):
    pages = tool("site_pages")
    page = pages.place(ROOT / on)
    assert pages.turned(f"see [it]({link}).", ROOT / on, page) == f"see [it]({becomes})."
    fenced = f"```python\na[0](docs/runs.md)\n```\n[x]({link})\n"
    assert "a[0](docs/runs.md)" in pages.turned(fenced, ROOT / on, page)


def test_what_is_linked_becomes_a_page():
    pages = tool("site_pages")
    text = "[a](src/opspo/errors.py), [b](docs/runs.md), [c](nowhere.py)"
    assert pages.linked(text, ROOT / "README.md") == [ROOT / "src/opspo/errors.py"]
    assert "class ConfigError" in pages.shown(ROOT / "src" / "opspo" / "errors.py")
    assert "- `test_steps.py`" in pages.shown(ROOT / "tests" / "algorithms")
    assert "```python\nimport" in pages.shown(ROOT / "examples" / "quickstart.ipynb")


def test_an_entry_for_several_arguments_documents_each():
    text = """A sum.

    Args:
        x, y: [T, ...], of
            one shape.
        gamma, gae_lambda: γ, λ.
        low, high: ends of the range, low ≤ high.

    Returns:
        a, b: of them.
    """
    extensions = griffe.load_extensions(str(ROOT / "tools" / "griffe_arguments.py"))
    code = f'def f(x, y, gamma, gae_lambda, low, high):\n    """{text}"""\n'
    with griffe.temporary_visited_package(
        "package", {"__init__.py": code}, extensions=extensions
    ) as module:
        args, *_ = [
            part
            for part in module["f"].docstring.parse("google", returns_named_value=False)
            if part.kind is griffe.DocstringSectionKind.parameters
        ]
    said = {item.name: item.description for item in args.value}
    assert said["x"] == said["y"] == "[T, ...], of\none shape."
    assert (said["gamma"], said["gae_lambda"]) == ("γ.", "λ.")
    assert said["low"] == said["high"] == "ends of the range, low ≤ high."
