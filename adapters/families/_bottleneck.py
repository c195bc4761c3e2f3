"""Bottleneck blocks of OFA-ResNet50: nodes of a graph, and the same block as a module."""

from dataclasses import dataclass

from gennape_plugin.core.builder import GraphBuilder
from torch import Tensor, nn

from ._mbconv import conv_bn, conv_bn_layers
from .base import node_of


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Channels and stride of one block."""

    c_in: int
    c_mid: int
    c_out: int
    stride: int

    @property
    def projected(self) -> bool:
        """Whether the shortcut is a pool and a convolution; otherwise it is the input."""
        return self.stride > 1 or self.c_in != self.c_out


def add(b: GraphBuilder, x: int, y: int) -> int:
    """The sum of two maps of one shape."""
    return b.append(node_of("add", b.nodes[x].shape, b.nodes[y].shape), (x, y))


def bottleneck(b: GraphBuilder, x: int, block: Bottleneck) -> int:
    """The nodes of one block."""
    y = conv_bn(b, x, block.c_mid, 1, act="relu")
    y = conv_bn(b, y, block.c_mid, 3, block.stride, act="relu")
    y = conv_bn(b, y, block.c_out, 1)
    if block.projected:
        window = (block.stride, block.stride)
        pool = node_of(
            "avg_pool",
            b.nodes[x].shape,
            kernel=window,
            stride=window,
            padding=(0, 0),
            # Odd maps: the strided convolution beside it rounds up too.
            ceil_mode=True,
        )
        x = conv_bn(b, b.append(pool, (x,)), block.c_out, 1)
    y = add(b, y, x)
    return b.append(node_of("relu", b.nodes[y].shape), (y,))


class BottleneckModule(nn.Module):
    """One block: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_bn_layers(block.c_in, block.c_mid, 1, act="relu"),
            *conv_bn_layers(block.c_mid, block.c_mid, 3, block.stride, act="relu"),
            *conv_bn_layers(block.c_mid, block.c_out, 1),
        )
        self.shortcut = nn.Sequential()
        if block.projected:
            self.shortcut.append(nn.AvgPool2d(block.stride, block.stride, ceil_mode=True))
            self.shortcut.extend(conv_bn_layers(block.c_in, block.c_out, 1))
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.body(x) + self.shortcut(x))
        return y
