"""Strict arithmetic for the mathematics, and small runs that several tests look at."""

from __future__ import annotations

import gc
import os
from pathlib import Path

# Many tests compile the same programs, some in processes of their own: let them share.
CACHE = Path(__file__).parent.parent / ".jax_cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# Nearly all programs of the tests run for less time than they take to compile. An own flag wins.
QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)
GIVEN = os.environ.get("XLA_FLAGS", "")
if QUICKLY not in GIVEN:  # as in a process that a test has started: the same flags, the same cache
    os.environ["XLA_FLAGS"] = f"{QUICKLY} {GIVEN}"

# Tracing makes many objects, which Python would look through again and again.
gc.set_threshold(50_000, 50, 50)

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("steady")

STRICT = ("estimators", "objectives", "theory", "update", "policies")


@pytest.fixture(autouse=True)
def strict(request):
    """64 bits, and no silent promotion of rank or dtype, in the tests of the mathematics."""
    folder = Path(request.node.path).parent.name
    if folder not in STRICT:
        yield
        return
    lenient = request.node.get_closest_marker("lenient_dtypes")
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("standard" if lenient else "strict"),
    ):
        yield


QUICK = (
    *("estimators", "objectives", "policies", "theory"),
    *("test_catalogue.py", "test_changes.py", "test_cli.py", "test_config.py", "test_format.py"),
    *("test_minibatch.py", "test_order.py", "test_paper_presets.py", "test_presets.py"),
    *("test_project.py", "test_ranges.py", "test_spaces.py", "test_structure.py", "test_terms.py"),
)
"""Folders and files whose tests, but for slow ones, are in `make test-quick`"""


def pytest_collection_modifyitems(items):
    """Mark the quick ones, and put those together that share a program and so want one worker."""
    for item in items:
        if not item.get_closest_marker("slow") and {item.path.name, item.path.parent.name} & {
            *QUICK
        }:
            item.add_marker("quick")
    files = {path: n for n, path in enumerate(dict.fromkeys(item.path for item in items))}

    def place(item):
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        return files[item.path], str(parameters.get("which", ""))

    items.sort(key=place)


MOST_MEMORY = 4 * 2**30
"""Bytes that a worker may hold before it drops what it has compiled"""


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Compiled programs pile up: a worker would come to hold seven gigabytes."""
    yield
    statm = Path("/proc/self/statm")
    if (
        statm.exists()
        and int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > MOST_MEMORY
    ):
        jax.clear_caches()
