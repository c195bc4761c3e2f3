"""Which operations push a network's score up or down, by leaving each out.

An operation is deleted as the paper's view drops operations: its producers are joined to
its consumers, and its multiply-adds, parameters and depth are gone. The network is scored
again, and what the score loses is the operation's attribution. That holds for whatever
the score is made of, unlike gradients, which the size prior has none of where it counts.

The score stays the full network's *kind* of score: the members' near the training graphs,
the size prior's far from them, the regressions' after fine-tuning. A deletion may move a
network across distance 1, and the jump between two kinds of score would drown its effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.node import Node

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

#: Nodes that all the shortened networks together may have: some seconds on a slow core.
BUDGET: Final = 250_000
#: How far around an operation surroundings are compared, in edges, from fine to coarse.
_REACH: Final = (6, 4, 3, 2, 1, 0)
#: Ends are no operations, and a `none` already does nothing.
_KEPT: Final = frozenset({"input", "output", "zero"})
_CHUNK: Final = 64  # shortened networks that are held at once


@dataclass(frozen=True)
class Attribution:
    """What each operation adds to the score.

    Attributes:
        values: For each node of the graph, the score with it less the score without it;
            0 where it was not measured.
        basis: What the score is made of: ``"members"``, ``"size"`` or ``"labels"``.
        score: Score of the whole network on that basis.
        deletions: How many networks were scored.
        reach: Operations with equal surroundings within so many edges share one measurement;
            ``None`` where each was measured by itself.
        skipped: Operations left out because the graph is too large.
    """

    values: FloatArray
    basis: str
    score: float
    deletions: int
    reach: int | None
    skipped: int


def attribute(model: GennapeModel, graph: ComputeGraph, *, budget: int = BUDGET) -> Attribution:
    """Score the network without each of its operations.

    Args:
        model: The trained model.
        graph: The network.
        budget: Nodes that all shortened networks together may have. Beyond it, operations
            with equal surroundings share one measurement, and the cheapest get none.
    """
    basis, score = held_score(model, graph)
    full = float(score([graph])[0])
    candidates = candidates_of(graph)
    classes, reach = _classes(graph, candidates, budget // len(graph))
    # Where even those are too many, the costly ones matter most to every kind of score.
    chosen = sorted(classes, key=lambda c: _cost(graph, c[0]), reverse=True)
    chosen = chosen[: budget // len(graph)]
    values = np.zeros(len(graph))
    for start in range(0, len(chosen), _CHUNK):
        part = chosen[start : start + _CHUNK]
        # The middle one stands for its class: those at its ends see a stage's borders.
        scores = score([without(graph, [c[len(c) // 2]]) for c in part])
        for nodes, value in zip(part, scores, strict=True):
            values[nodes] = full - value
    measured = sum(map(len, chosen))
    return Attribution(values, basis, full, len(chosen), reach, len(candidates) - measured)


def candidates_of(graph: ComputeGraph) -> list[int]:
    """The operations that may be left out: all that some view or cost shows."""
    return [i for i in range(len(graph)) if _counts(graph, i)]


def held_score(
    model: GennapeModel, graph: ComputeGraph
) -> tuple[str, Callable[[Sequence[ComputeGraph]], FloatArray]]:
    """The kind of score that ``graph`` gets, and a function that gives it to any graphs."""
    basis = model.basis(float(model.predict(GraphStore.of([graph])).distance[0]))

    def score(graphs: Sequence[ComputeGraph]) -> FloatArray:
        outputs = model.predict(GraphStore.of(graphs), batch_size=_CHUNK)
        return np.asarray(model.score_on(basis, outputs).double().numpy(), dtype=np.float64)

    return basis, score


def without(graph: ComputeGraph, deleted: Sequence[int]) -> ComputeGraph:
    """``graph`` with some operations replaced by ones that do, cost and show nothing.

    Weights that a deleted operation shared belong to the first of the others that use them.
    """
    gone = set(deleted)
    nodes = [_nothing(node) if i in gone else node for i, node in enumerate(graph.nodes)]
    heirs: dict[int, int] = {}
    owners = [
        i if i in gone else heirs.setdefault(owner, i) for i, owner in enumerate(graph.weight_of)
    ]
    return ComputeGraph(
        nodes,
        graph.operands,
        weight_of=owners,
        scopes=graph.scopes,
        name=graph.name,
        _trusted=True,
    )


@lru_cache(maxsize=1 << 12)
def _nothing(node: Node) -> Node:
    """A node of the same shapes that every view drops."""
    # Made by hand: no operation of the vocabulary may change a shape at no cost.
    return Node(
        op="cast",
        attrs=(("dtype", "deleted"),),
        in_shapes=node.in_shapes,
        shape=node.shape,
        in_axis=node.in_axis,
        axis=node.axis,
        macs=0,
        params=0,
        paper=(),
    )


def _counts(graph: ComputeGraph, index: int) -> bool:
    node = graph.nodes[index]
    return node.op not in _KEPT and bool(node.paper or node.macs or node.params)


def _cost(graph: ComputeGraph, index: int) -> tuple[int, int]:
    return graph.nodes[index].macs, graph.nodes[index].params


def _classes(
    graph: ComputeGraph, candidates: Sequence[int], limit: int
) -> tuple[list[list[int]], int | None]:
    """Operations that share a measurement, and how far their surroundings agree."""
    if len(candidates) <= limit:
        return [[i] for i in candidates], None
    colours = _surroundings(graph)
    classes: list[list[int]] = []
    for reach in _REACH:
        grouped: dict[bytes, list[int]] = {}
        for i in candidates:
            grouped.setdefault(colours[reach][i], []).append(i)
        classes = list(grouped.values())
        if len(classes) <= limit:
            return classes, reach
    return classes, _REACH[-1]


def _surroundings(graph: ComputeGraph) -> list[list[bytes]]:
    """For each reach, a hash of every node with all that lies within it, both ways."""
    readers: list[list[int]] = [[] for _ in graph.nodes]
    for producer, consumer, _ in graph.edges():
        readers[producer].append(consumer)
    names: dict[Node, bytes] = {}
    colours = [[names.setdefault(n, b"%d" % len(names)) for n in graph.nodes]]
    for _ in range(max(_REACH)):
        before = colours[-1]
        after = []
        for i, operands in enumerate(graph.operands):
            above = sorted([before[o] for o in operands])
            below = sorted([before[r] for r in readers[i]])
            text = b"|".join([before[i], *above, b"/", *below])
            after.append(blake2b(text, digest_size=12).digest())
        colours.append(after)
    return colours
