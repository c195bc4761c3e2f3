"""A graph with some of its nodes exchanged or bypassed."""

from collections.abc import Sequence

from .graph import ComputeGraph
from .node import Node


def reached(nodes: Sequence[Node], operands: Sequence[tuple[int, ...]]) -> list[bool]:
    """For each node, whether the last one depends on it; inputs count as reached."""
    alive = [node.op == "input" for node in nodes]
    alive[-1] = True
    for i in range(len(nodes) - 1, -1, -1):
        if alive[i]:
            for operand in operands[i]:
                alive[operand] = True
    return alive


def rewired(
    graph: ComputeGraph, nodes: Sequence[Node], operands: Sequence[tuple[int, ...]]
) -> ComputeGraph:
    """``graph`` with other nodes and operands; what its output no longer reads is dropped.

    Args:
        graph: The graph, whose inputs all stay.
        nodes: A node for each of its nodes, of the same shape.
        operands: What each reads, numbered as in ``graph``.
    """
    keep = [i for i, alive in enumerate(reached(nodes, operands)) if alive]
    number = {old: new for new, old in enumerate(keep)}
    # A shared weight whose first user is gone belongs to the next one.
    heirs: dict[int, int] = {}
    return ComputeGraph(
        [nodes[i] for i in keep],
        [tuple([number[o] for o in operands[i]]) for i in keep],
        weight_of=[heirs.setdefault(graph.weight_of[i], number[i]) for i in keep],
        scopes=[graph.scopes[i] for i in keep],
        name=graph.name,
        _trusted=True,
    )
