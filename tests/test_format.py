"""The format of config.json: older files mean what they meant, later ones are refused."""

import json
from pathlib import Path

import pytest
from settings import KEPT, settings

import opspo
from opspo.algorithms import ALGORITHMS, MAPPOConfig
from opspo.config import TrainConfig, from_json, to_json, versions
from opspo.config.versions import FORMAT, OLD_VALUES
from opspo.errors import ConfigError

ROOT = Path(__file__).parent.parent
OLD = ROOT / "tests" / "data" / "format1" / "credit" / "config.json"


def edited(text, change):
    data = json.loads(text)
    change(data)
    return json.dumps(data)


def test_what_is_written_says_its_format_and_who_wrote_it():
    written = json.loads(to_json(TrainConfig()))
    assert (written["format"], written["opspo"]) == (FORMAT, opspo.__version__)


def test_a_file_of_format_1_says_what_it_said():
    config = from_json(OLD.read_text())
    assert (config.env, config.algo, config.seed) == ("probe/credit", "opspo", 3)
    assert config.policy.hidden_sizes == (4,) and not config.policy.running_normalisation
    assert config.optimiser.actor_learning_rate == 0.03
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "results").rglob("config.json")),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_every_run_of_the_results_is_readable(path):
    from_json(path.read_text())


@pytest.fixture
def later(monkeypatch):
    """A program two formats on, where four settings were added or have moved."""
    monkeypatch.setattr(versions, "FORMAT", 3)
    old = {
        1: {"policy.activation": "tanh", "algorithm.blocks": 7, "algorithm.density.ridge": 0.5},
        2: {"value.clip": 0.7, "policy.activation": "relu"},
    }
    monkeypatch.setattr(versions, "OLD_VALUES", old)


def without(data, *names):
    for name in names:
        *sections, last = name.split(".")
        part = data
        for section in sections:
            part = part[section]
        del part[last]


def test_a_missing_setting_gets_the_value_of_its_own_format(later):
    missing = ("policy.activation", "algorithm.blocks", "algorithm.density.ridge", "value.clip")
    first = from_json(edited(OLD.read_text(), lambda data: without(data, *missing)))
    assert first.policy.activation == "tanh"  # what format 1 did, not what format 2 did
    assert (first.algorithm.blocks, first.algorithm.density.ridge) == (7, 0.5)
    assert first.value.clip == 0.7

    def of_format_2(data):
        without(data, *missing)
        data["format"] = 2

    second = from_json(edited(OLD.read_text(), of_format_2))
    assert (second.policy.activation, second.value.clip) == ("relu", 0.7)
    assert second.algorithm.blocks == TrainConfig().algorithm.blocks != 7

    def of_format_3(data):
        without(data, *missing)
        data["format"] = 3

    assert from_json(edited(OLD.read_text(), of_format_3)).value.clip == TrainConfig().value.clip


def test_what_a_file_says_stays(later):
    config = from_json(OLD.read_text())
    assert (config.policy.activation, config.algorithm.blocks, config.value.clip) == (
        "relu",
        2,
        0.2,
    )


def test_settings_of_other_algorithms_and_whole_parts_may_be_missing(later):
    config = from_json('{"algo": "mappo"}')  # which knows no blocks
    assert config.algorithm == MAPPOConfig(density=config.algorithm.density)
    assert (config.policy.activation, config.algorithm.density.ridge) == ("tanh", 0.5)


def test_an_ill_typed_part_is_a_clear_error(later):
    with pytest.raises(ConfigError, match="policy"):
        from_json('{"algo": "opspo", "policy": 5}')


@pytest.mark.parametrize(
    ("found", "written_by", "says"),
    [
        (FORMAT + 1, "9.1.0", r"format \d+, but opspo .* up to \d+.*pip install 'opspo>=9\.1\.0'"),
        (FORMAT + 7, opspo.__version__, "update your checkout"),
        (FORMAT + 1, None, "update your checkout"),
        (0, None, "format must be a whole number from 1"),
        ("two", None, "format must be a whole number from 1"),
        (True, None, "format must be a whole number from 1"),
        (1.0, None, "format must be a whole number from 1"),
    ],
)
def test_formats_that_cannot_be_read(found, written_by, says):
    """Also where the file has algorithms and settings that are unknown here."""

    def change(data):
        data |= {"format": found, "opspo": written_by, "algo": "opspo", "new": {"setting": 1}}
        if type(found) is int and found > FORMAT:
            data["algo"] = "of tomorrow"

    with pytest.raises(ConfigError, match=says):
        from_json(edited(to_json(TrainConfig()), change))


def test_the_table_names_settings():
    found = settings()
    known = set().union(*(found[part] for part in ("all", *ALGORITHMS)))
    for version, values in OLD_VALUES.items():
        assert 1 <= version < FORMAT
        assert values.keys() <= known


def test_no_setting_is_new_and_no_default_moved():
    """An older run must go on as it was: `opspo.config.versions` has the rule.

    Where this fails, ask what a run did before. If that is not what the default does now, raise
    `FORMAT` and give `OLD_VALUES` the old value. Then run `python tests/settings.py`.
    """
    assert settings() == json.loads(KEPT.read_text())
