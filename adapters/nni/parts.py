"""What several spaces of NNI's hub are made of."""

from collections.abc import Sequence
from functools import lru_cache

from gennape_plugin.adapters.families.base import node_of
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.ops import AttrValue
from gennape_plugin.core.shapes import Shape

Pair = tuple[int, int]


@lru_cache(maxsize=4096)
def conv_of(
    shape: Shape, channels: int, kernel: Pair, stride: Pair, dilation: int = 1, groups: int = 1
) -> Node:
    """A convolution without bias; its padding keeps the size at stride 1 (odd kernels)."""
    attrs: dict[str, AttrValue] = {
        "channels": channels,
        "kernel": kernel,
        "stride": stride,
        "padding": (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2)),
        "dilation": (dilation, dilation),
        "groups": groups,
        "bias": False,
    }
    return make_node("conv", attrs, (shape,), in_axis=1)


def stacked_sum(b: GraphBuilder, terms: Sequence[int]) -> int:
    """``torch.sum(torch.stack(terms), 0)``, as NNI's cells add."""
    stack = node_of("stack", *(b.nodes[term].shape for term in terms), dim=0)
    x = b.append(stack, tuple(terms))
    return b.append(_sum_of(stack.shape), (x,))


@lru_cache(maxsize=1024)
def _sum_of(shape: Shape) -> Node:
    attrs: dict[str, AttrValue] = {"function": "sum", "axes": (0,), "keepdim": False}
    # The channels of a stack of maps lie behind the new axis and the batch.
    return make_node("reduce", attrs, (shape,), in_axis=2)


def pooled(b: GraphBuilder, x: int) -> int:
    """Global average pooling that keeps the two axes."""
    return b.append(node_of("adaptive_avg_pool", b.nodes[x].shape, size=(1, 1)), (x,))


def flattened(b: GraphBuilder, x: int) -> int:
    """``x.view(batch, channels)`` of a pooled map."""
    shape = b.nodes[x].shape
    return b.append(node_of("reshape", shape, shape=shape[:2]), (x,))


def dropout(b: GraphBuilder, x: int, rate: float) -> int:
    """Dropout, which a graph shows whatever its rate."""
    return b.append(node_of("dropout", b.nodes[x].shape, rate=float(rate)), (x,))


def linear(b: GraphBuilder, x: int, features: int, *, bias: bool = True) -> int:
    """A fully connected layer."""
    return b.append(node_of("linear", b.nodes[x].shape, features=features, bias=bias), (x,))
