"""Graphs inside nodes.

An ``If`` whose condition is a constant is replaced by the branch it takes: exporters write
such conditions on sizes. Every other ``If``, and every ``Loop``, ``Scan`` and
``SequenceMap``, runs as the data decide, which no single graph shows: one clear error.
"""

from typing import Any, Final

from gennape_plugin.core.errors import CaptureError, GraphError

from .nodes import OnnxNode, Subgraph
from .ordering import check_order
from .registry import Call
from .tensors import is_float, read_tensor
from .values import Value

CONTROL: Final = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def branch_taken(call: Call, serial: int) -> list[OnnxNode]:
    """The nodes of the branch that an ``If`` takes, ready to be written.

    Args:
        call: The node.
        serial: A number that no other call of this function gets.

    Raises:
        CaptureError: if data decide on the branch, or for other control flow.
        GraphError: if the branch is not well formed.
    """
    node, writer = call.node, call.writer
    condition = call.need(0).number if node.op == "If" else None
    if condition is None:
        raise CaptureError(
            f"{node.title} runs as the data decide, and a graph shows one way only: export the "
            "model with fixed sizes, or the branch or loop body on its own"
        )
    branch: Any = node.attrs.get("then_branch" if condition else "else_branch")
    if not isinstance(branch, Subgraph):
        raise GraphError("it lacks a branch")
    graph = branch.graph
    own = {name for inner in graph.node for name in inner.output}
    own |= {tensor.name for tensor in graph.initializer}
    suffix = f"#{serial}"

    def rename(name: str) -> str:
        return name + suffix if name in own else branch.rename(name)

    for tensor in graph.initializer:
        shape, dtype, data = read_tensor(tensor, f"initializer {tensor.name!r:.200}")
        learned = is_float(dtype) and shape != ()
        name = rename(tensor.name)
        writer.values[name] = Value(shape, dtype, None, data, learned, name, True)
    nodes = list(writer.network.functions.expand(graph.node, rename))
    if len(graph.output) < len(node.outputs):
        raise GraphError(f"its branch has {len(graph.output)} results: {len(node.outputs)} needed")
    for inner, outer in zip(graph.output, node.outputs, strict=False):
        if outer:
            nodes.append(OnnxNode("Identity", "", "", (rename(inner.name),), (outer,)))
    check_order(nodes, writer.values)
    return nodes
