"""Whether the check names every fault of the environments in `broken`, and finds none in others."""

import json
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from broken import in_jax, in_pettingzoo, on_host

import opspo
from opspo.cli import main
from opspo.environments import families
from opspo.errors import ConfigError

MODULES = {"JAX": in_jax, "a host": on_host, "PettingZoo": in_pettingzoo}


def cases(table):
    return [
        pytest.param(case, id=f"{where}: {name}")
        for where, module in MODULES.items()
        for name, case in getattr(module, table).items()
    ]


def check(environment, **options):
    return opspo.check_env(environment, **{"max_steps": 50, **options})


@pytest.mark.parametrize("environment", cases("SOUND"))
def test_a_sound_environment_has_no_problem(environment):
    report = check(environment)
    assert report.ok, str(report)
    assert not report.notes, str(report)
    assert report.episodes >= 3


def assert_says(findings, case, report):
    assert [finding.kind for finding in findings] == [case.kind], str(report)
    (finding,) = findings
    for phrase in case.says:
        assert phrase in str(finding), str(report)
    assert finding.where.startswith(case.where), str(report)
    assert finding.fix or finding.kind == "refused"  # those say it themselves
    assert finding.what in str(report)
    files = [line for line in finding.trace.splitlines() if 'File "' in line]
    assert all("broken/" in line for line in files), str(report)


@pytest.mark.parametrize("case", cases("CASES"))
def test_a_broken_environment_has_its_one_problem_named(case):
    report = check(case.make)
    assert not report.ok
    assert_says(report.problems, case, report)


@pytest.mark.parametrize("case", cases("NOTES"))
def test_what_is_allowed_and_seldom_meant_is_noted(case):
    report = check(case.make)
    assert report.ok, str(report)
    assert_says(report.notes, case, report)


class Awful(in_jax.Sound):
    """Faults that do not hide each other."""

    def answer(self, state):
        step = super().answer(state)
        nan = jnp.where(state["t"] == 2, jnp.nan, step.observation.state)
        return step.replace(
            observation=step.observation.replace(state=nan),
            reward=state["place"],
            win=state["t"] == 3,
            terminated=step.truncated,
        )


def test_all_problems_come_in_one_report():
    report = check(Awful())
    kinds = ["shape: reward", "not finite: state", "win before the end", "both flags"]
    assert [problem.kind for problem in report.problems] == kinds
    text = str(report)
    assert text.startswith("walk: 4 problems, 1 note; 3 whole episodes in 18 steps of")
    assert text.count("\nproblem: ") == 4 and text.count("  where: ") == 5


class AwfulWalkers(in_pettingzoo.State):
    def fallen(self, agent):
        return 0

    def paid(self, agent):
        return float("nan")


def test_all_problems_of_pettingzoo_come_in_one_report():
    """And not what the adapter makes of them: a mean reward that is not finite."""
    report = check(AwfulWalkers)
    kinds = ["not finite: reward", "dtype: terminations", "not finite: state"]
    assert [problem.kind for problem in report.problems] == kinds
    assert "agent 'walker_0'" in report.problems[0].where


def test_what_a_worker_raises_comes_with_its_own_frames():
    died, raised = check(on_host.RaisesInWorkers()).problems
    assert died.kind == "worker died" and died.where.startswith("episode 1, step 4")
    assert "The last time: LookupError: a page is missing." in raised.what
    (frame,) = (line for line in raised.trace.splitlines() if "File" in line)
    assert "broken/on_host.py" in frame and frame.endswith("in step")


class NaN(in_jax.Sound):
    """In every observation of every step."""

    def observe(self, state):
        seen = super().observe(state)
        return seen.replace(observation=seen.observation.at[:, 0].set(jnp.nan))


def test_a_problem_that_is_everywhere_comes_once_where_it_was_first():
    (problem,) = check(NaN()).problems
    assert problem.where == "episode 1, at the reset, agent 'scout', feature 0"


def test_the_same_seed_gives_the_same_report_and_another_other_play():
    reports = [check(in_jax.Sound(), seed=seed) for seed in (0, 0, 1)]
    assert reports[0] == reports[1]
    seen = []

    class Recorded(on_host.Batch):
        def step(self, action):
            seen.append(action)
            return super().step(action)

    for seed in (0, 1):
        check(on_host.of(Recorded)(), seed=seed)
    half = len(seen) // 2
    assert not np.array_equal(seen[:half], seen[half:])


class Closing(on_host.Batch):
    closed = 0

    def close(self):
        Closing.closed += 1


