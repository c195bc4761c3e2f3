"""TransNAS-Bench-101, micro: 4,096 cells in one skeleton of five modules.

A cell has four nodes and an operation on each of its six edges. In the first cell of the
first, third and fifth module, the edges that leave the cell's input halve the resolution
and double the channels.

The benchmark's own code makes the zeros of such an edge as a constant, unconnected to the
input. Here they are the zeroed input, cut and spread to the new shape: the same values, and
the cell still shows what was left out, as it does on every other edge without an operation.
"""

import random
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

import torch
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.shapes import Shape
from torch import Tensor, nn
from torch.nn import functional as F

from ._text import shown
from ._transnas101 import (
    TransNAS101,
    add,
    digits_of,
    relu_conv_bn,
    relu_conv_bn_module,
    unary,
)
from .base import conv_node, node_of

#: An operation's digit in the encoding is its place here.
OPERATIONS: Final = ("none", "skip", "conv1x1", "conv3x3")
NONE, SKIP, CONV1X1, CONV3X3 = range(len(OPERATIONS))
#: ``(source, target)`` of the six operations, in the order of the encoding.
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
#: The modules of every network: three of the five halve the resolution and double the channels.
MODULES: Final = (4, 1, 4, 1, 4)

_TEXT = re.compile(r"(?:64-41414-)?([0-3])_([0-3]{2})_([0-3]{3})")
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class MicroCell:
    """A cell: the operation (its place in :data:`OPERATIONS`) on each of :data:`EDGES`."""

    ops: tuple[int, ...]

    def __str__(self) -> str:
        text = "".join(map(str, self.ops))
        return f"64-41414-{text[0]}_{text[1:3]}_{text[3:]}"


class TransNAS101Micro(TransNAS101[MicroCell]):
    """The cell-level search space of TransNAS-Bench-101."""

    name: ClassVar = "transnas101_micro"
    title: ClassVar = "TransNAS-Bench-101 micro"

    def parse(self, encoding: object) -> MicroCell:
        """Check a cell given as the benchmark's string (its beginning may be left out).

        A sequence of the six digits is taken too.

        Raises:
            ArchitectureError: if it is not ``64-41414-a_bc_def``.
        """
        if isinstance(encoding, MicroCell):
            return encoding
        ops: tuple[int, ...] | None = None
        if isinstance(encoding, str) and len(encoding) < _MAX_TEXT:
            match = _TEXT.fullmatch(encoding.strip())
            ops = None if match is None else tuple(map(int, "".join(match.groups())))
        elif isinstance(encoding, list | tuple):
            ops = digits_of(encoding, allowed=range(len(OPERATIONS)), most=len(EDGES))
        if ops is None or len(ops) != len(EDGES):
            names = ", ".join(f"{digit} {op}" for digit, op in enumerate(OPERATIONS))
            raise ArchitectureError(
                f"not a {self.title} cell: give '64-41414-a_bc_def' or its six digits, each of "
                f"them one of {names}; got {shown(encoding)}"
            )
        return MicroCell(ops)

    def sample(self, rng: random.Random) -> MicroCell:
        """Draw the six operations uniformly."""
        return MicroCell(tuple(rng.randrange(len(OPERATIONS)) for _ in EDGES))

    def _modules(self, arch: MicroCell) -> tuple[int, ...]:
        return MODULES

    def _block(self, b: GraphBuilder, x: int, arch: MicroCell, c_out: int, stride: int) -> int:
        op1, op2, op3, op4, op5, op6 = arch.ops
        first = _edge(b, op1, x, c_out, stride)
        second = add(b, _edge(b, op2, x, c_out, stride), _edge(b, op3, first, c_out))
        late = add(b, _edge(b, op4, x, c_out, stride), _edge(b, op5, first, c_out))
        return add(b, late, _edge(b, op6, second, c_out))

    def _block_module(self, arch: MicroCell, c_in: int, c_out: int, stride: int) -> nn.Module:
        return MicroCellModule(arch, c_in, c_out, stride)


