"""Every command and program in the README and the docs runs, and every link leads somewhere."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Long commands run as they stand, only shorter: these flags follow them.
SHORTER = {
    "train": [
        *("--total-steps", "320", "--rollout.num-envs", "4", "--rollout.num-steps", "20"),
        *("--algorithm.epochs", "1", "--policy.hidden-sizes", "8"),
        *("--evaluation.final-episodes", "2"),
    ],
    "resume --total-steps": ["--total-steps", "640"],
    "theory": ["--problems", "2", "--search", "0"],
    "fidelity": [
        *("--batches", "4", "--own-batches", "4", "--most-steps", "2000", "--stages", "1"),
    ],
    "bench env": ["--rounds", "1", "--num-envs", "2", "--num-steps", "2"],
    "bench train": [
        *("--rounds", "1", "--rollout.num-envs", "4", "--rollout.num-steps", "20"),
        *("--algorithm.epochs", "1", "--policy.hidden-sizes", "8", "--policy.chunk-length", "20"),
    ],
}


def blocks(page, language):
    """The fenced blocks of a language; "" for those that name none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [body for named, body in fenced if named == language]


def commands(page):
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def shortened(command):
    """The command with its own values of the flags in `SHORTER` replaced."""
    flags = SHORTER.get(" ".join(command[1:3]), SHORTER.get(command[1], []))
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        if flag in command:
            command[command.index(flag) + 1] = value
        else:
            command += [flag, value]
    return command


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_programs_run(page, tmp_path):
    """In the page's order, in one empty folder: later ones may use what earlier ones made."""
    for body in blocks(page, "toml"):
        if name := re.match(r"# (\S+\.toml)$", body.splitlines()[0]):
            (tmp_path / name[1]).write_text(body.replace("trials = 12", "trials = 1"))
    steps = [shortened(command) for command in commands(page)]
    for command in steps:
        assert command[0] == "opspo", f"{page.name} has a command that no test runs: {command}"
    for program in blocks(page, "python"):
        if "import" in program:
            steps.append(program)
        else:  # an excerpt of the library's own code
            assert_excerpt_is_real(program)
    for part in parts(steps):
        outcome = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "page.py"), json.dumps(part)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr


def parts(steps):
    """What may run in one process: JAX counts its devices once."""
    found = [[]]
    for step in steps:
        if "--devices" in step:
            found.append([])
        found[-1].append(step)
    return [part for part in found if part]


def assert_excerpt_is_real(program):
    """Every line of an excerpt stands in the library, white space aside."""
    source = "".join("".join(p.read_text().split()) for p in (ROOT / "src").rglob("*.py"))
    for line in program.strip().splitlines():
        assert "".join(line.split()).rstrip(",") in source, f"Not in the library: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_named_in_tables_exist(page):
    for name in re.findall(
        r"`((?:estimators|objectives|algorithms|update|tests)/[\w./]+)`", page.read_text()
    ):
        assert (ROOT / name).exists() or (ROOT / "src" / "opspo" / name).exists(), name


def test_make_knows_the_two_commands_of_the_readme():
    (block,) = [block for block in blocks(PAGES[0], "") if "make" in block]
    for line in block.strip().splitlines():
        command = shlex.split(line, comments=True)
        dry = subprocess.run(
            [command[0], "--dry-run", *command[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert dry.returncode == 0, dry.stderr
    assert "make test" in (ROOT / ".ci" / "run").read_text()
