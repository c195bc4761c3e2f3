"""Graphs changed in ways that must not matter."""

import random

from gennape_plugin.core.graph import ComputeGraph


def renumbered(graph: ComputeGraph, rng: random.Random) -> ComputeGraph:
    """The same network with its nodes in another topological order, the output last.

    Args:
        graph: The network.
        rng: Draws the order.
    """
    waiting = [len(set(operands)) for operands in graph.operands]
    readers: list[set[int]] = [set() for _ in graph.nodes]
    for consumer, operands in enumerate(graph.operands):
        for producer in operands:
            readers[producer].add(consumer)
    last = len(graph) - 1
    ready, order = [i for i, count in enumerate(waiting) if not count], []
    while ready:
        order.append(ready.pop(rng.randrange(len(ready))))
        for consumer in readers[order[-1]]:
            waiting[consumer] -= 1
            if not waiting[consumer] and consumer != last:
                ready.append(consumer)
    order.append(last)
    number = {old: new for new, old in enumerate(order)}
    # Shared weights belong to whichever of their users comes first now.
    owners: dict[int, int] = {}
    return ComputeGraph(
        [graph.nodes[i] for i in order],
        [[number[operand] for operand in graph.operands[i]] for i in order],
        weight_of=[owners.setdefault(graph.weight_of[i], number[i]) for i in order],
        name=graph.name,
    )