def _edge(b: GraphBuilder, op: int, x: int, channels: int, stride: int = 1) -> int:
    if op == NONE:
        return unary(b, "zero", x if stride == 1 else _resized(b, x, channels, stride))
    if op == SKIP:
        return unary(b, "identity", x) if stride == 1 else _reduction(b, x, channels, stride)
    return relu_conv_bn(b, x, channels, 1 if op == CONV1X1 else 3, stride)


@lru_cache(maxsize=64)
def _slice_node(shape: Shape, spec: tuple[tuple[int, int, int, int], ...], result: Shape) -> Node:
    return make_node("slice", {"spec": spec}, (shape,), in_axis=1, out_shape=result)


def _resized(b: GraphBuilder, x: int, channels: int, stride: int) -> int:
    """Every other pixel of the first channel, once for each of the new channels."""
    shape = b.nodes[x].shape
    _, _, height, width = shape
    spec = ((1, 0, 1, 1), (2, 0, height, stride), (3, 0, width, stride))
    result = (1, 1, height // stride, width // stride)
    x = b.append(_slice_node(shape, spec, result), (x,))
    return b.append(node_of("expand", result, shape=(1, channels, *result[2:])), (x,))


@lru_cache(maxsize=64)
def _pad_node(shape: Shape) -> Node:
    batch, channels, height, width = shape
    return make_node(
        "pad",
        {"padding": (0, 1, 0, 1), "mode": "constant", "value": 0.0},
        (shape,),
        in_axis=1,
        out_shape=(batch, channels, height + 1, width + 1),
    )


def _reduction(b: GraphBuilder, x: int, channels: int, stride: int) -> int:
    """A skip that changes the shape: half of the channels from pixels one further down-right."""
    x = unary(b, "relu", x)
    shape = b.nodes[x].shape
    conv = conv_node(shape, channels // 2, 1, stride)
    even = b.append(conv, (x,))
    padded = _pad_node(shape)
    odd = b.append(padded, (x,))
    spec = ((2, 1, padded.shape[2], 1), (3, 1, padded.shape[3], 1))
    odd = b.append(_slice_node(padded.shape, spec, shape), (odd,))
    odd = b.append(conv, (odd,))
    both = b.append(node_of("concat", conv.shape, conv.shape, dim=1), (even, odd))
    return unary(b, "batch_norm", both)


class Zero(nn.Module):
    """The operation ``none``: nothing passes."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        if self.stride > 1:
            x = x[:, :1, :: self.stride, :: self.stride].expand(-1, self.channels, -1, -1)
        return x.mul(0.0)


class Reduction(nn.Module):
    """The operation ``skip`` to another shape: ``(batch, c, h, w)`` to ``(batch, 2 c, h/2, w/2)``.

    Half of the new channels see the pixels of even rows and columns, the others those of odd
    ones.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(c_in, c_out // 2, 1, stride, bias=False)
        self.odd = nn.Conv2d(c_in, c_out // 2, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        x = F.relu(x)
        even = self.even(x)
        odd = self.odd(F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:])
        y: Tensor = self.norm(torch.cat((even, odd), 1))
        return y


def _edge_module(op: int, c_in: int, c_out: int, stride: int = 1) -> nn.Module:
    if op == NONE:
        return Zero(c_out, stride)
    if op == SKIP:
        return nn.Identity() if stride == 1 else Reduction(c_in, c_out, stride)
    return relu_conv_bn_module(c_in, c_out, 1 if op == CONV1X1 else 3, stride)


class MicroCellModule(nn.Module):
    """One cell: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(self, cell: MicroCell, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(
            _edge_module(op, c_in, c_out, stride) if source == 0 else _edge_module(op, c_out, c_out)
            for (source, _), op in zip(EDGES, cell.ops, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        op1, op2, op3, op4, op5, op6 = self.ops
        first: Tensor = op1(x)
        second = op2(x) + op3(first)
        y: Tensor = (op4(x) + op5(first)) + op6(second)
        return y
