"""A study's file: what it may say, and that each mistake is told with its line."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from opspo.errors import ConfigError
from opspo.experiments import grid
from opspo.experiments.grid import runs_named, runs_of
from opspo.experiments.study_file import parse, read_study
from opspo.experiments.toml_lines import line_of

STUDIES = Path(__file__).parent.parent.parent / "studies"

TEXT = """\
name = "small"
algorithms = ["mappo", "opspo"]
seeds = "0..2"
steps = 512

[settings]
"rollout.num_envs" = 8
rollout.num_steps = 16

[evaluation]
times = 2
episodes = 4
absolute_episodes = 8

[[groups]]
name = "one"
tasks = ["probe/credit"]
normalise = [-1.0, 1.0]

[[groups]]
name = "two"
tasks = ["probe/memory", "probe/coordination"]
steps = 256

[groups.settings]
"policy.hidden_sizes" = [8]

[[variants]]
name = "no AEC"
algorithms = ["opspo"]

[variants.settings]
"algorithm.advantage" = "gae"
"""


def read(text=TEXT, *, replacing=None, by=""):
    if replacing is not None:
        assert text.count(replacing) == 1
        text = text.replace(replacing, by)
    return parse(text, Path("small.toml"))


def test_the_grid_is_tasks_by_lines_by_seeds():
    runs = runs_of(read())
    assert len(runs) == 3 * 3 * 3
    assert [run.name for run in runs[:4]] == [
        "probe-credit/mappo-seed0",
        "probe-credit/mappo-seed1",
        "probe-credit/mappo-seed2",
        "probe-credit/opspo-seed0",
    ]
    assert {run.line for run in runs} == {"mappo", "opspo", "opspo, no AEC"}
    assert runs[-1].name == "probe-coordination/opspo-no-AEC-seed2"


def test_each_run_has_its_settings():
    by_name = {run.name: run for run in runs_of(read())}
    plain = by_name["probe-credit/opspo-seed1"].config
    varied = by_name["probe-memory/opspo-no-AEC-seed1"].config
    assert (plain.env, plain.algo, plain.seed) == ("probe/credit", "opspo", 1)
    assert plain.rollout.num_envs == varied.rollout.num_envs == 8
    assert (plain.total_steps, varied.total_steps) == (512, 256)
    assert (plain.algorithm.advantage, varied.algorithm.advantage) == ("trace", "gae")
    assert varied.policy.hidden_sizes == (8,) != plain.policy.hidden_sizes
    assert plain.evaluation.every_steps == 256 and varied.evaluation.every_steps == 128
    assert (plain.evaluation.episodes, plain.evaluation.final_episodes) == (4, 0)
    assert {run.absolute_episodes for run in by_name.values()} == {8}


def test_patterns_choose_tasks_and_lines():
    names = {
        pattern: [run.name for run in runs_of(read(), [pattern])]
        for pattern in ("probe/m*", "opspo*", "probe/memory:mappo")
    }
    assert len(names["probe/m*"]) == 9 and len(names["opspo*"]) == 18
    assert names["probe/memory:mappo"] == [f"probe-memory/mappo-seed{i}" for i in range(3)]
    with pytest.raises(ConfigError, match=r"Nothing of small.toml fits --only smax/\*.*probe/cr"):
        runs_of(read(), ["smax/*"])


@pytest.mark.parametrize(
    ("replacing", "by", "line", "told"),
    [
        ('name = "small"', "name = 3", 1, "name: Input should be a valid string"),
        ('name = "small"', 'name = "a b"', 1, "name must be of letters"),
        ('name = "small"', 'name = ".."', 1, "not begin with '-' or '.', but is '..'"),
        ('name = "small"', 'name = "-x"', 1, "not begin with '-' or '.', but is '-x'"),
        ('["mappo", "opspo"]', "[]", 2, "algorithms must name at least one"),
        ('"mappo", "opspo"]', '"mapo"]', 2, "Did you mean 'mappo'"),
        ('"0..2"', '"0-2"', 3, "must be like"),
        ('"0..2"', "[1, 1]", 3, "seeds must be different"),
        ("steps = 512", "steps = 512\nseeds_per_process = 0", 5, "at least 1 and .*, but is 0"),
        ("steps = 512", "steps = 512\nseeds_per_process = -1", 5, "at least 1 and .*, but is -1"),
        ("steps = 512", "steps = 512\nseeds_per_process = 2", 5, "divide the 3 seeds, but is 2"),
        ("steps = 512", 'steps = 512\npreset = "papr"', 5, "Unknown preset 'papr'"),
        ('name = "no AEC"', 'name = "no AEC"\npreset = "litral"', 30, "Did you mean 'literal'"),
        ("steps = 512", "steps = 500", 4, "must be a multiple of 128.*The nearest is 512"),
        ("steps = 512", "step = 512", 4, "step: Unexpected keyword argument"),
        ("steps = 512", "", 15, "the group 'one' needs steps"),
        ('"rollout.num_envs" = 8', '"rollout.num_env" = 8', 7, "Did you mean 'rollout.num_envs'"),
        ("rollout.num_steps = 16", '"env" = "smax/3m"', 8, "env is not a setting of a study"),
        ("steps = 512", 'steps = 512\ntuning = "no.json"', 5, "there is no record no.json"),
        ("rollout.num_steps = 16", "checkpoint.keep = 5", 8, "checkpoint.keep is not a setting"),
        ("rollout.num_steps = 16", "checkpoint.every_steps = 5", 8, "every_steps is not a setting"),
        ("rollout.num_steps = 16", "tensorboard = true", 8, "tensorboard is not a setting"),
        ("rollout.num_steps = 16", "evaluation.episodes = 5", 8, "the grid chooses it"),
        ("rollout.num_steps = 16", "evaluation.episode_limt = 5", 8, "evaluation.episode_limit"),
        ("times = 2", "times = 0", 11, "times must be at least 1"),
        ("probe/credit", "probe/credits", 17, "Did you mean 'probe/credit'"),
        ('["probe/credit"]', "[]", 17, "the group 'one' needs tasks"),
        ("[-1.0, 1.0]", '[-1.0, 1.0]\nmetric = "wnis"', 19, "return, length on .*is 'wnis'"),
        ("[-1.0, 1.0]", '[-1.0, 1.0]\nmetric = "win"', 19, "return, length on .*is 'win'"),
        ("[-1.0, 1.0]", "[1.0, 1.0]", 18, r"normalise must be \[low, high\]"),
        ('"two"', '"one"', 21, "the name 'one' is there twice"),
        ('"probe/memory"', '"probe/credit"', 22, "the task probe/credit is there twice"),
        ("steps = 256", "steps = 250", 23, "must be a multiple of 128"),
        ('hidden_sizes" = [8]', 'hidden_sizes" = "wide"', 26, "hidden_sizes"),
        (
            'algorithms = ["opspo"]\n\n[v',
            'algorithms = ["ppo"]\n\n[v',
            30,
            "Unknown algorithm 'ppo'",
        ),
        ('.advantage" = "gae"', '.advantage" = "gea"', 33, "Input should be 'gae'"),
        ('.advantage" = "gae"', '.order" = ', 33, "is not valid TOML"),
        (
            'algorithms = ["opspo"]\n\n[v',
            'tasks = ["smax/*"]\n\n[v',
            30,
            r"'smax/\*' fits none of the study's tasks: probe/credit, probe/memory",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line(replacing, by, line, told):
    with pytest.raises(ConfigError, match=told) as error:
        runs_of(read(replacing=replacing, by=by))
    assert f"line {line}" in str(error.value)


def test_a_setting_of_other_algorithms_is_left_to_them():
    file = read(replacing="[settings]", by='[settings]\n"algorithm.order" = "cyclic"')
    orders = {run.line: getattr(run.config.algorithm, "order", None) for run in runs_of(file)}
    assert orders == {"mappo": None, "opspo": "cyclic", "opspo, no AEC": "cyclic"}


def test_a_variant_s_setting_is_for_those_of_its_algorithms_that_have_it():
    both = 'algorithms = ["mappo", "opspo"]\n\n[v'
    text = TEXT.replace('algorithms = ["opspo"]\n\n[v', both)
    text = text.replace('"algorithm.advantage" = "gae"', '"algorithm.order" = "cyclic"')
    orders = {
        run.line: getattr(run.config.algorithm, "order", None)
        for run in runs_of(parse(text, Path("small.toml")))
    }
    assert orders["opspo, no AEC"] == "cyclic" and orders["mappo, no AEC"] is None
    with pytest.raises(ConfigError, match=r"line 33: Unknown setting 'algorithm\.order'"):
        runs_of(parse(text.replace(both, 'algorithms = ["mappo"]\n\n[v'), Path("small.toml")))


def test_the_limit_of_an_episode_is_a_setting_of_a_study():
    by = "rollout.num_steps = 16\nevaluation.episode_limit = 70"
    runs = runs_of(read(replacing="rollout.num_steps = 16", by=by))
    assert {run.config.evaluation.episode_limit for run in runs} == {70}


def test_an_environment_s_own_numbers_and_wins_are_metrics(monkeypatch):
    for metric, has_win, outcomes in (("win", True, ()), ("goals", False, ("goals",))):
        spec = SimpleNamespace(has_win=has_win, outcomes=outcomes)
        monkeypatch.setattr(grid, "make_env", lambda _, spec=spec: SimpleNamespace(spec=spec))
        by = f'[-1.0, 1.0]\nmetric = "{metric}"'
        assert runs_of(read(replacing="[-1.0, 1.0]", by=by))
        with pytest.raises(ConfigError, match="line 19: metric must be one of return, length, "):
            runs_of(read(replacing="[-1.0, 1.0]", by='[-1.0, 1.0]\nmetric = "goal"'))


def test_a_metric_is_not_checked_where_the_engine_is_missing(monkeypatch):
    """A report is made where there may be no engine."""

    def missing(task):
        raise ConfigError(f"{task} needs another package")

    monkeypatch.setattr(grid, "require_env", missing)
    assert runs_of(read(replacing="[-1.0, 1.0]", by='[-1.0, 1.0]\nmetric = "goals"'))


def test_a_job_finds_its_runs_without_the_record_of_the_tuning():
    """Its path is relative to the folder of the study, and a job may start in another."""
    file = read(replacing="steps = 512", by='steps = 512\ntuning = "no.json"')
    (run,) = runs_named(file, ["probe-credit/mappo-seed1"])
    assert (run.task, run.line, run.seed) == ("probe/credit", "mappo", 1)


def test_a_variant_is_for_some_tasks():
    file = read(replacing='algorithms = ["opspo"]\n\n[v', by='tasks = ["*/memory", "*/cr*"]\n\n[v')
    varied = {run.task for run in runs_of(file) if run.line == "opspo, no AEC"}
    assert varied == {"probe/memory", "probe/credit"}
    plain = {run.task for run in runs_of(file) if run.line == "opspo"}
    assert plain == {"probe/memory", "probe/coordination", "probe/credit"}


def test_equal_steps_is_a_variant():
    text = TEXT.replace(
        'name = "no AEC"\nalgorithms = ["opspo"]', 'name = "e"\nchange = "equal_steps"'
    )
    text = text.replace('"algorithm.advantage" = "gae"', "")
    by_name = {run.name: run.config.algorithm for run in runs_of(parse(text, Path("x.toml")))}
    assert by_name["probe-credit/mappo-e-seed0"].epochs > by_name["probe-credit/mappo-seed0"].epochs
    assert by_name["probe-credit/opspo-e-seed0"] == by_name["probe-credit/opspo-seed0"]


def test_the_line_of_a_value_or_of_what_is_around_it():
    assert line_of(TEXT, ("groups", 1, "tasks")) == 22
    assert line_of(TEXT, ("groups", 1, "metric")) == 20
    assert line_of(TEXT, ("groups", 1, "settings", "policy.hidden_sizes")) == 26
    assert line_of(TEXT, ("variants", 0, "settings", "algorithm.advantage")) == 33
    assert line_of(TEXT, ("nothing",)) == 0


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_study(tmp_path / "none.toml")


def test_two_runs_with_the_same_record_are_told():
    """Names that differ only in what a path cannot have."""
    again = '\n[[variants]]\nname = "no-AEC"\nalgorithms = ["opspo"]\n'
    with pytest.raises(ConfigError, match=r"two runs would have the record probe-credit/opspo-no"):
        runs_of(read(TEXT + again))


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_of_ours_can_be_run(path):
    assert runs_of(read_study(path))
