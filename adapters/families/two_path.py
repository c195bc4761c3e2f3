"""Two-Path (Mills et al., 2023): two chains of blocks side by side, on CIFAR-10.

A stem halves the resolution. Both paths start from it, have 2 to 4 blocks of 1 to 3
operations and halve the resolution twice; they are concatenated before the head.

Encodings:

- the authors' own, the ``net_config`` of their labelled files: ``{"path1": [{"op_names":
  ["conv5x5"], "op_types": ["conv"]}, ...], "path2": ..., "path1_reduce_inds": [0, 1],
  "path2_reduce_inds": ...}``; a block may also be just the list of its names;
- text, ``"conv5x5/2|conv5x5/2;double3x3+conv1x1|conv3x3/2|conv3x3/2"``: paths between
  ``;``, blocks between ``|``, operations between ``+``, ``/2`` after the reducing blocks.

The ``benchmark`` variant is the network of the published graphs. There the bottlenecks have
no activations; the authors' PyTorch code has ReLU6 after both convolutions of a bottleneck.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._conv_norm import (
    ConvNorm,
    Head,
    PoolNorm,
    Separable,
    concat,
    conv_norm,
    head,
    pool_norm,
    separable,
    total,
)
from ._op_set import Ops, OpSet, listed, whole
from ._text import shown
from .base import Family

OPERATIONS: Final = OpSet(
    title="Two-Path",
    conv=(
        "conv3x3",
        "double3x3",
        "conv5x5",
        "bottleneck-r2-k3",
        "bottleneck-r4-k3",
        "bottleneck-e2-k3",
        "inception_s3x3",
        "inception_s5x5",
    ),
    supp=("conv1x1", "bottleneck-r2-k1", "bottleneck-e2-k1", "avgpool3x3", "maxpool3x3"),
)
BLOCKS_PER_PATH: Final = range(2, 5)
OPS_PER_BLOCK: Final = range(1, 4)
REDUCTIONS: Final = 2
STEM_CHANNELS: Final = 32

_MAX_TEXT: Final = 2000


@dataclass(frozen=True, slots=True)
class Path:
    """One of the two paths.

    Attributes:
        blocks: The operations of each block.
        reductions: Positions of the two blocks that halve the resolution, ascending.
    """

    blocks: tuple[Ops, ...]
    reductions: tuple[int, ...]

    def __str__(self) -> str:
        return "|".join(
            "+".join(ops) + ("/2" if place in self.reductions else "")
            for place, ops in enumerate(self.blocks)
        )

    def places(self) -> list[tuple[Ops, int, int, int]]:
        """Operations, channels before and after, and stride of each block."""
        found = []
        channels = STEM_CHANNELS
        for place, ops in enumerate(self.blocks):
            stride = 2 if place in self.reductions else 1
            found.append((ops, channels, channels * stride, stride))
            channels *= stride
        return found


@dataclass(frozen=True, slots=True)
class TwoPathArch:
    """A network: its two paths, in the order of the concatenation."""

    paths: tuple[Path, Path]

    def __str__(self) -> str:
        return ";".join(map(str, self.paths))


class TwoPath(Family[TwoPathArch]):
    """The Two-Path search space."""

    name: ClassVar = "two_path"
    title: ClassVar = "Two-Path"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)
    variants: ClassVar = ("benchmark",)

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``net_config`` column."""
        return row.get("net_config")

    def parse(self, encoding: object) -> TwoPathArch:
        """Check a network given as text or as the authors' mapping.

        Raises:
            ArchitectureError: naming what is wrong and what is allowed.
        """
        if isinstance(encoding, TwoPathArch):
            return encoding
        if isinstance(encoding, str) and len(encoding) <= _MAX_TEXT:
            fields: Mapping[str, object] = _fields_of_text(encoding)
        elif isinstance(encoding, Mapping) and {"path1", "path2"} <= encoding.keys():
            fields = encoding
        else:
            raise ArchitectureError(
                "not a Two-Path network: give a mapping with path1, path2, path1_reduce_inds "
                "and path2_reduce_inds, or text such as 'conv5x5/2|conv5x5/2;"
                f"double3x3+conv1x1|conv3x3/2|conv3x3/2', got {shown(encoding)}"
            )
        return TwoPathArch((_path(fields, "path1"), _path(fields, "path2")))

    def sample(self, rng: random.Random) -> TwoPathArch:
        """Draw as the authors do: every length, kind and reducing position uniformly."""
        return TwoPathArch((_draw_path(rng), _draw_path(rng)))

    def graph(self, arch: TwoPathArch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, *self.input_shape))
        x = conv_norm(b, x, STEM_CHANNELS, (3, 3))
        stem = conv_norm(b, x, STEM_CHANNELS, (3, 3), (2, 2))
        ends = []
        for number, path in enumerate(arch.paths, start=1):
            x = stem
            for place, (ops, _, c_out, stride) in enumerate(path.places()):
                b.set_scope(f"path{number}.block{place}")
                x = _block(b, x, ops, c_out, stride)
            ends.append(x)
        b.set_scope("head")
        return b.build(head(b, concat(b, ends)))

    def module(self, arch: TwoPathArch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return TwoPathNetwork(arch)


def _fields_of_text(text: str) -> dict[str, object]:
    paths = text.split(";")
    if len(paths) != 2:
        raise ArchitectureError(
            f"a Two-Path network has two paths with ';' between them, got {shown(text)}"
        )
    fields: dict[str, object] = {}
    for name, path in zip(("path1", "path2"), paths, strict=True):
        blocks = [block.strip() for block in path.split("|")]
        fields[name] = [
            [op.strip() for op in block.removesuffix("/2").split("+")] for block in blocks
        ]
        fields[f"{name}_reduce_inds"] = [i for i, b in enumerate(blocks) if b.endswith("/2")]
    return fields


def _path(fields: Mapping[str, object], name: str) -> Path:
    given = listed(fields[name], BLOCKS_PER_PATH, f"blocks as the {name} of a Two-Path network")
    blocks = tuple(OPERATIONS.parse(block, OPS_PER_BLOCK[-1], "op_names") for block in given)
    key = f"{name}_reduce_inds"
    positions = listed(fields.get(key), range(REDUCTIONS, REDUCTIONS + 1), f"positions as {key}")
    reductions = sorted(
        whole(at, range(len(blocks)), f"each position of {key}") for at in positions
    )
    if len(set(reductions)) < REDUCTIONS:
        raise ArchitectureError(f"{key} must be two different blocks, got {reductions}")
    return Path(blocks, tuple(reductions))


def _draw_path(rng: random.Random) -> Path:
    count = rng.choice(BLOCKS_PER_PATH)
    blocks = tuple(OPERATIONS.draw(rng, rng.choice(OPS_PER_BLOCK)) for _ in range(count))
    return Path(blocks, tuple(sorted(rng.sample(range(count), REDUCTIONS))))


def _plan(ops: Ops, c_in: int, c_out: int, stride: int) -> list[tuple[str, int, int, int]]:
    """Name, channels before and after, and stride of each operation of a block."""
    first = OPERATIONS.first_conv(ops)
    plan = []
    for place, op in enumerate(ops):
        before, after = (c_in if place <= first else c_out), (c_in if place < first else c_out)
        plan.append((op, before, after, stride if place == first else 1))
    return plan


def _block(b: GraphBuilder, x: int, ops: Ops, c_out: int, stride: int) -> int:
    y = x
    for op, _, after, s in _plan(ops, b.nodes[x].shape[1], c_out, stride):
        y = _op(b, y, op, after, s)
    return total(b, (y, x)) if stride == 1 else y


def _sides(op: str) -> tuple[int, int]:
    """Kernel of an operation whose name ends in its last side, ``3x3`` or ``k3``."""
    return int(op[-1]), int(op[-1])


def _hidden(op: str, c_in: int) -> int:
    """Channels between a bottleneck's convolutions: ``rN`` reduces, ``eN`` expands."""
    change = op.split("-")[1]
    factor = int(change[1:])
    return c_in // factor if change[0] == "r" else c_in * factor


def _op(b: GraphBuilder, x: int, op: str, c_out: int, stride: int) -> int:
    sides, strides, c_in = _sides(op), (stride, stride), b.nodes[x].shape[1]
    if op.startswith("bottleneck"):
        x = conv_norm(b, x, _hidden(op, c_in), sides, strides, act=None)
        return conv_norm(b, x, c_out, sides, act=None)
    if op.startswith("inception_s"):
        return separable(b, x, c_out, sides[0], stride)
    if op.startswith("double"):
        return conv_norm(b, conv_norm(b, x, c_in, sides, strides), c_out, sides)
    if op.startswith("conv"):
        return conv_norm(b, x, c_out, sides, strides)
    return pool_norm(b, x, "avg_pool" if op == "avgpool3x3" else "max_pool")


def _op_module(op: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    sides, strides = _sides(op), (stride, stride)
    if op.startswith("bottleneck"):
        hidden = _hidden(op, c_in)
        return nn.Sequential(
            ConvNorm(c_in, hidden, sides, strides, act=None),
            ConvNorm(hidden, c_out, sides, act=None),
        )
    if op.startswith("inception_s"):
        return Separable(c_in, c_out, sides[0], stride)
    if op.startswith("double"):
        return nn.Sequential(ConvNorm(c_in, c_in, sides, strides), ConvNorm(c_in, c_out, sides))
    if op.startswith("conv"):
        return ConvNorm(c_in, c_out, sides, strides)
    return PoolNorm(c_in, "avg_pool" if op == "avgpool3x3" else "max_pool")


class TwoPathBlock(nn.Module):
    """One block: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(self, ops: Ops, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1
        self.ops = nn.Sequential(*(_op_module(*step) for step in _plan(ops, c_in, c_out, stride)))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        y: Tensor = self.ops(x)
        return y + x if self.residual else y


class TwoPathNetwork(nn.Module):
    """Images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, arch: TwoPathArch) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvNorm(3, STEM_CHANNELS, (3, 3)),
            ConvNorm(STEM_CHANNELS, STEM_CHANNELS, (3, 3), (2, 2)),
        )
        self.paths = nn.ModuleList(
            nn.Sequential(*(TwoPathBlock(*place) for place in path.places())) for path in arch.paths
        )
        self.head = Head(sum(path.places()[-1][2] for path in arch.paths))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        stem = self.stem(x)
        logits: Tensor = self.head(torch.cat([path(stem) for path in self.paths], 1))
        return logits
