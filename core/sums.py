"""Sums that are written as a reduction of a stack: ``torch.stack(maps).sum(0)``.

Frameworks' cells add their maps so. The estimator knows additions, so it reads these as one.
"""

from .graph import ComputeGraph
from .node import Node, make_node
from .rewiring import rewired


def plain_sums(graph: ComputeGraph) -> ComputeGraph:
    """``graph`` with an addition in the place of every sum over the axis of a stack.

    The sum of a single map is that map. A graph without such sums is returned as it is.
    """
    nodes, reads = graph.nodes, graph.operands
    if not any(node.op == "stack" for node in nodes):
        return graph
    sums = [i for i, node in enumerate(nodes) if _sums_stack(node, reads[i], nodes)]
    if not sums:
        return graph
    kept: list[Node] = list(nodes)
    operands = list(reads)
    stands = list(range(len(nodes)))  # what stands for a node's value
    summed = set(sums)
    for i, node in enumerate(nodes):
        operands[i] = tuple([stands[o] for o in operands[i]])
        if i not in summed:
            continue
        terms = operands[operands[i][0]]
        if len(terms) == 1:
            stands[i] = terms[0]
        else:
            operands[i] = terms
            shapes = tuple([kept[o].shape for o in terms])
            kept[i] = make_node("add", {}, shapes, in_axis=node.axis)
    return rewired(graph, kept, operands)


def _sums_stack(node: Node, reads: tuple[int, ...], nodes: tuple[Node, ...]) -> bool:
    return (
        node.op == "reduce"
        and nodes[reads[0]].op == "stack"
        and node.attr("function") == "sum"
        and node.attr("axes") == (nodes[reads[0]].attr("dim"),)
        and not node.attr("keepdim")
    )
