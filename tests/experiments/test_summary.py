"""What a study says: claims that its seeds allow, over the tasks and lines that can be compared."""

import json
from dataclasses import replace

import numpy as np
import pytest
from small_study import (
    FIVE_SEEDS,
    TEXT,
    WITH_A_PARTIAL_LINE,
    made_up,
    study_at,
    write_all,
)

from opspo.evaluate import Evaluation
from opspo.experiments.aggregation import across, known_interval
from opspo.experiments.grid import runs_of
from opspo.experiments.reading import read_scores
from opspo.experiments.records import path_of, write_record
from opspo.experiments.statistics import interquartile_mean
from opspo.experiments.study_page import write_report
from opspo.experiments.summary import differing_settings, summarise

SKILLS = {"mappo": 0.4, "opspo": 0.8}


def summary_of(folder, text, skills=SKILLS):
    """The summary of a study, all of whose runs are finished."""
    file = study_at(folder, text)
    write_all(file, folder, skills=skills)
    return summarise(read_scores([str(file.path)], results=folder))


def test_the_claim_has_the_figures(tmp_path):
    summary = summary_of(tmp_path, FIVE_SEEDS)
    (ours, theirs) = (summary["aggregates"][line]["IQM"] for line in ("opspo", "mappo"))
    assert 0.75 < ours[0] < 0.85 and 0.35 < theirs[0] < 0.45
    assert summary["claim"] == (
        "opspo is ahead of mappo: opspo reaches an interquartile mean of "
        f"{ours[0]:.2f} [{ours[1]:.2f}, {ours[2]:.2f}] over 2 tasks, mappo "
        f"{theirs[0]:.2f} [{theirs[1]:.2f}, {theirs[2]:.2f}], and a run of opspo scores higher "
        "than one of mappo with probability 1.00 [1.00, 1.00]."
    )
    assert summary["runs"] == 20 and summary["hours"] == round(20 / 60, 2)
    assert summary["pairs"] == [["opspo", "mappo", 1.0, 1.0, 1.0]]
    assert summary["settings"]["algorithm.advantage"] == {"mappo": "gae", "opspo": "trace"}
    assert summary["warnings"] == [] and summary["note"] == ""


@pytest.mark.parametrize(("seeds", "said"), [(1, "1 seed"), (2, "2 seeds"), (4, "4 seeds")])
def test_few_seeds_claim_nothing(tmp_path, seeds, said):
    text = TEXT.replace('"0..1"', str(list(range(seeds))))
    summary = summary_of(tmp_path, text)
    assert summary["claim"].startswith(f"{said} cannot say which line is ahead: opspo reaches")
    assert summary["warnings"] == [
        f"Every line has only {said}: too few for an interval to be trusted."
    ]


def test_the_fewest_seeds_count(tmp_path):
    file = study_at(tmp_path, FIVE_SEEDS)
    write_all(file, tmp_path, skills=SKILLS)
    path_of(runs_of(file)[0], tmp_path).unlink()
    summary = summarise(read_scores([str(file.path)], results=tmp_path))
    assert summary["claim"].startswith("4 seeds cannot say which line is ahead: ")
    assert summary["warnings"] == [
        "Some lines have only 4 seeds: too few for an interval to be trusted.",
        "Lines and tasks differ in their number of seeds.",
    ]


def test_equal_lines_are_not_ranked(tmp_path):
    summary = summary_of(tmp_path, FIVE_SEEDS, {"mappo": 0.5, "opspo": 0.5})
    one, other = summary["tasks"][0]["lines"].values()
    assert one["seeds"] != other["seeds"]
    assert summary["claim"].startswith("No line is clearly ahead: ")
    assert summary["pairs"][0][3] < 0.5 < summary["pairs"][0][4]


def test_a_line_for_some_tasks_is_left_out_of_the_aggregates_and_named(tmp_path):
    skills = SKILLS | {"mappo, low clip": 0.9}
    summary = summary_of(tmp_path, WITH_A_PARTIAL_LINE, skills)
    assert list(summary["aggregates"]) == ["mappo", "opspo"]
    assert "over 2 tasks" in summary["claim"]
    assert summary["note"] == (
        "For some tasks alone, and so left out of the aggregates: mappo, low clip."
    )
    assert list(summary["tasks"][1]["lines"]) == ["mappo", "opspo", "mappo, low clip"]
    assert not any("left out" in said for said in summary["warnings"])


