"""`opspo envs`: every environment with its sizes, and what to do about missing engines."""

import dataclasses
import json

import pytest

from opspo.cli import main
from opspo.environments import environment_ids, families
from opspo.errors import ConfigError


def listed(capsys, *arguments):
    main(["envs", *arguments])
    return capsys.readouterr().out


def test_every_environment_has_a_line_with_its_sizes_and_engine(capsys):
    lines = listed(capsys).splitlines()
    rows = {line.split()[0]: line for line in lines[1:] if not line.startswith("To install")}
    assert list(rows) == list(environment_ids())
    assert rows["smax/3m"].split()[1:] == ["3", "75", "72", "8", "jaxmarl", "0.2.0"]
    assert "[-1, 1]^9" in rows["mamujoco/Humanoid-9|8"]
    assert rows["mamujoco/Humanoid-9|8"].rstrip().endswith("Humanoid-v4")


def test_a_missing_engine_comes_with_the_command_that_brings_it(capsys, monkeypatch):
    monkeypatch.setattr(families, "find_spec", lambda module: None)
    out = listed(capsys, "--family", "mamujoco", "probe")
    assert "pip install 'opspo[mujoco]'" in out
    assert out.count("not installed") == 6
    assert "smax" not in out
    # what needs nothing is there all the same
    assert "probe/credit" in out and "opspo" in out


def test_json_has_the_whole_specification(capsys):
    entries = json.loads(listed(capsys, "--family", "probe", "--json"))
    assert {entry["env"] for entry in entries} >= {"probe/credit", "probe/death"}
    assert all(entry["installed"] and entry["spec"]["num_agents"] >= 1 for entry in entries)


def test_an_unknown_family_is_named(capsys):
    with pytest.raises(SystemExit):
        listed(capsys, "--family", "smaz")
    assert "smax" in capsys.readouterr().err


def test_an_engine_that_does_not_load_hides_nothing(capsys, monkeypatch):
    def broken(task):
        raise ConfigError(f"probe/{task} wants another version")

    family = dataclasses.replace(families.FAMILIES["probe"], make=broken, tasks=("credit",))
    monkeypatch.setitem(families.FAMILIES, "probe", family)
    out = listed(capsys, "--family", "probe", "pettingzoo")
    assert "does not load" in out
    assert "probe/credit wants another version" in out
    assert "mpe2" in out
