"""Operations of NNI's NDS cells."""

import re
from functools import lru_cache
from typing import Final

from gennape_plugin.adapters.families._conv_norm import append_all, unary
from gennape_plugin.adapters.families.base import conv_node, node_of
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.node import Node
from gennape_plugin.core.shapes import Shape

from .parts import conv_of

#: Those of NNI's ``OPS`` that its spaces use.
OPERATIONS: Final = frozenset(
    "skip_connect avg_pool_3x3 max_pool_3x3 max_pool_5x5 max_pool_7x7 conv_1x1 conv_3x3 "
    "sep_conv_3x3 sep_conv_5x5 sep_conv_7x7 dil_conv_3x3 dil_conv_5x5 dil_sep_conv_3x3 "
    "conv_3x1_1x3 conv_7x1_1x7".split()
)
_SIDE: Final = re.compile(r"([0-9])x[0-9](?:_|$)")


def relu_conv_bn(b: GraphBuilder, x: int, channels: int) -> int:
    """ReLU, 1 x 1 convolution, batch norm."""
    x = unary(b, "relu", x)
    return unary(b, "batch_norm", b.append(conv_node(b.nodes[x].shape, channels, 1), (x,)))


def operation(b: GraphBuilder, x: int, op: str, stride: int) -> int:
    """The nodes of an operation that keeps the channels."""
    return append_all(b, x, _chain(op, b.nodes[x].shape, stride))


@lru_cache(maxsize=4096)
def _chain(op: str, shape: Shape, stride: int) -> tuple[Node, ...]:
    if op == "skip_connect":
        return (node_of("identity", shape),)
    found = _SIDE.search(op)
    assert found is not None, op
    side = int(found[1])
    if "pool" in op:
        return (_pool(op[:8], shape, side, stride),)
    if "1x" in op and "x1" in op and op != "conv_1x1":  # a 1 x k and a k x 1 convolution
        nodes = [node_of("relu", shape)]
        nodes.append(conv_of(shape, shape[1], (1, side), (1, stride)))
        nodes.append(conv_of(nodes[-1].shape, shape[1], (side, 1), (stride, 1)))
        return (*nodes, node_of("batch_norm", nodes[-1].shape))
    if op.startswith("conv"):
        conv = conv_of(shape, shape[1], (side, side), (stride, stride))
        return (node_of("relu", shape), conv, node_of("batch_norm", conv.shape))
    dilation = 2 if op.startswith("dil") else 1
    once = _separable(shape, side, stride, dilation)
    return (
        once if op.startswith("dil_conv") else once + _separable(once[-1].shape, side, 1, dilation)
    )


def _separable(shape: Shape, side: int, stride: int, dilation: int) -> tuple[Node, ...]:
    channels = shape[1]
    deep = conv_of(shape, channels, (side, side), (stride, stride), dilation, channels)
    point = conv_of(deep.shape, channels, (1, 1), (1, 1))
    return (node_of("relu", shape), deep, point, node_of("batch_norm", point.shape))


def _pool(op: str, shape: Shape, side: int, stride: int) -> Node:
    rest = {"count_include_pad": False} if op == "avg_pool" else {"dilation": (1, 1)}
    window = {"kernel": (side, side), "stride": (stride, stride), "padding": (side // 2, side // 2)}
    return node_of(op, shape, **window, **rest)
