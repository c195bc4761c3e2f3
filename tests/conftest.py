"""Set-up shared by all tests: executed shape annotations, one thread a worker, the data folder."""

import os
import sys
from pathlib import Path

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parents[1]

# xdist's workers share the cores; more threads only get in each other's way.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start

# Every function of the core checks the shapes it declares for as long as the tests run. The hook
# sees only modules imported after it; each xdist worker loads this file anew.
if "gennape_plugin.core" in sys.modules:
    raise pytest.UsageError(
        "gennape_plugin.core was imported before tests/conftest.py could install the shape checks; "
        "look for a pytest plugin or a conftest.py above tests/ that imports it"
    )
install_import_hook("gennape_plugin.core", "beartype.beartype")

# The contracts that the package ships: their asserts explain themselves as those of tests do.
pytest.register_assert_rewrite("gennape_plugin.testing")

# No deadline: the first call into torch is slow on any machine.
hypothesis.settings.register_profile("local", deadline=None, print_blob=True)
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable" if "CI" in os.environ else "local")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of labelled architectures (``*.jsonl.gz``); the test is skipped without it."""
    given = os.environ.get("GENNAPE_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not any(folder.glob("*.jsonl.gz")):
        source = "GENNAPE_DATA" if given else "../shared/data; GENNAPE_DATA is not set"
        pytest.skip(f"no labelled data (*.jsonl.gz) in {folder} ({source})")
    return folder
