"""Inverted residual blocks (MBConv): nodes of a graph, and the same block as a module."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gennape_plugin.core.builder import GraphBuilder
from torch import Tensor, nn

from ._ofa import make_divisible
from .base import conv_node, node_of

#: Modules of the activations, by op name.
ACTIVATIONS: Final = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish}


@dataclass(frozen=True, slots=True)
class MBConv:
    """One block, with everything that its graph and its module need.

    Attributes:
        c_in: Channels read.
        c_out: Channels written.
        kernel: Side of the depthwise kernel.
        expand: Hidden channels for each one read; 1 leaves the first convolution out.
        stride: Of the depthwise convolution.
        act: Op name of the activation.
        eps: Of the batch norms.
        se: Whether the hidden map passes squeeze-and-excitation.
        skip: Whether the block adds its input where the shapes allow it.
    """

    c_in: int
    c_out: int
    kernel: int
    expand: int
    stride: int
    act: str
    eps: float = 1e-5
    se: bool = False
    skip: bool = True

    @property
    def hidden(self) -> int:
        """Channels of the depthwise convolution."""
        return self.c_in * self.expand

    @property
    def squeezed(self) -> int:
        """Channels between the two convolutions of squeeze-and-excitation."""
        return make_divisible(self.hidden // 4)

    @property
    def residual(self) -> bool:
        """Whether the block adds its input."""
        return self.skip and self.stride == 1 and self.c_in == self.c_out


def conv_bn(
    b: GraphBuilder,
    x: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    act: str | None = None,
    eps: float = 1e-5,
) -> int:
    """Convolution, batch norm and an activation if one is given."""
    conv = conv_node(b.nodes[x].shape, channels, kernel, stride, groups)
    x = b.append(conv, (x,))
    x = b.append(node_of("batch_norm", conv.shape, eps=eps), (x,))
    return x if act is None else b.append(node_of(act, conv.shape), (x,))


def mbconv(b: GraphBuilder, x: int, block: MBConv) -> int:
    """The nodes of one block."""
    hidden, act, eps = block.hidden, block.act, block.eps
    y = x if block.expand == 1 else conv_bn(b, x, hidden, 1, act=act, eps=eps)
    y = conv_bn(b, y, hidden, block.kernel, block.stride, groups=hidden, act=act, eps=eps)
    if block.se:
        y = squeeze_excite(b, y, block.squeezed)
    y = conv_bn(b, y, block.c_out, 1, eps=eps)
    if not block.residual:
        return y
    shape = b.nodes[x].shape
    return b.append(node_of("add", shape, shape), (y, x))


def squeeze_excite(b: GraphBuilder, x: int, squeezed: int) -> int:
    """The nodes that scale every channel by a gate computed from the channel means."""
    shape = b.nodes[x].shape
    mean = node_of("mean", shape, axes=(2, 3), keepdim=True)
    y = b.append(mean, (x,))
    reduce = conv_node(mean.shape, squeezed, 1, bias=True)
    y = b.append(reduce, (y,))
    y = b.append(node_of("relu", reduce.shape), (y,))
    y = b.append(conv_node(reduce.shape, shape[1], 1, bias=True), (y,))
    y = b.append(node_of("hard_sigmoid", mean.shape), (y,))
    return b.append(node_of("mul", shape, mean.shape), (x, y))


def append_blocks(b: GraphBuilder, x: int, stages: Sequence[Sequence[MBConv]]) -> int:
    """The nodes of all blocks; stage 0 is the fixed first block."""
    for stage, blocks in enumerate(stages):
        for index, block in enumerate(blocks):
            b.set_scope(f"stage{stage}.block{index}")
            x = mbconv(b, x, block)
    return x


def conv_bn_layers(
    c_in: int,
    c_out: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    act: str | None = None,
    eps: float = 1e-5,
) -> list[nn.Module]:
    """The modules of :func:`conv_bn`."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    layers = [conv, nn.BatchNorm2d(c_out, eps=eps)]
    return layers if act is None else [*layers, ACTIVATIONS[act]()]


class SqueezeExcite(nn.Module):
    """Scales every channel by a gate computed from the channel means; keeps the shape."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x * gate


class MBConvModule(nn.Module):
    """One block: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(self, block: MBConv) -> None:
        super().__init__()
        hidden, act, eps = block.hidden, block.act, block.eps
        layers: list[nn.Module] = []
        if block.expand > 1:
            layers += conv_bn_layers(block.c_in, hidden, 1, act=act, eps=eps)
        layers += conv_bn_layers(
            hidden, hidden, block.kernel, block.stride, groups=hidden, act=act, eps=eps
        )
        if block.se:
            layers.append(SqueezeExcite(hidden, block.squeezed))
        layers += conv_bn_layers(hidden, block.c_out, 1, eps=eps)
        self.body = nn.Sequential(*layers)
        self.residual = block.residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y + x if self.residual else y
