"""`opspo check` passes on every environment that `opspo envs` lists and whose engine is here."""

import pytest

import opspo
from opspo.cli import main
from opspo.environments import environment_ids, make_env
from opspo.environments.checks.first import sound
from opspo.environments.families import FAMILIES
from opspo.errors import ConfigError

ALIKE = ("smax/", "football/", "smac/")
"""Families of one engine, of which one is played in `make test`: each takes some seconds to compile
or to start"""
PLAYED = ("smax/MMM2", "smax/smacv2_5_units", "football/academy_3_vs_1_with_keeper")
INSTALLED = [env for env in environment_ids() if FAMILIES[env.split("/")[0]].installed]
MISSING = [env for env in environment_ids() if env not in INSTALLED]


def brief(env):
    return env in PLAYED or not env.startswith(ALIKE)


@pytest.mark.parametrize("env", filter(brief, INSTALLED))
def test_a_listed_environment_passes(env):
    report = opspo.check_env(env, episodes=1, max_steps=200)
    assert report.ok, str(report)
    assert report.steps


@pytest.mark.parametrize("env", [env for env in INSTALLED if not brief(env)])
def test_what_is_alike_is_sound(env):
    sound(make_env(env))


@pytest.mark.full
@pytest.mark.parametrize("env", INSTALLED)
def test_a_listed_environment_passes_over_whole_episodes(env):
    report = opspo.check_env(env)
    assert report.ok, str(report)
    assert report.episodes >= 3


@pytest.mark.parametrize("env", MISSING)
def test_of_a_missing_engine_the_command_says_what_is_missing(env, capsys):
    family = FAMILIES[env.split("/")[0]]
    with pytest.raises(SystemExit) as stop:
        main(["check", env])
    assert stop.value.code == 2
    assert f"{env} needs {family.missing[0]}" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        opspo.check_env(env)
