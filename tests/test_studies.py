"""Every run of the studies under benchmarks/ can be configured."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readings = script("readings")


@pytest.mark.parametrize("task", readings.TASKS)
@pytest.mark.parametrize("name", readings.VARIANTS)
def test_every_variant_builds_where_it_applies_and_changes_something(task, name):
    if not readings.applies(task, name):
        return
    config = readings.configure(task, readings.VARIANTS[name], 0, 1000)
    default = readings.configure(task, {}, 0, 1000)
    assert config.policy.share_parameters == task.startswith("smax")
    assert (config == default) == (name == "default")
