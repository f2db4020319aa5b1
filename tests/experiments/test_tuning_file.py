"""A tuning's file: what it may say, and that each mistake is told with its line."""

import pytest
from small_tuning import TEXT, tuning_at

from opspo.errors import ConfigError
from opspo.experiments.toml_lines import line_of, without
from opspo.experiments.tuning_file import read_tuning

CLIP = '[space]\n"algorithm.clip" = '


def read(folder, *, replacing="", by="", **parts):
    """The tuning, with a part of its study's text replaced."""
    assert not replacing or TEXT.count(replacing) == 1
    return read_tuning(tuning_at(folder, text=TEXT.replace(replacing, by), **parts))


def test_settings_of_the_space_are_read_however_they_are_written(tmp_path):
    space = """
[space]
algorithm.clip = [
  0.15,
  0.2
]
[space.optimiser]
actor_learning_rate = {low = 1e-4, high = 1e-2, log = true}
max_grad_norm = {low = 1, high = 10}
"""
    found = {choice.name: choice.plain for choice in read(tmp_path, space=space).space}
    assert found == {
        "algorithm.clip": [0.15, 0.2],
        "optimiser.actor_learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "optimiser.max_grad_norm": {"low": 1.0, "high": 10.0, "log": False},
    }


RANGE = r"the range of algorithm\.clip must have two numbers low < high, both above 0 if log"


