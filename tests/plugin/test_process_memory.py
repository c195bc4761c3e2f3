"""Greatest memory of the process, and what captures of networks of any size take of it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gennape_plugin.process_memory import peak_mib, reset_peak

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    reset_peak() is None, reason="this system tells no process's memory"
)


def test_the_peak_stays_and_is_set_back() -> None:
    before = reset_peak()
    data = torch.ones(16 << 20)  # 64 MiB
    del data
    assert 60 < peak_mib() - before < 200
    assert reset_peak() < before + 32
    assert peak_mib() < before + 32


@pytest.mark.slow
@pytest.mark.parametrize("case", ["module", "onnx-beside", "onnx-missing"])
def test_five_billion_parameters(case: str) -> None:
    """20 GB of weights, captured in less than 100 MiB."""
    if case != "module":
        pytest.importorskip("onnx")
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "bench_memory.py", "--case", case],
        capture_output=True,
        text=True,
        check=True,
    )
    params, nodes, _, growth = map(float, done.stdout.split())
    assert params > 5
    assert nodes > 200
    assert growth < 100
