"""Exported networks and hand-written models for the tests of the ONNX reader."""

import io
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node

#: What exporters leave out.
_LEFT_OUT = frozenset({"identity", "dropout"})


def exported(net: torch.nn.Module, *inputs: Any, opset: int = 17, **options: Any) -> Any:
    """A network as torch's exporter writes it."""
    import onnx

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates itself
        torch.onnx.export(net.eval(), inputs, file, dynamo=False, opset_version=opset, **options)
    return onnx.load_from_string(file.getvalue())


def as_exported(graph: ComputeGraph) -> ComputeGraph:
    """A captured graph without what an exporter leaves out.

    Identities and dropout are gone, and equal operations without weights on equal operands are
    done once.
    """
    stands: list[int] = []
    nodes: list[Node] = []
    operands: list[tuple[int, ...]] = []
    owners: list[int] = []
    known: dict[tuple[Node, tuple[int, ...]], int] = {}
    for index, (node, reads) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        reads = tuple(stands[o] for o in reads)
        if node.op in _LEFT_OUT:
            stands.append(reads[0])
            continue
        key = (node, reads)
        if not node.params and node.op not in ("input", "output", "parameter") and key in known:
            stands.append(known[key])
            continue
        known[key] = len(nodes)
        stands.append(len(nodes))
        owners.append(stands[graph.weight_of[index]])
        nodes.append(node)
        operands.append(reads)
    return ComputeGraph(nodes, operands, weight_of=owners)


def counts(graph: ComputeGraph) -> dict[str, Any]:
    """Costs, and the counts of the paper's view."""
    view = graph.paper_view()
    return {
        "macs": graph.macs,
        "params": graph.params,
        "nodes": view.num_nodes,
        "edges": view.num_edges,
        "weighted": view.num_weighted,
        "labels": Counter(op.name for op in view.ops),
    }


def model_of(
    nodes: Sequence[Any],
    inputs: dict[str, Sequence[Any]],
    outputs: Sequence[str] = ("y",),
    weights: dict[str, Any] | None = None,
    *,
    opset: int = 21,
    functions: Sequence[Any] = (),
    value_info: Sequence[Any] = (),
    kind: int = 1,
) -> Any:
    """A model of hand-written nodes: shapes by input, arrays or shapes by weight."""
    import onnx

    stored = []
    for name, weight in (weights or {}).items():
        if isinstance(weight, tuple):
            tensor = onnx.TensorProto(name=name, dims=weight, data_type=1)
            tensor.data_location = 1  # elsewhere: sizes are all that is needed
            stored.append(tensor)
        else:
            stored.append(onnx.numpy_helper.from_array(weight, name))
    graph = onnx.helper.make_graph(
        list(nodes),
        "net",
        [onnx.helper.make_tensor_value_info(n, kind, list(s)) for n, s in inputs.items()],
        [onnx.helper.make_tensor_value_info(name, 1, None) for name in outputs],
        stored,
        value_info=list(value_info),
    )
    domains = {"": opset, **{f.domain: 1 for f in functions}}
    return onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid(d, v) for d, v in domains.items()],
        functions=list(functions),
    )


def single(op: str, *shapes: Any, weights: Any = (), opset: int = 21, **attrs: Any) -> Capture:
    """A model of one node: inputs ``x0, x1, ...`` and then weights ``w0, w1, ...``."""
    import onnx

    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    stored = {f"w{i}": weight for i, weight in enumerate(weights) if weight is not None}
    names = [*inputs, *(f"w{i}" if w is not None else "" for i, w in enumerate(weights))]
    node = onnx.helper.make_node(op, names, ["y"], **attrs)
    return capture_onnx(model_of([node], inputs, ("y",), stored, opset=opset))


@pytest.fixture(scope="session")
def export() -> Callable[..., Any]:
    return exported


@pytest.fixture(scope="session")
def reduced() -> Callable[[ComputeGraph], ComputeGraph]:
    return as_exported


@pytest.fixture(scope="session")
def sizes() -> Callable[[ComputeGraph], dict[str, Any]]:
    return counts


@pytest.fixture(scope="session")
def model() -> Callable[..., Any]:
    return model_of


@pytest.fixture(scope="session")
def one() -> Callable[..., Capture]:
    return single
