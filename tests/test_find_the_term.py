"""docs/find-the-term.md: every function, flag and test that it names exists and belongs there."""

import dataclasses
import re
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from opspo.algorithms import ALGORITHMS
from opspo.config import TrainConfig

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "find-the-term.md"

CELL = re.compile(r"(?<!\\)\|")  # not the | of |A|
TABLE = [
    [cell.strip() for cell in CELL.split(line)[1:-1]]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| symbol")
]
ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])

# What the paper has a symbol or a name for, and each of its numbers that is a setting
SYMBOLS = """γ λ ε1 ε2 r^i r^{i−1} r̃ ω^{i−1} ω̃ l^i,h^i δ_t A V V_target c_j c̄ ω_e f_e ω_n
ω_θ,f_ψ π_mix Δ(s,a,s′) Z_t P m g M ε_i α^i ε δ^i ξ^i Δ^i d^π J π^i σ Eq.20 Theorem1 Theorem3
Table1 Algorithm1"""


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


def found(name):
    """The object of a dotted name below opspo."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = import_module(".".join(["opspo", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        return module, reduce(getattr, parts[length:], module)
    raise AssertionError(f"opspo has no {name}")


def flags(kind, prefix="--"):
    """The flags that `opspo train` makes of a dataclass."""
    made = set()
    for name, hint in get_type_hints(kind).items():
        if name not in {field.name for field in dataclasses.fields(kind)}:
            continue
        flag = prefix + name.replace("_", "-")
        made |= flags(hint, f"{flag}.") if dataclasses.is_dataclass(hint) else {flag}
    return made


FLAGS = flags(TrainConfig).union(*(flags(kind, "--algorithm.") for kind in ALGORITHMS.values()))


@ROWS
def test_every_function_is_there_and_linked(row):
    links = re.findall(r"\[`([^`]+)`\]\(([^)]+)\)", row[2])
    assert [name for name, _ in links] == named(row[2])
    for name, link in links:
        module, _ = found(name)
        assert (PAGE.parent / link).resolve() == Path(module.__file__), name


@ROWS
def test_every_setting_is_a_flag(row):
    assert set(named(row[3])) <= FLAGS


def test_every_flag_of_the_page_is_one():
    assert set(re.findall(r"`(--[^`]*)`", PAGE.read_text())) <= FLAGS


@ROWS
def test_every_term_has_a_test_that_speaks_of_it(row):
    texts = [(ROOT / name).read_text() for name in named(row[4])]
    assert texts
    for name in named(row[2]):
        last = name.rpartition(".")[2]
        assert any(re.search(rf"\b{last}\b", text) for text in texts), last


def test_every_symbol_has_a_row():
    there = {part.replace(" ", "") for row in TABLE for part in [row[0], *row[0].split(", ")]}
    assert set(SYMBOLS.split()) - there == set()
