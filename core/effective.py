"""The part of a network that its output depends on.

Search spaces have the operation ``none``, which passes zeros on. What only a ``none``
reads does nothing, and what reads only constants is one; neither adds capacity, though
both are trained and counted as FLOPs. Statistics and embeddings are taken without them.
"""

from .graph import ComputeGraph
from .node import Node, make_node
from .rewiring import rewired
from .sums import plain_sums

_SUMS = frozenset({"add", "sub"})


def effective(graph: ComputeGraph) -> ComputeGraph:
    """``graph`` without ``none`` operations and what they make pointless.

    Sums lose their constant terms (biases of batch norms count as constants), and sums of
    stacks are read as additions; a graph without either, or of nothing but ``none``, is
    returned as it is.
    """
    graph = plain_sums(graph)
    if not any(node.op == "zero" for node in graph.nodes):
        return graph
    count = len(graph.nodes)
    constant = [False] * count
    # What stands for a node's value: itself, or the one term that is left of its sum.
    stands = list(range(count))
    operands: list[tuple[int, ...]] = []
    nodes: list[Node] = list(graph.nodes)
    changed: set[int] = set()  # constants, and sums that one term stands for
    for i, (node, reads) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if changed.isdisjoint(reads):
            if node.op == "zero":
                constant[i] = True
                changed.add(i)
            operands.append(reads)
            continue
        reads = tuple([stands[o] for o in reads])
        constants = sum([constant[o] for o in reads])
        if node.op == "zero" or constants == len(reads) or (node.op == "mul" and constants):
            constant[i] = True
            changed.add(i)
        elif node.op in _SUMS and constants:
            left = tuple([o for o in reads if not constant[o]])
            if all(nodes[o].shape == node.shape for o in left):
                reads = left
                if len(left) == 1:
                    stands[i] = left[0]
                    changed.add(i)
                else:
                    shapes = tuple([nodes[o].shape for o in left])
                    nodes[i] = make_node(node.op, dict(node.attrs), shapes, in_axis=node.in_axis)
        operands.append(reads)
    if constant[-1]:
        return graph
    return rewired(graph, nodes, operands)
