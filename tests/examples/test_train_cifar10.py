"""The training recipe on images that are made up: it learns, resumes and refuses."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph_json import save_graph
from gennape_plugin.core.rebuild import to_source

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_cifar10.py"


def small(classes: int = 10):
    b = GraphBuilder()
    x = b.input((1, 3, 32, 32))
    for channels in (8, 16):
        x = b.relu(b.batch_norm(b.conv(x, channels, kernel=3, stride=2)))
    return b.build(b.linear(b.mean(x, (2, 3)), classes))


@pytest.fixture
def run(monkeypatch, capsys):
    def in_this_process(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["train_cifar10.py", *map(str, words)])
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        return capsys.readouterr().out

    return in_this_process


def test_a_graph_and_its_source_train_alike(run, tmp_path):
    save_graph(small(), tmp_path / "graph.json")
    (tmp_path / "model.py").write_text(to_source(small()))
    results = tmp_path / "results.jsonl"
    words = ("--synthetic", "384", "--epochs", "4", "--seeds", "0", "--batch", "32")
    words = (*words, "--device", "cpu", "--results", results)
    first = run(tmp_path / "graph.json", *words)
    row = json.loads(results.read_text())
    assert row["accuracy"] > 40  # ten classes: 10 by chance
    assert f"| graph | {small().flops / 1e6:.1f} |" in first
    again = run(f"{tmp_path / 'model.py'}:Net", *words)
    assert "seed 0" not in again  # the same graph by the same recipe: known
    assert f"| {row['accuracy']:.2f} |" in again


def test_a_network_for_other_images_is_refused(run, tmp_path):
    save_graph(small(classes=7), tmp_path / "graph.json")
    with pytest.raises(SystemExit, match=r"graph maps \(1, 3, 32, 32\) to \(1, 7\)"):
        run(tmp_path / "graph.json", "--synthetic")


def test_torchvision_is_asked_for(run, tmp_path, monkeypatch):
    save_graph(small(), tmp_path / "graph.json")
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "torchvision.datasets", raising=False)
    with pytest.raises(SystemExit, match="or try the recipe with --synthetic"):
        run(tmp_path / "graph.json", "--data", tmp_path)