class ClosingAndRaising(Closing):
    step = on_host.Raises.step


@pytest.mark.parametrize("batch", [Closing, ClosingAndRaising])
def test_every_batch_is_closed(batch):
    Closing.closed = 0
    check(on_host.of(batch)())
    assert Closing.closed == 2


class Masked(on_host.Batch):
    def observe(self):
        mask = np.ones((self.num_envs, 2, 3), bool)
        mask[:, 0, self.t % 3] = False
        return super().observe().replace(available_actions=mask)

    def step(self, action):
        assert (action[:, 0] != self.t % 3).all()
        return super().step(action)


def test_only_available_actions_are_played():
    assert check(on_host.of(Masked)(), episodes=20).ok


def test_an_episode_that_is_left_before_its_limit_is_no_problem():
    report = check(in_jax.Sound(), max_steps=3)
    assert report.ok and report.episodes == 0
    (note,) = report.notes
    assert "was abandoned after 3 steps, before its limit of 6" in note.what


def test_as_many_episodes_are_played_as_asked_for():
    assert 30 <= check(in_jax.Sound(), episodes=30).episodes < 33


@pytest.mark.parametrize(
    ("environment", "options", "says"),
    [
        ("smax/3mm", {}, "Did you mean 'smax/3m'"),
        (3, {}, "a value of type int"),
        (None, {}, "a function that makes one"),
        (in_jax.Sound(), {"episodes": 0}, "episodes must be at least 1"),
        (in_jax.Sound(), {"max_steps": 0}, "max_steps must be at least 1"),
        (in_jax.Sound(), {"seed": -1}, "seed must be from 0"),
        (in_pettingzoo.Stuck(), {}, r"lambda: MyEnvironment\(\)"),
    ],
)
def test_what_cannot_be_checked_is_an_error_that_says_what_can(environment, options, says):
    with pytest.raises(ConfigError, match=says):
        check(environment, **options)


# ------------------------------------------------------------------------------ the command line


def test_the_command_prints_a_report_and_ends_well(capsys):
    main(["check", "probe/death", "probe/memory", "--episodes", "2"])
    shown = capsys.readouterr().out
    assert "probe/death: no problems" in shown and "probe/memory: no problems" in shown


@pytest.fixture
def broken_module(tmp_path, monkeypatch):
    """A module with a parallel environment whose reward is no number."""
    (tmp_path / "my_broken_game.py").write_text(
        "from broken.in_pettingzoo import CASES\n"
        "def parallel_env():\n"
        "    print('hello')\n"
        "    return CASES['rewards of an agent'].make()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "pettingzoo/my_broken_game"


def test_the_command_ends_with_1_where_there_is_a_problem(broken_module, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", "probe/death", broken_module])
    assert stop.value.code == 1
    shown = capsys.readouterr().out
    assert f"{broken_module}: 1 problem" in shown
    assert "problem: The reward is array([0., 0.]), not a number." in shown


def test_json_has_all_that_was_found(broken_module, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", broken_module, "probe/death", "--json"])
    assert stop.value.code == 1
    broken, sound = json.loads(capsys.readouterr().out)
    assert (broken["name"], broken["ok"], sound["ok"]) == (broken_module, False, True)
    (problem,) = broken["problems"]
    assert problem["kind"] == "shape: reward" and "walker_1" in problem["where"]
    assert sound["notes"][0]["kind"] == "constant start" and sound["steps"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "env"),
        (["probe/deth"], "Did you mean 'probe/death'"),
        (["probe/death", "smix/3m"], "Did you mean 'smax/3m'"),
        (["probe/death", "--episodes", "0"], "episodes must be at least 1"),
        (["pettingzoo/nowhere.to_be_found"], "pip install"),
    ],
)
def test_usage_ends_with_2_before_anything_is_played(arguments, says, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", *arguments])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert says in shown.err and "random play" not in shown.out


def test_a_missing_engine_is_named_with_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr(families, "find_spec", lambda module: None)
    with pytest.raises(SystemExit) as stop:
        main(["check", "probe/death", "mamujoco/Hopper-3x1"])
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert "mamujoco/Hopper-3x1 needs envpool" in shown.err
    assert "pip install 'opspo[mujoco]'" in shown.err and not shown.out


def test_its_help_loads_no_jax():
    code = (
        "import sys; from opspo.cli import main\n"
        "try: main(['check', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'jax' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--episodes" in shown.stdout and "--json" in shown.stdout
