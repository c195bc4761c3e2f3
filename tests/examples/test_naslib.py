"""The examples of NASLib run; they need a NASLib environment (docs/hosts/naslib.md)."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip(
        "naslib", reason="NASLib is not importable: put a clone on the path (docs/hosts/naslib.md)"
    )
    command = [sys.executable, "-W", "ignore", str(ROOT / "examples" / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("space", ["nasbench201", "nasbench301", "transbench101_macro"])
def test_random_samples_are_ranked(space: str) -> None:
    done = run("naslib_score.py", "--space", space, "--count", "3")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    scores = [float(line.split()[3]) for line in lines[1:4]]
    assert scores == sorted(scores, reverse=True)
    assert "encoding: (" in lines[-1]


@pytest.mark.parametrize("optimizer", ["bananas", "npenas"])
def test_search_without_labels(optimizer: str) -> None:
    done = run("naslib_search.py", "--optimizer", optimizer, "--epochs", "14", "--candidates", "10")
    assert done.returncode == 0, done.stderr
    assert "architectures chosen" in done.stdout
    assert "|+|" in done.stdout


def test_a_comparison_says_which_labels_it_lacks(tmp_path) -> None:
    done = run("naslib_predictors.py", "--data", str(tmp_path))
    assert done.returncode != 0
    assert "nasbench201.jsonl.gz is missing" in done.stderr


def test_comparison_by_naslibs_own_evaluator(data_dir) -> None:
    done = run("naslib_predictors.py", "--data", str(data_dir), "--test", "20", "--labels", "10")
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()[1:]
    assert len(rows) == 5
    assert all(-1 <= float(row.split()[-4]) <= 1 for row in rows)
