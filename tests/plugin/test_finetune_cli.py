"""``gennape finetune``, and every fault of its labels."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from gennape_plugin.adapters.families import family

from gennape_plugin import Gennape
from gennape_plugin.cli import main

SPACE = family("nasbench201")


def rows(count: int = 12) -> list[dict[str, Any]]:
    rng = random.Random(0)
    archs = [SPACE.sample(rng) for _ in range(count)]
    return [
        {"arch_str": str(arch), "acc": 70 + SPACE.graph(arch).params / 1e5, "text": "x"}
        for arch in archs
    ]


def run(tmp_path: Path, content: list[Any], *options: str) -> int:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return main(
        ["finetune", "--family", "nasbench201", "--labels", str(path), "--column", "acc",
         "--out", str(tmp_path / "out"), *options]
    )  # fmt: skip


def test_it_writes_weights_that_work(tmp_path, capsys) -> None:
    assert run(tmp_path, rows()) == 0
    out = capsys.readouterr().out
    assert "12 labels of NAS-Bench-201, mode default" in out
    assert "cross-validated SRCC" in out
    tuned = Gennape.from_pretrained(tmp_path / "out")
    assert tuned.score(SPACE.graph(SPACE.sample(random.Random(9)))).dataset == "CIFAR-10"


def test_a_draw_of_labels(tmp_path, capsys) -> None:
    assert run(tmp_path, rows(), "--samples", "6") == 0
    assert "6 labels of NAS-Bench-201" in capsys.readouterr().out
    assert run(tmp_path, rows(), "--samples", "13") == 2
    assert "is not empty" in capsys.readouterr().err


def changed(row: int, **values: Any) -> list[dict[str, Any]]:
    return [{**r, **values} if i == row else r for i, r in enumerate(rows())]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(2, acc=None), "line 3: no number in column 'acc'; this line has none"),
        (changed(2, arch_str="|nor_conv_9x9~0|"), "line 3: not a NAS-Bench-201 string"),
        (changed(2, arch_str=rows()[0]["arch_str"]), "line 3: the architecture of line 1 again"),
        (changed(2, acc=120), "line 3: acc is 120, which is no percentage (0 to 100)"),
        (changed(2, acc=float("nan")), "line 3: acc is nan"),
        ([{**r, "acc": r["acc"] / 100} for r in rows()], "holds no value above 1"),
        ([{**r, "acc": 80} for r in rows()], "all 12 accuracies are 80"),
        (rows()[:4], "4 labelled networks: give at least 5"),
        ([], "0 labelled networks"),
        (["text"], "line 1: each line holds one JSON object"),
    ],
)
def test_faults_of_the_labels(tmp_path, capsys, content, message) -> None:
    assert run(tmp_path, content) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "labels.jsonl" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_fractions_are_taken_when_said(tmp_path, capsys) -> None:
    content = [{**r, "acc": r["acc"] / 100} for r in rows()]
    assert run(tmp_path, content, "--fractions") == 0
    assert run(tmp_path, rows(), "--fractions") == 2
    assert "is not empty" in capsys.readouterr().err


def test_population_ranking_from_the_shell(capsys) -> None:
    networks = ["examples/nasbench_cells.py:resnet_cell", "examples/nasbench_cells.py:plain_cell"]
    assert main(["rank", *networks, "--input", "3x32x32", "--population"]) == 0
    assert "normal score among these networks" in capsys.readouterr().out
    assert main(["rank", *networks, "--input", "3x32x32", "--mode", "paper"]) == 2
    assert "add --population" in capsys.readouterr().err


def test_rows_that_no_network_can_be_made_of_are_left_out(tmp_path, capsys) -> None:
    """As every other command does with the published labels of OFA-ResNet50."""
    rng, found = random.Random(0), []
    for i in range(8):
        row: dict[str, Any] = {"w": [rng.randrange(3) for _ in range(6)], "d": [2] * 5}
        row |= {"e": [rng.choice((0.2, 0.25, 0.35)) for _ in range(18)]}
        found.append({**row, "imagenet_top1_surrogate": 70.0 + i})
    found.append({**found[0], "w": [None, *found[0]["w"][1:]]})
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    assert main(
        ["finetune", "--family", "ofa_resnet50", "--labels", str(path), "--column",
         "imagenet_top1_surrogate", "--out", str(tmp_path / "out")]
    ) == 0  # fmt: skip
    assert "8 labels of" in capsys.readouterr().out
