"""NNI's ShuffleNetSpace (the search space of Single Path One-Shot)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from gennape_plugin.adapters.families._conv_norm import concat
from gennape_plugin.adapters.families.base import conv_bn_relu, conv_node, node_of
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.shapes import Shape

from .choices import Choices
from .parts import dropout, flattened, linear, pooled

#: Blocks and channels of the four stages.
_STAGES: Final = ((4, 64), (4, 160), (8, 320), (4, 640))
_STEM: Final = 16
_HEAD: Final = 1024
#: Kernel and order of point- and depthwise convolutions of each choice.
_BLOCKS: Final = {"k3": (3, "pdp"), "k5": (5, "pdp"), "k7": (7, "pdp"), "xcep": (3, "dpdpdp")}


def graph(arguments: Mapping[str, Any], choices: Choices, shape: Shape) -> ComputeGraph:
    """The network that NNI builds."""
    affine = arguments["affine"]
    b = GraphBuilder(choices.space)
    b.set_scope("stem")
    x = conv_bn_relu(b, b.input((1, *shape)), _STEM, 3, 2)
    number = 0
    for stage, (length, channels) in enumerate(_STAGES):
        for index in range(length):
            number += 1
            b.set_scope(f"stage{stage}.block{index}")
            kernel, order = _BLOCKS[choices.one(f"layer_{number}", _BLOCKS)]
            middle = channels // 2
            if arguments["channel_search"]:
                widths = [int(middle * (0.2 * k)) for k in range(1, 9)]
                middle = choices.one(f"channel_{number}", widths)
            if index:
                left, x = _halves(b, x)
            else:
                left = _projection(b, x, kernel, affine)
            out = channels - b.nodes[left].shape[1]
            x = _main(b, x, kernel, order, (middle, out), 1 if index else 2, affine)
            x = concat(b, (left, x))
    b.set_scope("head")
    x = _pointwise(b, x, _HEAD, affine)
    x = flattened(b, dropout(b, pooled(b, x), 0.1))
    return b.build(linear(b, x, arguments["num_labels"], bias=False))


def _norm(b: GraphBuilder, x: int, affine: bool) -> int:
    return b.append(node_of("batch_norm", b.nodes[x].shape, affine=affine), (x,))


def _pointwise(b: GraphBuilder, x: int, channels: int, affine: bool) -> int:
    x = b.append(conv_node(b.nodes[x].shape, channels, 1), (x,))
    x = _norm(b, x, affine)
    return b.append(node_of("relu", b.nodes[x].shape), (x,))


def _depthwise(b: GraphBuilder, x: int, kernel: int, stride: int, affine: bool) -> int:
    shape = b.nodes[x].shape
    return _norm(b, b.append(conv_node(shape, shape[1], kernel, stride, shape[1]), (x,)), affine)


def _projection(b: GraphBuilder, x: int, kernel: int, affine: bool) -> int:
    channels = b.nodes[x].shape[1]
    return _pointwise(b, _depthwise(b, x, kernel, 2, affine), channels, affine)


def _main(
    b: GraphBuilder,
    x: int,
    kernel: int,
    order: str,
    widths: tuple[int, int],
    stride: int,
    affine: bool,
) -> int:
    """Point- and depthwise convolutions in order; ``widths``: in between, and at the end."""
    for place, kind in enumerate(order, start=1):
        if kind == "p":
            x = _pointwise(b, x, widths[place == len(order)], affine)
        else:
            x = _depthwise(b, x, kernel, stride, affine)
            stride = 1  # the first one strides
    return x


def _halves(b: GraphBuilder, x: int) -> tuple[int, int]:
    """Channels shuffled and parted into even and odd ones."""
    for node in _shuffle(b.nodes[x].shape):
        x = b.append(node, (x,))
    even, odd = (b.append(_half(b.nodes[x].shape, part), (x,)) for part in (0, 1))
    return even, odd


@lru_cache(maxsize=256)
def _shuffle(shape: Shape) -> tuple[Node, ...]:
    batch, channels, height, width = shape
    apart = node_of("reshape", shape, shape=(batch * channels // 2, 2, height * width))
    swapped = node_of("permute", apart.shape, dims=(1, 0, 2))
    halves = (2, batch, channels // 2, height, width)
    return (apart, swapped, node_of("reshape", swapped.shape, shape=halves))


@lru_cache(maxsize=256)
def _half(shape: Shape, part: int) -> Node:
    """``x[part]``."""
    spec = ((0, part, None, 0),)
    return make_node("slice", {"spec": spec}, (shape,), in_axis=2, out_shape=shape[1:])
