"""Convolutions and pools with batch norm: nodes of a graph, and the same as modules.

HiAML, Inception and Two-Path are made of these. All pad as TensorFlow's SAME does for odd
kernels, and no average counts the padding.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.node import Node
from gennape_plugin.core.shapes import Shape
from torch import Tensor, nn

from .base import node_of

Pair = tuple[int, int]

CLASSES: Final = 10
#: Channels before the pooling of Inception and Two-Path.
HEAD_CHANNELS: Final = 512
#: Modules of the activations, by op name.
ACTIVATIONS: Final = {"relu": nn.ReLU, "relu6": nn.ReLU6}


def unary(b: GraphBuilder, op: str, x: int) -> int:
    """An operation without attributes on one tensor."""
    return b.append(node_of(op, b.nodes[x].shape), (x,))


def total(b: GraphBuilder, terms: Sequence[int]) -> int:
    """The sum of tensors, from left to right; a single one is returned as it is."""
    y = terms[0]
    for term in terms[1:]:
        y = b.append(node_of("add", b.nodes[y].shape, b.nodes[term].shape), (y, term))
    return y


def concat(b: GraphBuilder, parts: Sequence[int]) -> int:
    """The channels of all parts; a single one is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    shapes = [b.nodes[part].shape for part in parts]
    return b.append(node_of("concat", *shapes, dim=1), tuple(parts))


def append_all(b: GraphBuilder, x: int, nodes: Sequence[Node]) -> int:
    """A chain of nodes that starts from ``x``."""
    for node in nodes:
        x = b.append(node, (x,))
    return x


@lru_cache(maxsize=1 << 14)
def _conv_norm_nodes(
    shape: Shape,
    channels: int,
    kernel: Pair,
    stride: Pair,
    act: str | None,
    bias: bool,
    norm: bool,
    depthwise: bool,
) -> tuple[Node, ...]:
    conv = node_of(
        "conv",
        shape,
        channels=channels,
        kernel=kernel,
        stride=stride,
        padding=(kernel[0] // 2, kernel[1] // 2),
        dilation=(1, 1),
        groups=channels if depthwise else 1,
        bias=bias,
    )
    after = ("batch_norm",) if norm else ()
    if act is not None:
        after = (*after, act)
    return (conv, *(node_of(op, conv.shape) for op in after))


def conv_norm(
    b: GraphBuilder,
    x: int,
    channels: int,
    kernel: Pair,
    stride: Pair = (1, 1),
    *,
    act: str | None = "relu6",
    bias: bool = False,
    norm: bool = True,
    depthwise: bool = False,
) -> int:
    """Convolution, batch norm and an activation; either of the two can be left out."""
    shape = b.nodes[x].shape
    return append_all(
        b, x, _conv_norm_nodes(shape, channels, kernel, stride, act, bias, norm, depthwise)
    )


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and an activation; either of the two can be left out."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: Pair,
        stride: Pair = (1, 1),
        *,
        act: str | None = "relu6",
        bias: bool = False,
        norm: bool = True,
        depthwise: bool = False,
    ) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        groups = c_in if depthwise else 1
        layers: list[nn.Module] = [
            nn.Conv2d(c_in, c_out, kernel, stride, padding=padding, groups=groups, bias=bias)
        ]
        if norm:
            layers.append(nn.BatchNorm2d(c_out))
        if act is not None:
            layers.append(ACTIVATIONS[act]())
        super().__init__(*layers)


def separable_strides(stride: int, *, split: bool) -> tuple[Pair, Pair]:
    """Strides of a 1 x k and a k x 1 convolution in a row.

    Args:
        stride: Of the pair.
        split: Whether each convolution strides along its own axis only; otherwise the
            first one strides along both.
    """
    return ((1, stride), (stride, 1)) if split else ((stride, stride), (1, 1))


def separable(
    b: GraphBuilder,
    x: int,
    channels: int,
    side: int,
    stride: int = 1,
    *,
    split: bool = False,
    bias: bool = False,
) -> int:
    """``inception_s``: a 1 x k and a k x 1 convolution, each with batch norm and ReLU6."""
    first, second = separable_strides(stride, split=split)
    x = conv_norm(b, x, channels, (1, side), first, bias=bias)
    return conv_norm(b, x, channels, (side, 1), second, bias=bias)


class Separable(nn.Sequential):
    """``inception_s``: a 1 x k and a k x 1 convolution, each with batch norm and ReLU6."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        side: int,
        stride: int = 1,
        *,
        split: bool = False,
        bias: bool = False,
    ) -> None:
        first, second = separable_strides(stride, split=split)
        super().__init__(
            ConvNorm(c_in, c_out, (1, side), first, bias=bias),
            ConvNorm(c_out, c_out, (side, 1), second, bias=bias),
        )


@lru_cache(maxsize=4096)
def _pool_norm_nodes(shape: Shape, op: str) -> tuple[Node, ...]:
    rest = {"count_include_pad": False} if op == "avg_pool" else {"dilation": (1, 1)}
    pool = node_of(op, shape, kernel=(3, 3), stride=(1, 1), padding=(1, 1), **rest)
    return (pool, node_of("batch_norm", shape))


def pool_norm(b: GraphBuilder, x: int, op: str) -> int:
    """A 3 x 3 pool (``"avg_pool"`` or ``"max_pool"``) of stride 1, batch norm."""
    return append_all(b, x, _pool_norm_nodes(b.nodes[x].shape, op))


class PoolNorm(nn.Sequential):
    """A 3 x 3 pool (``"avg_pool"`` or ``"max_pool"``) of stride 1, batch norm."""

    def __init__(self, channels: int, op: str) -> None:
        pool = (
            nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
            if op == "avg_pool"
            else nn.MaxPool2d(3, stride=1, padding=1)
        )
        super().__init__(pool, nn.BatchNorm2d(channels))


def head(b: GraphBuilder, x: int, *, bias: bool = False) -> int:
    """The end of Inception and Two-Path: a last convolution, pooling, the classifier."""
    x = conv_norm(b, x, HEAD_CHANNELS, (3, 3), bias=bias)
    x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
    # The authors drop nothing out, but their graphs show the layer.
    x = b.append(node_of("dropout", b.nodes[x].shape, rate=0.0), (x,))
    return b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))


class Head(nn.Module):
    """The end of Inception and Two-Path: maps ``(batch, c_in, h, w)`` to 10 logits."""

    def __init__(self, c_in: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv = ConvNorm(c_in, HEAD_CHANNELS, (3, 3), bias=bias)
        self.dropout = nn.Dropout(0.0)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.conv(x).mean((2, 3))))
        return logits
