"""Whether the check names every fault of the environments in `broken`, and finds none in others."""

import pytest
from broken import in_jax, in_pettingzoo, on_host

import opspo

MODULES = {"JAX": in_jax, "a host": on_host, "PettingZoo": in_pettingzoo}


def cases(table):
    return [
        pytest.param(case, id=f"{where}: {name}")
        for where, module in MODULES.items()
        for name, case in getattr(module, table).items()
    ]


def check(environment):
    return opspo.check_env(environment, max_steps=50)


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
