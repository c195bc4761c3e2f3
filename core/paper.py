"""The paper's view of a computation graph.

The authors' graphs hold fewer things than ours: softmax, reshape, slices, constants
and divisions are dropped, additions and products with a constant vanish, hard-swish
is ReLU6 and Mul, an op that reads one tensor twice has one edge. The published node
and edge counts apply to this view, and the network sees graphs only through it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .ops import OPS, PAPER_INDEX, PAPER_LABELS, WEIGHTED_LABELS
from .shapes import Shape

if TYPE_CHECKING:
    from .graph import ComputeGraph

MAX_KERNEL: Final = 7  # the authors' kernel embedding has rows 0..7
_JOINS: Final = frozenset(PAPER_INDEX[label] for label in ("Add", "Mul", "Concat"))


@dataclass(frozen=True, slots=True)
class PaperOp:
    """A node as the paper's features see it (interned: equal nodes are one object).

    Attributes:
        label: Row in :data:`~gennape_plugin.core.ops.PAPER_LABELS`.
        resolution: ``(H_in, H_out, W_in, W_out, C_in, C_out)`` of the first operand and
            the result, in pixels and channels. Token sequences count as square maps of
            equal area, so heights and widths need not be whole.
        kernel: Height and width of the kernel, at most 7; ``(0, 0)`` without one.
        bias: Whether a weighted node adds a bias.
    """

    label: int
    resolution: tuple[float, float, float, float, float, float]
    kernel: tuple[int, int] = (0, 0)
    bias: bool = False

    @property
    def name(self) -> str:
        """The label's text."""
        return PAPER_LABELS[self.label]

    @property
    def weighted(self) -> bool:
        """Whether the node belongs to the paper's *weighted nodes*."""
        return PAPER_LABELS[self.label] in WEIGHTED_LABELS


@lru_cache(maxsize=1 << 16)
def _paper_op(
    label: str,
    before: tuple[float, float, float],
    after: tuple[float, float, float],
    kernel: tuple[int, int] = (0, 0),
    bias: bool = False,
) -> PaperOp:
    (h_in, w_in, c_in), (h_out, w_out, c_out) = before, after
    resolution = (h_in, h_out, w_in, w_out, c_in, c_out)
    return PaperOp(PAPER_INDEX[label], resolution, kernel, bias)


def height_width_channels(shape: Shape, axis: int) -> tuple[float, float, float]:
    """``(H, W, C)`` of a tensor whose channels lie on ``axis`` (batch on axis 0).

    One spatial axis (tokens), or three, become a square map of the same area.
    """
    if len(shape) < 2:
        return 1.0, 1.0, float(shape[0] if shape else 1)
    spatial = [size for i, size in enumerate(shape) if i not in (0, axis)]
    channels = float(shape[axis]) if axis else 1.0
    if len(spatial) == 2:
        return float(spatial[0]), float(spatial[1]), channels
    side = float(prod(spatial)) ** 0.5
    return side, side, channels


def paper_ops(
    op: str, attrs: Mapping[str, Any], before: Shape, in_axis: int, after: Shape, axis: int
) -> tuple[PaperOp, ...]:
    """What one op becomes in the paper's view (empty: dropped and bypassed)."""
    labels = OPS[op].paper
    if not labels:
        return ()
    first, last = height_width_channels(before, in_axis), height_width_channels(after, axis)
    match op:
        case "conv" | "conv_transpose":
            depthwise = 1 < attrs["groups"] == before[1]
            sizes = [min(k, MAX_KERNEL) for k in attrs["kernel"][-2:]]
            kernel = (sizes[0], sizes[1] if len(sizes) > 1 else 1)
            main = _paper_op(
                "Depthwise" if depthwise else "Conv", first, last, kernel, attrs["bias"]
            )
            rate = max(attrs["dilation"])
            if op == "conv" and rate > 1:
                # TF writes a dilated convolution between two space/batch moves.
                inner_in = (first[0] / rate, first[1] / rate, first[2])
                inner_out = (last[0] / rate, last[1] / rate, last[2])
                label = PAPER_LABELS[main.label]
                return (
                    _paper_op("SpacetoBatchND", first, inner_in),
                    _paper_op(label, inner_in, inner_out, kernel, attrs["bias"]),
                    _paper_op("BatchtoSpaceND", inner_out, last),
                )
            return (main,)
        case "linear" | "bilinear" | "lstm" | "gru" | "rnn":
            return (_paper_op("MatMul", first, last, (0, 0), attrs["bias"]),)
        case "adaptive_avg_pool" if all(size == 1 for size in attrs["size"]):
            return (_paper_op("Mean", first, last),)
    chain = []
    for position, label in enumerate(labels):
        chain.append(_paper_op(label, first if position == 0 else last, last))
    return tuple(chain)


@dataclass(frozen=True, eq=False)
class PaperGraph:
    """A computation graph under the paper's folding rules.

    Attributes:
        ops: The nodes, producers before consumers.
        edges: Distinct ``(producer, consumer)`` pairs, int64 of shape ``(2, edges)``.
        origin: For each node, the index of the node of the full graph that it stems from.
    """

    ops: tuple[PaperOp, ...]
    edges: "np.ndarray[Any, np.dtype[np.int64]]"
    origin: tuple[int, ...]

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return len(self.ops)

    @property
    def num_edges(self) -> int:
        """Number of distinct producer-consumer pairs."""
        return int(self.edges.shape[1])

    @cached_property
    def num_weighted(self) -> int:
        """Number of weighted nodes (convolutions and matrix products)."""
        return sum(op.weighted for op in self.ops)


def paper_view(graph: "ComputeGraph") -> PaperGraph:
    """Fold ``graph`` as the authors' converter does (method: kept, folded, dropped)."""
    ops: list[PaperOp] = []
    origin: list[int] = []
    sources: list[int] = []
    targets: list[int] = []
    # For each node of the full graph, the paper nodes that stand for its value.
    stand_ins: list[tuple[int, ...]] = []
    for index, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if len(operands) == 1:
            parents = stand_ins[operands[0]]
        else:
            parents = tuple(dict.fromkeys(p for operand in operands for p in stand_ins[operand]))
        chain = node.paper
        # A join of one tensor with a constant, or with itself, is no join.
        if not chain or (len(parents) == 1 and len(chain) == 1 and chain[0].label in _JOINS):
            stand_ins.append(parents)
            continue
        joined = parents
        for op in chain:
            here = len(ops)
            ops.append(op)
            origin.append(index)
            # The product inside hard-swish reads both the map and its clipped self.
            for parent in parents if op is chain[0] or op.name != "Mul" else joined:
                sources.append(parent)
                targets.append(here)
            parents = (here,)
            joined = (*joined, here)
        stand_ins.append(parents)
    edges = np.array([sources, targets], dtype=np.int64)
    return PaperGraph(tuple(ops), edges, tuple(origin))