@pytest.mark.parametrize(
    ("parts", "line", "told"),
    [
        ({"trials": 0}, 1, "trials must be a whole number from 1, but is 0"),
        ({"trials": "true"}, 1, "trials must be a whole number from 1, but is True"),
        ({"trials": '"5"'}, 1, "trials must be a whole number from 1, but is '5'"),
        ({"space": ""}, None, r"needs a table \[space\]"),
        ({"space": "[space]"}, 20, r"needs a table \[space\]"),
        ({"space": CLIP + "3"}, 21, r"algorithm\.clip must be a list of values, or .* but is 3"),
        ({"space": CLIP + "[]"}, 21, "must be a list of values, or"),
        ({"space": CLIP + "{low = 0.0, log = true}"}, 21, "must be a list of values, or"),
        ({"space": CLIP + "{low = 0.1, high = 0.2, step = 1}"}, 21, "must be a list of values"),
        ({"space": "[space]\nalgorithm.clip = {}"}, 21, "must be a list of values, or"),
        ({"space": CLIP + '{low = "a", high = 1.0}'}, 21, RANGE),
        ({"space": CLIP + "{low = 2.0, high = 1.0}"}, 21, RANGE),
        ({"space": CLIP + "{low = 0.0, high = 1.0, log = true}"}, 21, RANGE),
        ({"space": CLIP + "{low = 0.1, high = 1.0, log = 1}"}, 21, RANGE),
        ({"space": CLIP + "{low = 0.1, high = inf}"}, 21, RANGE),
        ({"space": CLIP + "{low = false, high = 1.0}"}, 21, RANGE),
        ({"space": CLIP + "[0.1, 0.2, 0.1]"}, 21, "has the same value twice"),
        ({"space": CLIP + "[1979-05-27]"}, 21, "cannot be any of"),
        ({"space": CLIP + "[0.1]\nalgorithm.clip = [0.2]"}, 21, "algorithm.clip is there twice"),
        # values that the setting cannot have
        ({"space": CLIP + "[0.2, -0.2]"}, 21, "algorithm.clip.*-0.2"),
        ({"space": CLIP + '[0.2, "wide"]'}, 21, "(?s)clip: .*valid number"),
        ({"space": CLIP + "{low = -0.1, high = 0.3}"}, 21, "algorithm.clip.*-0.1"),
        ({"space": CLIP + '[0.1]\n"algorithm.clop" = [1]'}, 22, "Did you mean 'algorithm.clip'"),
        ({"space": CLIP + '[0.1]\n"seed" = [1, 2]'}, 22, "the grid chooses it"),
        (
            {"space": CLIP + '[0.1]\n"algorithm.epochs" = {low = 1.0, high = 9.0}'},
            22,
            r"algorithm\.epochs cannot be any number from low to high. List its values",
        ),
        (
            {"space": CLIP + '[0.1]\n"rollout.num_envs" = {low = 1.5, high = 9.0}'},
            8,
            "rollout.num_envs has a value here and several in",
        ),
        (
            {"space": CLIP + '[0.1]\n"algorithm.clip_range" = {low = 0.1, high = 0.2}'},
            22,
            "cannot be any number from low to high",
        ),
        # mistakes in the study's part
        ({"replacing": '"mappo", ', "by": '"mapo", '}, 3, "Did you mean 'mappo'"),
        ({"replacing": '"mappo", ', "by": '"opspo", '}, 3, "algorithms must be different"),
        ({"replacing": '"mappo", "opspo"', "by": ""}, 3, "algorithms must .* at least one"),
        ({"replacing": "times = 2", "by": "times = 0"}, 13, "times must be at least 1"),
        ({"replacing": "num_envs", "by": "num_env"}, 8, "Did you mean 'rollout.num_envs'"),
        ({"replacing": "steps = 512", "by": "steps = 500"}, 5, "must be a multiple of 128"),
        ({"replacing": "[[groups]]", "by": "[[variants]]\nname = 'x'\n[[groups]]"}, 17, "variants"),
        ({"replacing": "steps = 512", "by": "steps = "}, 5, "cannot be read: Invalid value"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, parts, line, told):
    with pytest.raises(ConfigError, match=told) as error:
        read(tmp_path, **parts)
    assert str(tmp_path / "tune.toml") in str(error.value)
    assert line is None or f"line {line}" in str(error.value)


def test_lines_are_those_of_the_file_even_if_the_space_comes_first(tmp_path):
    path = tmp_path / "tune.toml"
    space = 'space."algorithm.clip" = [\n  0.1,\n  0.2\n]\n'
    path.write_text(f"{space}trials = 3\n{TEXT.replace('times = 2', 'times = 0')}")
    with pytest.raises(ConfigError, match=r"tune\.toml, line 17: times must be at least 1"):
        read_tuning(path)


def test_a_value_is_tried_on_every_task_and_with_every_algorithm(tmp_path):
    """24 × 16 divides the steps of the first group, and not those of the second."""
    text = TEXT.replace('"rollout.num_envs" = 8\n', "").replace(', "probe/memory"', "")
    text = text.replace("steps = 512", "steps = 1536")
    other = '\n[[groups]]\nname = "more"\ntasks = ["probe/memory"]\nsteps = 512\n'
    space = '[space]\n"rollout.num_envs" = [8, 24]'
    read_tuning(tuning_at(tmp_path, text=text, space=space))
    with pytest.raises(ConfigError, match=r"line 23: .* 384 on probe/memory.*envs\": 24"):
        read_tuning(tuning_at(tmp_path, text=text + other, space=space))
    only_opspo = '[space]\n"algorithm.order" = ["cyclic", "zigzag"]'
    with pytest.raises(ConfigError, match=r"(?s)line 21: .*zigzag"):
        read_tuning(tuning_at(tmp_path, space=only_opspo))


@pytest.mark.parametrize(
    "written", ["settings.algorithm.clip = 0.3", 'settings = {"algorithm.clip" = 0.3}']
)
def test_a_setting_of_a_group_is_not_in_the_space(tmp_path, written):
    """It would count in every trial, whatever the space says."""
    parts = {"replacing": 'name = "probes"', "by": f'name = "probes"\n{written}'}
    with pytest.raises(ConfigError, match=r"line 19: algorithm\.clip has a value here and several"):
        read(tmp_path, **parts)
    read(tmp_path, space='[space]\n"value.clip" = [0.1, 0.2]', **parts)


def test_a_setting_that_no_algorithm_of_the_tuning_has_is_told(tmp_path):
    """Every trial would train the same."""
    space = '[space]\n"algorithm.clip" = [0.2]\n"algorithm.order" = ["cyclic", "random"]'
    read(tmp_path, space=space)
    with pytest.raises(ConfigError, match=r"line 22: .*algorithm\.order"):
        read(tmp_path, space=space, replacing=', "opspo"', by="")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tuning(tmp_path / "none.toml")


LINES = '''\
"a=b" = 1
sizes = [
  [8],
  [16]
]
text = """
[x]
y = 1
"""
space."q.r" = 1
[settings] # why [not]
a.b = 3
[[groups]]
name = "a # b"
[groups."set]t"]
k = 2
[space.a]
b = [
  [1]
]
[[groups]]
name = "b"
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("a=b",), 1),
        (("sizes", 1), 2),
        (("8",), 0),
        (("16",), 0),
        (("x",), 0),
        (("text", "y"), 6),
        (("space", "q.r"), 10),
        (("settings", "a.b"), 12),
        (("groups", 0, "name"), 14),
        (("groups", 0, "set]t", "k"), 16),
        (("space", "a", "b"), 18),
        (("groups", 1, "name"), 22),
    ],
)
def test_the_line_of_a_value_among_keys_and_values_of_any_form(keys, line):
    assert line_of(LINES, keys) == line


def test_parts_are_left_out_and_the_other_lines_keep_their_numbers():
    lines, kept = LINES.split("\n"), without(LINES, ("space", "sizes")).split("\n")
    gone = [i + 1 for i, (old, new) in enumerate(zip(lines, kept, strict=True)) if old != new]
    assert gone == [2, 3, 4, 5, 10, 17, 18, 19, 20]
    assert all(not kept[i - 1] for i in gone)
