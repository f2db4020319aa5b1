"""A policy meets the environment that it was trained for, or a clear error."""

import dataclasses
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from reach import Reach
from small import small_config

import opspo
from opspo.environments import make_env
from opspo.environments.base import EnvironmentSpec
from opspo.environments.identity import StoredSpec, differences, store_spec, stored_spec
from opspo.errors import RunError
from opspo.rendering.film import watch
from opspo.run_folder import RunFolder
from opspo.training.evaluate_run import evaluate_run
from opspo.training.resuming import resume
from opspo.training.trainer import train

SPEC = EnvironmentSpec("own/a", 2, 3, 6, num_actions=4, agents=("left", "right"))


class Seen(Reach):
    """With a picture."""

    def frame(self, state):
        return jnp.full((8, 8, 3), 100 * (1 + state["goal"][0, 0]), jnp.uint8)


def stored(**changed):
    return StoredSpec(dataclasses.replace(SPEC, **changed), frozenset())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, []),
        ({"name": "own/b", "engine": "x 2", "episode_limit": 9, "has_win": True}, []),
        ({"num_agents": 3}, ["num_agents was 2 and is 3"]),
        ({"observation_size": 4}, ["observation_size was 3 and is 4"]),
        ({"state_size": 7}, ["state_size was 6 and is 7"]),
        ({"num_actions": 5}, ["num_actions was 4 and is 5"]),
        ({"action_size": 2}, ["action_size was 0 and is 2"]),
        ({"action_counts": (4, 4)}, []),
        ({"action_counts": (4, 3)}, ["action_counts was 4, 4 and is 4, 3"]),
        ({"agents": ("right", "left")}, ["agents were left, right and are right, left"]),
        ({"agents": ()}, []),
        (
            {"observation_size": 4, "agents": ("left", "top")},
            ["observation_size was 3 and is 4", "agents were left, right and are left, top"],
        ),
    ],
)
def test_differences(changed, says):
    assert differences(stored(), dataclasses.replace(SPEC, **changed)) == says


def test_own_sizes_of_actions_are_compared_in_either_form():
    was = stored(num_actions=0, action_size=3, action_sizes=(3, 1))
    now = dataclasses.replace(was.spec, action_sizes=())
    assert differences(was, now) == ["action_sizes was 3, 1 and is 3, 3"]
    assert differences(was, dataclasses.replace(was.spec, action_size=4)) == [
        "action_size was 3 and is 4"
    ]
    assert differences(StoredSpec(was.spec, frozenset({"action_sizes"})), now) == []


def test_each_decisions_choices_are_compared_in_either_form():
    was = stored(action_size=2, decision_counts=((4, 2), (3, 4)))
    same = dataclasses.replace(was.spec, decision_counts=())
    assert differences(was, was.spec) == []
    assert differences(was, same) == ["decision_counts was (4, 2), (3, 4) and is (4, 4), (4, 4)"]
    fewer = dataclasses.replace(was.spec, action_sizes=(2, 1), decision_counts=((4, 2), (3,)))
    assert differences(was, fewer) == ["action_sizes was 2, 2 and is 2, 1"]
    assert differences(StoredSpec(was.spec, frozenset({"decision_counts"})), same) == []


@pytest.mark.parametrize(
    "own",
    [
        {"action_counts": (4, 3), "outcomes": ("goals",)},
        {"action_size": 2, "decision_counts": ((4, 2), (3, 4))},
    ],
)
def test_what_is_stored_comes_back(tmp_path, own):
    spec = dataclasses.replace(SPEC, **own)
    folder = RunFolder(tmp_path)
    store_spec(folder, spec)
    assert stored_spec(folder) == StoredSpec(spec, frozenset())


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data | {"of_tomorrow": 1},
        lambda data: data | {"agents": 5},
        lambda data: {"name": "x"},
        lambda data: [data],
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, change):
    folder = RunFolder(tmp_path)
    store_spec(folder, SPEC)
    data = json.loads(folder.environment.read_text())
    folder.environment.write_text(json.dumps(change(data)))
    with pytest.raises(RunError, match=r"environment\.json cannot be read"):
        stored_spec(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on an environment of one's own, whose agents have names."""
    path = tmp_path_factory.mktemp("identity") / "run"
    config = dataclasses.replace(small_config("own/reach"), total_steps=256, run_dir=str(path))
    train(config, environment=Seen(agents=("left", "right")))
    return path


CHANGED = {
    "order": ({"agents": ("right", "left")}, "agents were left, right and are right, left"),
    "action": ({"action_size": 3}, "action_size was 2 and is 3"),
    "feature": ({"observation_size": 3}, "observation_size was 2 and is 3"),
    "state": ({"state_size": 5}, "state_size was 4 and is 5"),
    "own sizes": ({"action_sizes": (2, 1)}, "action_sizes was 2, 2 and is 2, 1"),
    "two": (
        {"state_size": 5, "agents": ("right", "left")},
        "state_size was 4 and is 5; agents were left, right and are right, left",
    ),
}
DOORS = {
    "resume": lambda run, scene, out: resume(run, environment=scene),
    "eval": lambda run, scene, out: evaluate_run(run, episodes=2, seed=0, environment=scene),
    "watch": lambda run, scene, out: watch(run, out, environment=scene),
    "load_policy": lambda run, scene, out: opspo.load_policy(run, environment=scene),
}


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", CHANGED)
def test_another_environment_is_refused_at_every_door(run, tmp_path, door, kind):
    changed, says = CHANGED[kind]
    scene = Seen(**{"agents": ("left", "right")} | changed)
    with pytest.raises(RunError, match=f"{says}.*--init-from"):
        DOORS[door](run, scene, tmp_path / "x.gif")


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "changed", [{}, {"agents": ("left", "right"), "name": "own/other", "engine": "own 2"}]
)
def test_the_same_sizes_and_names_are_let_in(run, tmp_path, door, changed):
    """Also where the environment has no names, and under another name or engine."""
    DOORS[door](run, Seen(**changed), tmp_path / "x.gif")


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_a_run_that_does_not_say_what_it_was_trained_for_is_refused(run, tmp_path, door):
    """With the file gone, agents in another order would swap roles without a word."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "environment.json").unlink()
    checkpoints = sorted((copy / "checkpoints").rglob("*"))
    with pytest.raises(RunError, match=r"environment\.json cannot be read.*Put it back"):
        DOORS[door](copy, Seen(agents=("right", "left")), tmp_path / "x.gif")
    assert sorted((copy / "checkpoints").rglob("*")) == checkpoints


@pytest.mark.slow
def test_a_policy_knows_its_agents(run):
    assert opspo.load_policy(run).spec == Seen(agents=("left", "right")).spec


@pytest.mark.slow
def test_one_action_more_among_discrete_ones(tmp_path):
    path = tmp_path / "run"
    train(dataclasses.replace(small_config("probe/credit"), total_steps=256, run_dir=str(path)))
    opspo.load_policy(path, environment=make_env("probe/credit"))

    class More:
        spec = dataclasses.replace(make_env("probe/credit").spec, num_actions=3)

    with pytest.raises(RunError, match="num_actions was 2 and is 3"):
        opspo.load_policy(path, environment=More())


@pytest.mark.slow
def test_ones_own_environment_is_evaluated(run):
    played = evaluate_run(run, episodes=3, seed=1, environment=Seen())
    assert len(played.returns) == 3 and np.isfinite(played.returns).all()
