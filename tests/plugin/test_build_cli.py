import json
import random
from pathlib import Path

import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core.graph_json import load_graph, save_graph
from rebuilt import captured_again, class_in

from gennape_plugin.cli import main

ROOT = Path(__file__).resolve().parents[2]
RESNET = [str(ROOT / "examples" / "resnet_cifar.py") + ":resnet20", "--input", "3x32x32"]


@pytest.fixture
def graph_file(tmp_path):
    space = family("hiaml")
    path = tmp_path / "graph.json"
    save_graph(space.graph(space.sample(random.Random(0))), path)
    return path


def test_a_graph_becomes_a_file_to_import(graph_file, tmp_path, capsys):
    out = tmp_path / "model.py"
    assert main(["build", str(graph_file), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    graph = load_graph(graph_file)
    assert f"the same graph, hash {graph.hash}" in printed
    assert "from model import Net" in printed
    assert captured_again(graph, class_in(out.read_text())()) == graph


def test_a_network_is_printed_where_no_file_is_named(capsys):
    assert main(["build", *RESNET, "--class-name", "ResNet"]) == 0
    made = class_in(capsys.readouterr().out, "ResNet")()
    assert sum(p.numel() for p in made.parameters()) == 269_722


def test_an_onnx_file_is_written(graph_file, tmp_path, capsys):
    pytest.importorskip("onnx")
    out = tmp_path / "model.onnx"
    assert main(["build", str(graph_file), "--onnx", str(out)]) == 0
    assert "ONNX model" in capsys.readouterr().out
    assert main(["trace", str(out)]) == 0
    assert f"hash {load_graph(graph_file).hash}" in capsys.readouterr().out


def test_what_cannot_be_built_is_one_line(graph_file, tmp_path, capsys):
    data = json.loads(graph_file.read_text())
    relu = next(op for op in data["ops"] if op["op"] == "relu")
    relu |= {"op": "custom", "attrs": {"target": "mine", "params": 0}}
    graph_file.write_text(json.dumps(data))
    assert main(["build", str(graph_file), "-o", str(tmp_path / "model.py")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gennape build: this graph cannot be rebuilt because of node ")
    assert "(custom 'mine' in 'stem')" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "model.py").exists()
