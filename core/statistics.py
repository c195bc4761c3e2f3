"""Size, depth and shape of a computation graph in a few numbers, nothing learned.

Ranking networks by such numbers is a strong baseline on its own, and members that learn
from them transfer better between families than members that read node features
(docs/results.md). Depth here is *effective*: the expected number of layers on a random
path from output to input, every operand being equally likely, so that a block which can
be skipped counts for half.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import exp, log, log2, prod
from typing import Any, Final

import numpy as np

from .graph import ComputeGraph
from .node import Node
from .paper import height_width_channels

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

#: Names of the numbers that :func:`statistics` returns, in order.
#:
#: "Weighted" layers multiply by learned or computed matrices (convolutions, linear layers,
#: attention); "spatial" ones among them mix positions (kernel above 1, attention).
STATISTICS: Final = (
    "log_macs",
    "log_params",
    "log_activations",  # elements that weighted layers write
    "log_weighted",  # number of weighted layers
    "log_spatial",
    "sum_log_macs",  # over weighted layers: each adds what it costs, in log
    "depth",  # effective, in weighted layers
    "spatial_depth",
    "nonlinear_depth",
    "longest",  # weighted layers on the longest and shortest path
    "longest_spatial",
    "shortest",
    "depth_variance",  # over random paths
    "log_paths",
    "log_receptive_field",  # expected on a random path, in input pixels
    "mean_log_kernel",
    "depthwise_share",  # of the weighted layers
    "grouped_share",
    "nonlinear",  # number of such ops, from here to "gates"
    "norms",
    "pools",
    "identities",
    "joins",
    "concats",
    "gates",
    "mean_log_channels",  # written by weighted layers
    "last_log_channels",  # read by the last weighted layer
    "mean_scale",  # log2 of the side of weighted layers' maps, relative to the input's
    "log_nodes",
    "log_reuse",  # multiply-adds a parameter
)

_NONLINEAR: Final = frozenset({"ReLU", "ReLU6", "Sigmoid", "Tanh", "Swish", "GeLU"})
_POOLS: Final = frozenset({"Maxpool", "Avgpool"})
#: Weighted ops that cost nothing by the books where a size is unknown.
_WEIGHTED: Final = frozenset({"conv", "conv_transpose", "linear", "bilinear", "matmul"})


#: What one operation adds along a path, and to the totals of its graph.
_Facts = tuple[tuple[float, ...], tuple[float, ...]]


@lru_cache(maxsize=1 << 16)
def _facts(node: Node, in_axis: int, axis: int) -> _Facts:
    """Worked out once for each distinct operation; its axes are no part of a node's equality."""
    labels = {op.name for op in node.paper}
    attrs: dict[str, Any] = dict(node.attrs)
    weighted = int(node.macs > 0 or node.op in _WEIGHTED)
    window: tuple[int, ...] = attrs["kernel"] if isinstance(attrs.get("kernel"), tuple) else ()
    kernel = max(prod(window), 1)
    groups = attrs.get("groups", 1) if node.op in ("conv", "conv_transpose") else 1
    spatial = weighted * int(kernel > 1 or node.op == "attention")
    nonlinear = int(bool(labels & _NONLINEAR))
    height, width, channels = height_width_channels(node.shape, axis)
    reach = 0.0
    if window and node.in_shapes:
        before = height_width_channels(node.in_shapes[0], in_axis)
        reach = (max(window) - 1) / max(before[0], before[1], 1.0)
    totals = (
        weighted,
        spatial,
        weighted * log(max(node.macs, 1)),
        weighted * prod(node.shape),
        weighted * log(kernel),
        weighted and 1 < groups == node.in_shapes[0][1],
        weighted * (groups > 1),
        weighted * log(max(channels, 1.0)),
        weighted * log2(max(height * width, 1.0)) / 2,
        nonlinear,
        "BatchNorm" in labels,
        bool(labels & _POOLS),
        node.op in ("identity", "dropout"),
        node.op == "add",
        node.op == "concat",
        node.op == "mul",
    )
    along = (weighted, spatial, nonlinear, reach)
    return tuple(map(float, along)), tuple(map(float, totals))


