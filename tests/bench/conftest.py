"""The studies under benchmarks/ as modules."""

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture(scope="session")
def growth():
    spec = importlib.util.spec_from_file_location("growth", BENCHMARKS / "growth.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
