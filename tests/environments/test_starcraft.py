"""The API of SMAC's `StarCraft2Env`, played by a small stand-in: the game cannot be had here."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from small import small_config
from starcraft import ACTIONS, STOP, Lite, StarCraft2Env

import opspo
from opspo.config import RolloutConfig
from opspo.environments import families, make_env
from opspo.environments.starcraft import SMAClite
from opspo.errors import ConfigError
from opspo.presets.paper import paper


def play(make, steps=12, *, num_envs=1, seed=0, shoot=True, workers=False):
    """Everybody shoots what can be shot, or stands still."""
    batch = opspo.from_smac(make, workers=workers).open(num_envs, seed)
    seen, rows = batch.reset(), []
    for _ in range(steps):
        mask = np.asarray(seen.available_actions)
        last = ACTIONS - 1 - mask[..., ::-1].argmax(-1)
        action = last if shoot else np.where(mask[..., STOP], STOP, 0)
        step, after = batch.step(action)
        rows.append((seen, step, after))
        seen = after
    batch.close()
    return rows, batch.lost_episodes


def ends(rows, env=0):
    """Of each step: terminated, truncated, won."""
    steps = [step for _, step, _ in rows]
    return [tuple(bool(x[env]) for x in (s.terminated, s.truncated, s.win)) for s in steps]


def test_sizes_come_from_the_engine_without_a_battle():
    before = StarCraft2Env.closed
    spec = opspo.from_smac(StarCraft2Env).spec
    assert (spec.num_agents, spec.num_actions, spec.observation_size) == (3, 8, 4)
    assert (spec.state_size, spec.episode_limit, spec.has_win) == (5, 6, True)
    assert spec.name == "smac/StarCraft2Env"
    assert StarCraft2Env.closed == before + 1
    assert opspo.from_smac(StarCraft2Env, name="smac/mine").spec.name == "smac/mine"


def test_a_battle_won():
    rows, _ = play(StarCraft2Env, 2)
    first, step, after = rows[0]
    assert first.available_actions[0].tolist() == [[False] + [True] * 7] * 3
    assert first.alive.all()
    assert step.reward.tolist() == [first.state[0, 4]]  # as much as it had, of three shots
    np.testing.assert_array_equal(after.state[0, :3], [1, 2, 2])
    _, last, fresh = rows[1]
    assert ends(rows) == [(False, False, False), (True, False, True)]
    assert (last.outcome["dead_allies"], last.outcome["dead_enemies"]) == (0, 2)
    assert last.reward[0] == first.state[0, 3] + 10
    # the true last observation, then the first of another battle
    assert last.observation.state[0, 3:].tolist() == [0, 0]
    assert (fresh.state[0, 3:] >= 2).all() and fresh.state[0, :3].tolist() == [2, 2, 2]


def test_the_dead_are_blank_and_can_do_nothing_until_all_are():
    rows, _ = play(lambda seed: StarCraft2Env(seed, limit=60), 6, shoot=False)
    alive = [after.alive[0].tolist() for _, _, after in rows]
    assert (
        alive[:5]
        == [[True] * 3, [False, True, True]] + [[False, True, True]] + [[False, False, True]] * 2
    )
    dead = rows[2][2]
    assert dead.available_actions[0, 0].tolist() == [True] + [False] * 7
    assert (dead.observation[0, 0] == 0).all() and (dead.observation[0, 1] != 0).any()
    assert ends(rows) == [(False,) * 3] * 5 + [(True, False, False)]
    assert rows[5][1].outcome["dead_allies"] == 3


@pytest.mark.parametrize("ends_at_limit", [True, False])
def test_the_time_limit_truncates(ends_at_limit):
    def make(seed):
        return StarCraft2Env(seed, limit=4, ends_at_limit=ends_at_limit, peaceful=True)

    rows, _ = play(make, 9, shoot=False)
    whole = [(False,) * 3] * 3 + [(False, True, False)]
    assert ends(rows) == [*whole, *whole, (False,) * 3]


@pytest.mark.parametrize(("shoot", "limit", "won"), [(True, 2, True), (False, 6, False)])
def test_what_is_decided_at_the_last_step_is_an_end(shoot, limit, won):
    rows, _ = play(lambda seed: StarCraft2Env(seed, limit=limit), limit, shoot=shoot)
    assert ends(rows)[-1] == (True, False, won)


def test_a_crash_loses_the_episode_and_no_more(tmp_path):
    def make(seed):
        return StarCraft2Env(seed, crash_at=2, marker=str(tmp_path / "crashed"))

    rows, lost = play(make, 3, workers=True)
    assert lost == 1
    assert [bool(step.lost[0]) for _, step, _ in rows] == [False, True, False]
    assert ends(rows)[1] == (False, True, False)
    assert rows[1][1].reward[0] == 0 and rows[1][2].state[0, :3].tolist() == [2, 2, 2]


def test_without_a_process_of_its_own_a_crash_is_an_error():
    with pytest.raises(RuntimeError, match="StarCraft II crashed"):
        play(lambda seed: StarCraft2Env(seed, crash_at=2))


def test_engines_are_made_with_seeds_of_their_own():
    made = []

    def make(seed):
        made.append(seed)
        return StarCraft2Env(seed)

    play(make, 1, num_envs=3, seed=5)
    play(make, 1, num_envs=3, seed=5)
    probe, *seeds = made[: len(made) // 2]
    assert made == [probe, *seeds] * 2
    assert len(set(seeds)) == 3


def test_another_first_episode_closes_the_engine():
    batch = opspo.from_smac(StarCraft2Env, workers=False).open(1, 0)
    before = StarCraft2Env.closed
    first = batch.reset()
    jax.tree.map(np.testing.assert_array_equal, batch.reset(), first)
    assert StarCraft2Env.closed == before + 1
    batch.close()
    assert StarCraft2Env.closed == before + 2


@pytest.mark.parametrize("shoot", [True, False])
def test_smaclite_plays_as_smac_does(shoot):
    theirs, _ = play(lambda seed: SMAClite(Lite(seed), episode_limit=6), shoot=shoot)
    ours, _ = play(StarCraft2Env, shoot=shoot)
    for one, other in zip(theirs, ours, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    cut, _ = play(lambda seed: SMAClite(Lite(seed, peaceful=True), episode_limit=3), 3, shoot=False)
    assert ends(cut)[-1] == (False, True, False)


@pytest.mark.slow
def test_it_trains_and_survives_a_crash(tmp_path):
    environment = opspo.from_smac(
        lambda seed: StarCraft2Env(seed, crash_at=3, marker=str(tmp_path / "crashed")), name="war"
    )
    config = dataclasses.replace(
        small_config("war"),
        total_steps=64,
        run_dir=str(tmp_path / "run"),
        rollout=RolloutConfig(num_envs=2, num_steps=16),
    )
    result = opspo.train(config, environment=environment)
    assert result.env_steps == 64
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2
    last = json.loads(lines[-1])
    assert last["lost_episodes"] >= 1
    assert 0 <= last["dead_allies"] <= 3 and 0 <= last["win_rate"] <= 1
    assert len(result.evaluation.wins) == 16


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setenv("SC2PATH", "/nowhere")
    monkeypatch.setattr(families, "find_spec", lambda module: None)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ConfigError) as error:
        make_env("smac/3m")
    for text in ("smac and pysc2", "in /nowhere", "github.com/oxwhirl/smac", "SC2PATH", "PyPI"):
        assert text in str(error.value)


def test_the_game_is_looked_for_where_sc2path_says(monkeypatch, tmp_path):
    family = dataclasses.replace(families.FAMILIES["smac"], modules=())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    assert family.installed
    monkeypatch.setenv("SC2PATH", str(tmp_path / "not"))
    assert not family.installed
    monkeypatch.setattr(sys, "platform", "darwin")
    assert family.installed


def test_maps_by_their_names(monkeypatch, tmp_path):
    from opspo.environments.starcraft import from_map

    def engine(*, map_name, seed):
        return StarCraft2Env(seed, limit=len(map_name))

    registry = {"3m": {}, "2s3z": {}}
    modules = {
        "smac.env": SimpleNamespace(StarCraft2Env=engine),
        "smac.env.starcraft2.maps.smac_maps": SimpleNamespace(
            get_smac_map_registry=lambda: registry
        ),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = from_map("2s3z").spec
    assert (spec.name, spec.episode_limit) == ("smac/2s3z", 4)
    with pytest.raises(ConfigError, match=r"Did you mean '3m'.*2s3z"):
        from_map("3mm")


def test_another_package_of_that_name_is_not_smac(monkeypatch):
    from opspo.environments.starcraft import from_map

    monkeypatch.setitem(sys.modules, "smac", SimpleNamespace())  # SMAC3 has no smac.env
    with pytest.raises(ConfigError, match=r"(?s)does not load.*another program"):
        from_map("3m")


def test_the_default_is_the_papers():
    assert opspo.default_config("smac/MMM2", "a2po") == paper("smac/MMM2", "a2po")
    config = opspo.default_config("smac/3m", "opspo")
    assert config.env == "smac/3m"
    assert dataclasses.replace(config, env="smac/10m_vs_11m") == paper("smac/10m_vs_11m", "opspo")