def statistics(graph: ComputeGraph) -> FloatArray:
    """The graph's :data:`STATISTICS`, float64 of shape ``(len(STATISTICS),)``.

    They depend on the graph alone, not on the order of its nodes.
    """
    # A few dozen distinct operations make up hundreds of nodes; nodes are interned, so equal
    # ones mostly are one object, and identity is the cheapest key.
    distinct = {id(node): node for node in graph.nodes}
    facts = {key: _facts(node, node.in_axis, node.axis) for key, node in distinct.items()}
    times = Counter(map(id, graph.nodes))
    totals = np.array([facts[key][1] for key in times]).T @ list(times.values())
    weighted, spatial, log_macs, elements, kernel, depthwise, grouped, channels, scale = totals[:9]
    inputs = [graph.nodes[i] for i in graph.inputs]
    sizes = [height_width_channels(node.shape, node.axis) for node in inputs]
    side = max(max(h * w, 1.0) for h, w, _ in sizes) ** 0.5
    layers = max(weighted, 1)
    along, last = _along_paths(graph, facts)
    last_channels = max((_read_channels(graph.nodes[i]) for i in last), default=1)
    macs, params = log(max(graph.macs, 1)), log(max(graph.params, 1))
    return np.array(
        [
            macs,
            params,
            log(max(elements, 1)),
            log(layers),
            log(spatial + 1),
            log_macs,
            *along[:-1],
            log(along[-1] * side + 1),
            kernel / layers,
            depthwise / layers,
            grouped / layers,
            *totals[9:],
            channels / layers,
            log(max(last_channels, 1)),
            scale / layers - log2(side) * (weighted / layers),
            log(len(graph)),
            macs - params,
        ]
    )


def _read_channels(node: Node) -> int:
    """Channels of what an operation reads first."""
    shape = node.in_shapes[0] if node.in_shapes else ()
    return shape[node.in_axis] if shape else 1


def _along_paths(
    graph: ComputeGraph, facts: Mapping[int, _Facts]
) -> tuple[tuple[float, ...], list[int]]:
    """Along paths, and the weighted nodes at the end of the longest.

    The former are depths, their variance, log paths and receptive field (as a share of the
    input).
    """
    # For each node: mean and mean square depth, spatial and nonlinear depth, receptive
    # field, longest, longest spatial and shortest path, log of the number of paths.
    states: list[tuple[float, ...]] = []
    deepest = 0.0
    last: list[int] = []
    for index, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if len(operands) == 1:
            before = states[operands[0]]
        elif operands:
            before = _joined([states[operand] for operand in operands])
        else:
            before = (0.0,) * 9
        weighted, spatial, nonlinear, reach = facts[id(node)][0]
        if not (weighted or nonlinear or reach):
            states.append(before)
            continue
        mean, square, places, bends, field, longest, far, short, paths = before
        if weighted and longest >= deepest:
            if longest > deepest:
                deepest, last = longest, []
            last.append(index)
        states.append(
            (
                mean + weighted,
                square + (2 * mean + 1) * weighted,
                places + spatial,
                bends + nonlinear,
                field + reach,
                longest + weighted,
                far + spatial,
                short + weighted,
                paths,
            )
        )
    mean, square, places, bends, field, longest, far, short, paths = states[-1]
    variance = max(square - mean**2, 0.0)
    return (mean, places, bends, longest, far, short, variance, paths, field), last


def _joined(states: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    if len(states) == 2:  # most joins by far
        one, other = states
        means = [(x + y) / 2 for x, y in zip(one[:5], other[:5], strict=True)]
        longest, far = max(one[5], other[5]), max(one[6], other[6])
        paths = max(one[8], other[8]) + log(1 + exp(-abs(one[8] - other[8])))
        return (*means, longest, far, min(one[7], other[7]), paths)
    columns = list(zip(*states, strict=True))
    top = max(columns[8])
    return (
        *(sum(column) / len(states) for column in columns[:5]),
        max(columns[5]),
        max(columns[6]),
        min(columns[7]),
        top + log(sum([exp(paths - top) for paths in columns[8]])),
    )
