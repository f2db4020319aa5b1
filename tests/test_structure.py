"""Imports go one way: down the list."""

import ast
from pathlib import Path

import pytest

from opspo.algorithms import ALGORITHMS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "opspo"

LAYERS = [
    "config",
    "presets",
    "types",
    "runs",
    "devices",
    "environments",
    "estimators",
    "objectives",
    "policies",
    "rollout",
    "theory",
    "update",
    "algorithms",
    "learner",
    "iteration",
    "checkpoint",
    "evaluate",
    "policy",
    "transfer",
    "film",
    "metrics",
    "stopping",
    "member",
    "loop",
    "together",
    "continuing",
    "trainer",
    "catalogue",
    "bench",
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
    return found


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
        assert "config" not in imports_of(path), path.name


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "algorithms").glob("*.py")), ids=lambda p: p.name
)
def test_an_algorithm_is_a_composition(path):
    """No loop in it."""
    tree = ast.parse(path.read_text())
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.For | ast.While)]
    assert len(path.read_text().splitlines()) <= 90


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nobody_asks_for_an_algorithms_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            names = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
            assert not set(ALGORITHMS) & {n for n in names if isinstance(n, str)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_stay_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name
