"""Cells of the DARTS search space (Liu et al., 2019): nodes of a graph, and the same as modules.

A cell reads the results of the two cells before it. Each of its four nodes adds two
operations on earlier states, and the cell returns the nodes' concatenation.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import torch
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.shapes import Shape
from torch import Tensor, nn

from .base import conv_node, node_of

OPERATIONS: Final = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
NODES: Final = 4

#: Operations and the states that they read, two a node.
Edges = tuple[tuple[str, int], ...]


# -- graphs -----------------------------------------------------------------------------------


def cell_graph(
    b: GraphBuilder,
    before: tuple[int, int],
    edges: Edges,
    channels: int,
    *,
    reduction: bool,
    after_reduction: bool,
    inner_relu: bool,
) -> int:
    """The nodes of one cell.

    Args:
        b: The builder.
        before: Results of the cell before the last one, and of the last one.
        edges: The cell's operations.
        channels: Channels of each of the cell's nodes.
        reduction: Whether the cell halves the resolution.
        after_reduction: Whether the last cell did, so that the one before it is twice as large.
        inner_relu: Whether separable convolutions have a ReLU between their halves.
    """
    first = _factorized_reduce if after_reduction else _relu_conv_bn
    states = [first(b, before[0], channels), _relu_conv_bn(b, before[1], channels)]
    for left in range(0, len(edges), 2):
        x, y = (
            _edge(b, op, states[j], 2 if reduction and j < 2 else 1, inner_relu)
            for op, j in edges[left : left + 2]
        )
        shape = b.nodes[x].shape
        states.append(b.append(node_of("add", shape, shape), (x, y)))
    made = tuple(states[2:])
    return b.append(node_of("concat", *(b.nodes[i].shape for i in made), dim=1), made)


def _edge(b: GraphBuilder, op: str, x: int, stride: int, inner_relu: bool) -> int:
    shape = b.nodes[x].shape
    if op == "skip_connect" and stride == 2:
        return _factorized_reduce(b, x, shape[1])
    for node in _chain(op, shape, stride, inner_relu):
        x = b.append(node, (x,))
    return x


def _relu_conv_bn(b: GraphBuilder, x: int, channels: int) -> int:
    shape = b.nodes[x].shape
    x = b.append(node_of("relu", shape), (x,))
    conv = conv_node(shape, channels, 1)
    x = b.append(conv, (x,))
    return b.append(node_of("batch_norm", conv.shape), (x,))


def _factorized_reduce(b: GraphBuilder, x: int, channels: int) -> int:
    shape = b.nodes[x].shape
    x = b.append(node_of("relu", shape), (x,))
    half = conv_node(shape, channels // 2, 1, 2)
    even = b.append(half, (x,))
    rest = shifted(shape)
    odd = b.append(rest, (x,))
    odd = b.append(conv_node(rest.shape, channels // 2, 1, 2), (odd,))
    join = node_of("concat", half.shape, half.shape, dim=1)
    x = b.append(join, (even, odd))
    return b.append(node_of("batch_norm", join.shape), (x,))


@lru_cache(maxsize=256)
def shifted(shape: Shape) -> Node:
    """``x[:, :, 1:, 1:]``."""
    batch, channels, height, width = shape
    spec = ((2, 1, height, 1), (3, 1, width, 1))
    out = (batch, channels, height - 1, width - 1)
    return make_node("slice", {"spec": spec}, (shape,), in_axis=1, out_shape=out)


@lru_cache(maxsize=4096)
def _chain(op: str, shape: Shape, stride: int, inner_relu: bool) -> tuple[Node, ...]:
    """The operations of one edge, each reading the one before it."""
    if op == "skip_connect":
        return (node_of("identity", shape),)
    if op.endswith("pool_3x3"):
        kind = op.removesuffix("_3x3")
        extra = {"dilation": (1, 1)} if kind == "max_pool" else {"count_include_pad": False}
        window = {"kernel": (3, 3), "stride": (stride, stride), "padding": (1, 1)}
        return (node_of(kind, shape, **window, **extra),)
    kernel = int(op[-1])
    if op.startswith("dil_conv"):
        return _separable(shape, kernel, stride, 2, relu=True)
    first = _separable(shape, kernel, stride, 1, relu=True)
    return first + _separable(first[-1].shape, kernel, 1, 1, relu=inner_relu)


def _separable(
    shape: Shape, kernel: int, stride: int, dilation: int, *, relu: bool
) -> tuple[Node, ...]:
    channels = shape[1]
    depthwise = make_node(
        "conv",
        {
            "channels": channels,
            "kernel": (kernel, kernel),
            "stride": (stride, stride),
            "padding": (dilation * (kernel // 2),) * 2,
            "dilation": (dilation, dilation),
            "groups": channels,
        },
        (shape,),
        in_axis=1,
    )
    small = depthwise.shape
    rest = (depthwise, conv_node(small, channels, 1), node_of("batch_norm", small))
    return (node_of("relu", shape), *rest) if relu else rest


# -- modules ----------------------------------------------------------------------------------


class DartsCell(nn.Module):
    """One cell: two maps to one of ``4 x channels``, half as high and wide if it reduces."""

    def __init__(
        self,
        edges: Edges,
        c_before: tuple[int, int],
        channels: int,
        *,
        reduction: bool,
        after_reduction: bool,
        inner_relu: bool,
    ) -> None:
        """Make the operations.

        Args:
            edges: The cell's operations.
            c_before: Channels of the two maps that it reads.
            channels: Channels of each of its nodes.
            reduction: Whether the cell halves the resolution.
            after_reduction: Whether the first map is twice as high and wide as the second.
            inner_relu: Whether separable convolutions have a ReLU between their halves.
        """
        super().__init__()
        first, second = c_before
        self.preprocess0 = (
            FactorizedReduce(first, channels)
            if after_reduction
            else _relu_conv_bn_module(first, channels)
        )
        self.preprocess1 = _relu_conv_bn_module(second, channels)
        self.sources = [j for _, j in edges]
        self.ops = nn.ModuleList(
            _edge_module(op, channels, 2 if reduction and j < 2 else 1, inner_relu=inner_relu)
            for op, j in edges
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        states: list[Tensor] = [self.preprocess0(x), self.preprocess1(y)]
        for i in range(0, len(self.sources), 2):
            left, right = (self.ops[k](states[self.sources[k]]) for k in (i, i + 1))
            states.append(left + right)
        return torch.cat(states[2:], dim=1)


class FactorizedReduce(nn.Module):
    """Halves height and width: two strided 1x1 convolutions, the second shifted by a pixel."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        y: Tensor = self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))
        return y


def _relu_conv_bn_module(c_in: int, c_out: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))


def _edge_module(op: str, channels: int, stride: int, *, inner_relu: bool) -> nn.Module:
    match op:
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
        case "max_pool_3x3":
            return nn.MaxPool2d(3, stride, padding=1)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
    kernel = int(op[-1])
    if op.startswith("dil_conv"):
        return nn.Sequential(*_separable_layers(channels, kernel, stride, 2, relu=True))
    return nn.Sequential(
        *_separable_layers(channels, kernel, stride, 1, relu=True),
        *_separable_layers(channels, kernel, 1, 1, relu=inner_relu),
    )


def _separable_layers(
    channels: int, kernel: int, stride: int, dilation: int, *, relu: bool
) -> Sequence[nn.Module]:
    depthwise = nn.Conv2d(
        channels,
        channels,
        kernel,
        stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=channels,
        bias=False,
    )
    pointwise = nn.Conv2d(channels, channels, 1, bias=False)
    layers = [depthwise, pointwise, nn.BatchNorm2d(channels)]
    return [nn.ReLU(), *layers] if relu else layers
