"""The files around the package: what they say is what is there."""

import re
import shlex
import tomllib
from pathlib import Path

import yaml

import opspo

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()


def read(name):
    return yaml.safe_load((ROOT / name).read_text())


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned():
    """Name → version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonical(name): version for name, version in pins}


def test_the_citation_is_of_this_version():
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == PROJECT["name"]
    assert citation["version"] == PROJECT["version"] == opspo.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == [{"name": "The opspo authors"}]


def test_hooks_run_the_tools_of_the_environment_and_of_make_lint():
    (local,) = read(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert {"id", "name", "entry", "language"} <= set(hook)
        tool, *_ = shlex.split(hook["entry"])
        assert tool.startswith(".venv/bin/") and canonical(Path(tool).name) in pinned()
        assert f"$(BIN)/{Path(tool).name}" in MAKEFILE


def test_every_dependency_of_the_tests_and_the_site_is_pinned():
    extras = PROJECT["optional-dependencies"]
    for name in ("dev", "docs"):
        for requirement in extras[name]:
            package = re.match(r"[\w.-]+", requirement)[0]
            assert package == "opspo" or canonical(package) in pinned(), requirement
    assert "docs" in re.search(r"opspo\[(.*?)\]", " ".join(extras["dev"]))[1].split(",")


def test_make_lint_checks_every_folder_of_python_and_builds_the_site():
    (folders,) = re.findall(r"^PYTHON_FOLDERS := (.*)$", MAKEFILE, flags=re.MULTILINE)
    tracked = {path.parts[0] for path in python_files()}
    assert set(folders.split()) == tracked
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)[1]
    assert recipe.count("$(PYTHON_FOLDERS)") == 2 and "$(MAKE) docs" in recipe
    # with --quiet, warnings are not counted, and nothing would fail
    build = re.search(r"^docs:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)[1]
    assert "--strict" in build and "--quiet" not in build


def python_files():
    """All of them, without those of environments, builds and runs."""
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name[0] != "." and folder.name not in {"build", "runs"}:
            yield from (path.relative_to(ROOT) for path in folder.rglob("*.py"))
