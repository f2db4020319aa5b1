"""What the tree promises: imports go one way, and the names of settings lead to functions."""

import ast
import dataclasses
import inspect
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from opspo.algorithms import ALGORITHMS, SequentialConfig
from opspo.algorithms.names import TERMS
from opspo.update.compose import MODULES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "opspo"

LAYERS = [
    "errors",
    "terms",
    "algorithms",
    "config",
    "presets",
    "types",
    "run_folder",
    "devices",
    "environments",
    "estimators",
    "objectives",
    "policies",
    "rollout",
    "theory",
    "state_weights",
    "update",
    "checkpoint",
    "evaluate",
    "policy",
    "training",
    "rendering",
    "catalogue",
    "bench",
    "fidelity",
    "experiments",
    "cli",
    "__main__",
]


def imports_of(path: Path) -> set[str]:
    """Layers of this package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opspo"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            parts = [alias.name.split(".") for alias in node.names]
            found |= {name[1] for name in parts if name[0] == "opspo" and len(name) > 1}
    return found


def test_every_form_of_import_counts(tmp_path):
    forms = (
        "import opspo, opspo.cli.train as t\nfrom opspo import bench\nfrom opspo.update import x"
    )
    (path := tmp_path / "forms.py").write_text(forms)
    assert imports_of(path) == {"cli", "bench", "update"}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if layer_of(p) != "__init__"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_layers_above_its_own(path):
    layer = layer_of(path)
    assert layer in LAYERS, f"Give {layer} its place in LAYERS."
    below = {name for name in imports_of(path) if LAYERS.index(name) > LAYERS.index(layer)}
    assert not below, f"{path.name} ({layer}) imports {below}, which come later."


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 300


def test_every_public_name_is_there():
    import opspo

    for name in opspo.__all__:
        assert getattr(opspo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = opspo.trian


@pytest.mark.parametrize("folder", ["estimators", "objectives"])
def test_formulas_know_no_config(folder):
    for path in (PACKAGE / folder).glob("*.py"):
        assert not {"algorithms", "config"} & imports_of(path), path.name


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_is_a_short_declaration_with_every_choice_written_out(name):
    path = PACKAGE / "algorithms" / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 40
    declaration = ALGORITHMS[name]
    written = set(vars(declaration)["__annotations__"])
    choices = {
        "advantage",
        "baseline",
        "value_target",
        "state_weight",
        "clip_range",
        "action_ratio",
        "critic",
    }
    if issubclass(declaration, SequentialConfig):
        choices |= {"order", "block_epochs", "cumulative_blocks", "weight_agents", "values"}
    config = declaration()
    if config.advantage != "gae":
        choices |= {"trace_decay", "trace_clip", "trace_agents"}
    if config.state_weight != "none":
        choices |= {"state_weight_min", "state_weight_max"}
    assert choices <= written
    (body,) = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef)]
    assert all(isinstance(n, ast.AnnAssign | ast.Expr) for n in body.body), "values alone"


def test_a_setting_is_a_module_and_its_value_a_function_in_it():
    """Every list of names is its module's list of public functions."""
    assert set(TERMS) == set(MODULES)
    names = {}
    for setting, values in TERMS.items():
        names.setdefault(MODULES[setting].__name__, set()).update(get_args(values))
        where = MODULES[setting].__name__.rpartition(".")[2]
        assert where in (f"{setting}s", "ratio_scopes")
    for setting in TERMS:
        module = MODULES[setting]
        functions = {
            name
            for name, value in vars(module).items()
            if inspect.isfunction(value)
            and value.__module__ == module.__name__
            and not name.startswith("_")
        }
        assert functions == names[module.__name__]


def test_every_setting_of_names_is_a_term():
    fields = dataclasses.fields(SequentialConfig)
    named = {item.name for item in fields if str(item.type).endswith("Name")}
    assert named == set(TERMS)


NO_JAX = "assert not {'jax', 'numpy'} & set(sys.modules)"


@pytest.mark.parametrize("name", ["opspo.algorithms", "opspo.config", "opspo.presets"])
def test_settings_need_no_jax(name):
    subprocess.run([sys.executable, "-c", f"import sys, {name}; {NO_JAX}"], check=True)


def test_help_needs_no_jax():
    program = f"""
import contextlib, sys
from opspo.cli import COMMANDS, main
from opspo.cli.bench import BENCHMARKS
for command in [[name] for name in COMMANDS] + [["bench", name] for name in BENCHMARKS]:
    with contextlib.suppress(SystemExit):
        main([*command, "--help"])
    {NO_JAX}, command
"""
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert b"--processes" in shown.stdout and b"--hosts" not in shown.stdout


FAMILIES = {"football.py", "jaxmarl.py", "mamujoco.py", "smac.py", "smax.py"}


def test_no_two_files_have_the_same_name():
    """But those named after a family of environments, and one `command.py` a package."""
    found = Counter(
        path.name
        for folder in (PACKAGE, ROOT / "benchmarks")
        for path in folder.rglob("*.py")
        if path.name not in FAMILIES | {"__init__.py", "command.py"}
    )
    assert {name: count for name, count in found.items() if count > 1} == {}


def modules():
    """Name → file of every module."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["opspo", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def files_imported(path, known):
    """Modules of this package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


def test_no_files_import_each_other():
    known = modules()
    left = {name: set(files_imported(path, known)) - {name} for name, path in known.items()}
    left.pop("opspo")  # which loads what is public at first use
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]
    assert not left, f"A circle among {sorted(left)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nobody_asks_for_an_algorithms_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare | ast.MatchValue):
            names = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
            assert not set(ALGORITHMS) & {n for n in names if isinstance(n, str)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_stay_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name
