"""Every example runs as its first lines say, in short, and prints what it promises."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *words])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_optuna(monkeypatch, capsys) -> None:
    run("optuna_search.py", "--trials", "6", "--max-flops", "1e9", monkeypatch=monkeypatch)
    first, *best = capsys.readouterr().out.splitlines()
    assert first.endswith("of 6 trials within 1e+09 FLOPs")
    scores = [float(line.split()[1]) for line in best]
    assert scores == sorted(scores, reverse=True)
    assert scores


def test_pymoo(monkeypatch, capsys) -> None:
    words = ("--generations", "2", "--population", "8")
    run("pymoo_search.py", *words, monkeypatch=monkeypatch)
    first, *front = capsys.readouterr().out.splitlines()
    assert first == f"{len(front)} cells that no other beats in both score and FLOPs"
    scores = [float(line.split()[1]) for line in front]
    assert scores == sorted(scores)


def test_sklearn(monkeypatch, capsys) -> None:
    run("sklearn_regressor.py", "--count", "3", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.startswith("3 architectures of NAS-Bench-201, ")


@pytest.mark.slow
@pytest.mark.data
def test_sklearn_with_labels(monkeypatch, capsys, data_dir) -> None:
    labels = str(data_dir / "nasbench201.jsonl.gz")
    words = ("--labels", labels, "--column", "c10_test_acc_200ep", "--count", "24")
    run("sklearn_regressor.py", *words, monkeypatch=monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["GennapeRegressor", "GennapeFeatures, ridge"]
    assert all("over 4 folds" in line for line in lines)


@pytest.mark.slow
def test_mutations_in_nni(monkeypatch, capsys) -> None:
    words = ("--candidates", "4", "--iterations", "1")
    run("nni_mutations.py", *words, monkeypatch=monkeypatch)
    lines = [line for line in capsys.readouterr().out.splitlines() if "score" in line]
    assert lines[0].startswith("NNI's best of 4: candidate")
    start, *found = lines[1:]
    flops = float(start.split()[-2])
    assert found
    assert all(float(line.split(" GFLOPs")[0].split()[-1]) <= flops for line in found)