def test_a_line_that_lacks_runs_leaves_its_task_out(tmp_path):
    file = study_at(tmp_path)
    write_all(file, tmp_path, skills=SKILLS)
    for run in runs_of(file, ["probe/memory:opspo"]):
        path_of(run, tmp_path).unlink()
    summary = summarise(read_scores([str(file.path)], results=tmp_path))
    assert "over 1 task," in summary["claim"] and list(summary["aggregates"]) == ["mappo", "opspo"]
    assert (
        "probe/memory lacks runs of some lines: it is left out of the aggregates."
        in summary["warnings"]
    )


def test_among_chosen_tasks_a_line_for_them_is_aggregated(tmp_path):
    file = study_at(tmp_path, WITH_A_PARTIAL_LINE)
    write_all(file, tmp_path, skills=SKILLS | {"mappo, low clip": 0.9})
    found = read_scores([str(file.path)], only=["probe/memory"], results=tmp_path)
    assert across(found.scores).lines == ("mappo", "opspo", "mappo, low clip")


def test_where_no_line_is_for_all_tasks_nothing_is_aggregated(tmp_path):
    others = WITH_A_PARTIAL_LINE.split("[[variants]]")[1]
    text = TEXT.replace("steps = 512", "steps = 512\nunvaried = false")
    text += "".join(
        f"[[variants]]{others.replace('low clip', name).replace('probe/memory', task)}"
        for name, task in (("a", "probe/memory"), ("b", "probe/credit"))
    )
    summary = summary_of(tmp_path, text, {"mappo, a": 0.4, "mappo, b": 0.5})
    assert summary["claim"] == "No line is for all tasks, so nothing can be said across tasks."
    assert summary["aggregates"] == {} and summary["pairs"] == []


def lost(record):
    """A record whose score is no number."""
    nowhere = Evaluation(returns=(np.nan,) * 8, lengths=(3,) * 8, wins=None)
    return replace(record, absolute=nowhere)


def test_a_score_that_is_no_number_is_ranked_last_and_said(tmp_path):
    file = study_at(tmp_path, FIVE_SEEDS)
    write_all(file, tmp_path, skills={"mappo": 0.4, "opspo": 0.8})
    run = runs_of(file, ["opspo"])[0]
    write_record(lost(made_up(run, skill=0.8)), path_of(run, tmp_path))
    found = read_scores([str(file.path)], results=tmp_path)
    summary = write_report(found, tmp_path / "report.html", title="small")
    assert summary["claim"].startswith("mappo reaches an interquartile mean of 0.4")
    assert summary["aggregates"]["opspo"]["IQM"] == [None, None, None]
    assert summary["pairs"] == [["mappo", "opspo", None, None, None]]
    assert summary["warnings"] == [
        "opspo has a run on probe/credit whose score is not a number. It is ranked last."
    ]
    json.dumps(summary, allow_nan=False)
    for other in runs_of(file):
        write_record(lost(made_up(other, skill=0.8)), path_of(other, tmp_path))
    found = read_scores([str(file.path)], results=tmp_path)
    summary = write_report(found, tmp_path / "report.html", title="small")
    assert summary["claim"].startswith("No line has a score in each of its runs over 2 tasks")


def test_an_interval_is_unknown_exactly_where_a_score_is():
    scores = np.arange(24.0).reshape(8, 3)
    whole = known_interval(interquartile_mean, [scores])
    scores[0, 1] = np.inf
    found = known_interval(interquartile_mean, [scores])
    for part, before in ((found.estimate, whole.estimate), (found.low, whole.low)):
        assert np.isnan(part).tolist() == [False, True, False]
        np.testing.assert_allclose(part[[0, 2]], before[[0, 2]])


def test_settings_are_compared_task_by_task(tmp_path):
    text = WITH_A_PARTIAL_LINE.replace(
        'tasks = ["probe/credit", "probe/memory"]',
        'tasks = ["probe/credit"]\n[groups.settings]\n"policy.hidden_sizes" = [4]\n[[groups]]\n'
        'name = "others"\ntasks = ["probe/memory"]',
    ).replace('["mappo", "opspo"]', '["mappo"]')
    variant = text.rindex("probe/memory")
    text = text[:variant] + text[variant:].replace("memory", "credit")
    file = study_at(tmp_path, text)
    records = write_all(file, tmp_path, skills={"mappo": 0.4, "mappo, low clip": 0.4})
    sizes = {record.config.policy.hidden_sizes for record in records}
    assert sizes == {(4,), (8,)}, "tasks differ, lines do not"
    assert differing_settings(records) == {
        "algorithm.clip": {"mappo": "0.2", "mappo, low clip": "0.1"}
    }


def test_a_setting_of_one_line_alone_differs(tmp_path):
    records = write_all(study_at(tmp_path), tmp_path, skills=SKILLS)
    found = differing_settings(records)
    assert found["algorithm.order"].keys() == {"opspo"}
    assert "checkpoint.every_steps" not in found and "seed" not in found
