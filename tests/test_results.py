"""The docs' tables are those of the records, and a table that is not is told."""

import subprocess
import sys
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def results():
    spec = util.spec_from_file_location("results", ROOT / "tools" / "results.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_of_the_docs_is_that_of_its_records():
    program = [sys.executable, str(ROOT / "tools" / "results.py"), "--check"]
    shown = subprocess.run(program, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, f"Run `make results`: {shown.stdout}{shown.stderr}"


def test_a_table_that_is_not_is_told_and_put_right(results, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results: numbers -->\n| 1 |\n<!-- end -->\nafter\n")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "TABLES", {"numbers": (page, lambda: "| 2 |\n| 3 |")})
    monkeypatch.setattr(sys, "argv", ["results.py", "--check"])
    assert results.main() == 1 and "page.md: the table numbers" in capsys.readouterr().out
    assert "| 1 |" in page.read_text()
    monkeypatch.setattr(sys, "argv", ["results.py"])
    assert results.main() == 0
    expected = "before\n<!-- results: numbers -->\n| 2 |\n| 3 |\n<!-- end -->\nafter\n"
    assert page.read_text() == expected
    with pytest.raises(SystemExit, match="one place for the table others, but there are 0"):
        results.with_table(expected, "others", "")


def test_a_win_rate_is_the_mean_over_the_iterations_before(results):
    curve = {"env_steps": [1, 2, 3, 4], "win_rate": [0.0, None, 1.0, 5.0]}
    assert results.sampled(SimpleNamespace(curve=curve), 3) == 0.5
