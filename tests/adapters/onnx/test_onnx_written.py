"""Graphs written as ONNX files, and read back."""

import random

import pytest
from gennape_plugin.adapters.families import families
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.adapters.onnx.export import export_onnx
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph import ComputeGraph

pytest.importorskip("onnx")


def as_exported(graph: ComputeGraph) -> ComputeGraph:
    """A graph without what the exporter leaves out.

    Dropout and identities do nothing in evaluation, and equal operations without weights on the
    same operands are computed once.
    """
    b = GraphBuilder(graph.name)
    now: list[int] = []
    known: dict[object, int] = {}
    for index, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        reads = tuple(now[i] for i in operands)
        if node.op in ("dropout", "identity"):
            now.append(reads[0])
        elif node.op == "output":
            return b.build(*reads)
        elif node.params or node.op == "input":
            now.append(b.append(node, reads))
        else:
            now.append(known.get((node, reads), -1))
            if now[index] < 0:
                now[index] = known[node, reads] = b.append(node, reads)
    raise AssertionError("a graph ends with its output")


@pytest.mark.parametrize("name", ["nasbench201", "nasbench301", "two_path", "transnas101_micro"])
def test_a_file_of_a_graph_reads_as_the_graph(name, tmp_path):
    family = families()[name]
    graph = family.graph(family.sample(random.Random(1)))
    path = tmp_path / "network.onnx"
    export_onnx(graph, path)
    captured = capture_onnx(path)
    assert captured.warnings == ()
    assert captured.graph.hash == as_exported(graph).hash


def test_several_inputs_and_outputs(tmp_path):
    b = GraphBuilder()
    x, y = b.input((1, 4)), b.input((1, 4))
    graph = b.build(b.linear(x, 3), b.join("add", x, y))
    export_onnx(graph, tmp_path / "network.onnx")
    assert capture_onnx(tmp_path / "network.onnx").graph.hash == graph.hash


def test_what_the_exporter_does_not_know_is_one_error(tmp_path):
    b = GraphBuilder()
    x = b.input((1, 3, 8, 8))
    graph = b.build(b.add("unary", (x,), function="digamma"))
    with pytest.raises(RebuildError, match=r"torch cannot export this network to ONNX: .*digamma"):
        export_onnx(graph, tmp_path / "network.onnx")
