"""Names in the JSON of marl-eval, where case and commas are lost: none may hide another."""

from dataclasses import replace

import pytest
from small_study import TEXT, made_up, study_at, write_all

from opspo.errors import ConfigError
from opspo.experiments.grid import runs_of
from opspo.experiments.marl_eval import marl_eval


@pytest.mark.parametrize(("one", "other"), [("A,b", "ab"), ("a-b", "A-B")])
def test_two_lines_of_one_name_are_refused(tmp_path, one, other):
    text = TEXT + "".join(
        f'\n[[variants]]\nname = "{name}"\nalgorithms = ["opspo"]\n' for name in (one, other)
    )
    skills = {"mappo": 0.1, "opspo": 0.2, f"opspo, {one}": 0.3, f"opspo, {other}": 0.4}
    records = write_all(study_at(tmp_path, text), tmp_path, skills=skills)
    with pytest.raises(ConfigError, match=rf"'opspo, {one}' and 'opspo, {other}' would both be"):
        marl_eval(records)
    found = marl_eval([record for record in records if record.line != f"opspo, {other}"])
    assert set(found["probe"]["credit"]) == {
        "mappo",
        "opspo",
        f"opspo {one}".lower().replace(",", ""),
    }


def test_two_tasks_of_one_name_are_refused(tmp_path):
    record = made_up(runs_of(study_at(tmp_path))[0], skill=0.5)
    other = replace(record, task="probe/Credit")
    with pytest.raises(ConfigError, match="'probe/credit' and 'probe/Credit' would both be"):
        marl_eval([record, other])
