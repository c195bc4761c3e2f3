"""Inception (Mills et al., 2023): stages of equal blocks with parallel paths, on CIFAR-10.

Four stages of 32, 64, 128 and 256 channels, the last three halving the resolution, each
with 2 to 6 equal blocks. A block has 1 to 4 paths, whose results are concatenated; all
convolutions but the pointwise half of separable ones have biases as well as batch norms.

Encodings:

- the authors' own, the ``net_config`` of their labelled files: ``{"stages": [{"block":
  {"paths": [{"ops": ["conv3x3"], "op_types": ["conv"], "C_internal": 128, "C_out": 128}]},
  "n_blocks": 5, "C_in": 64, "C_out": 128, "stride": 2}, ...]}``;
- a list of four stages, each ``{"blocks": 2, "paths": [["conv5x5", "double1x1"]], "widths":
  [64], "internal": [128]}`` (``internal`` can be left out: as wide as the path);
- text, ``"6*(depthwise5x5@16|depthwise5x5+conv5x5@16);2*(conv5x5+double1x1@128>64);..."``:
  stages between ``;``, blocks before ``*``, paths between ``|``, operations between ``+``,
  and after ``@`` the path's width, with the internal one and ``>`` before it if they differ.

The ``benchmark`` variant is the network of the published graphs.
"""

import random
import re
from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._conv_norm import ConvNorm, Head, concat, conv_norm, head, total
from ._inception_arch import (
    BLOCKS_PER_STAGE,
    MIN_WIDTH,
    OPERATIONS,
    OPS_PER_BLOCK,
    OPS_PER_PATH,
    PATHS_PER_BLOCK,
    STAGES,
    STEM_CHANNELS,
    WIDTHS,
    InceptionArch,
    InceptionPath,
    InceptionStage,
    resizing,
)
from ._inception_ops import op_module, op_nodes
from ._op_set import listed, whole
from ._text import shown
from .base import Family

_PATH = re.compile(r"([^@]*)@(?:([0-9]{1,4})>)?([0-9]{1,4})")
_STAGE = re.compile(r"([0-9])\*\(([^()]*)\)")
_MAX_TEXT: Final = 4000


class Inception(Family[InceptionArch]):
    """The Inception search space."""

    name: ClassVar = "inception"
    title: ClassVar = "Inception"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)
    variants: ClassVar = ("benchmark",)

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``net_config`` column."""
        return row.get("net_config")

    def parse(self, encoding: object) -> InceptionArch:
        """Check a network given as text, as a list of stages or as the authors' mapping.

        Raises:
            ArchitectureError: naming what is wrong and what is allowed.
        """
        if isinstance(encoding, InceptionArch):
            return encoding
        given: object = encoding
        if isinstance(encoding, str) and len(encoding) <= _MAX_TEXT:
            given = [_stage_of_text(stage.strip()) for stage in encoding.strip().split(";")]
        elif isinstance(encoding, Mapping):
            given = encoding.get("stages")
        if not isinstance(given, list | tuple) or len(given) != len(STAGES):
            raise ArchitectureError(
                f"not an Inception network: give {len(STAGES)} stages, in a list of "
                "{'blocks': 2, 'paths': [['conv5x5', 'double1x1']], 'widths': [64]} or as text "
                f"such as '2*(conv5x5+double1x1@64);...', got {shown(encoding)}"
            )
        return InceptionArch(tuple(_stage(stage, number) for number, stage in enumerate(given)))

    def sample(self, rng: random.Random) -> InceptionArch:
        """Draw as the authors do."""
        return InceptionArch(tuple(_draw_stage(rng, channels) for channels, _ in STAGES))

    def graph(self, arch: InceptionArch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, *self.input_shape))
        x = conv_norm(b, x, STEM_CHANNELS, (3, 3), bias=True)
        for stage, place, paths, c_in, c_out, stride in arch.places():
            b.set_scope(f"stage{stage}.block{place}")
            x = _block(b, x, paths, c_in, c_out, stride)
        b.set_scope("head")
        return b.build(head(b, x, bias=True))

    def module(self, arch: InceptionArch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return InceptionNetwork(arch)


def _stage_of_text(text: str) -> dict[str, object]:
    found = _STAGE.fullmatch(text)
    paths = [_PATH.fullmatch(path.strip()) for path in found[2].split("|")] if found else []
    matches = [match for match in paths if match is not None]
    if found is None or len(matches) < len(paths):
        raise ArchitectureError(
            f"not an Inception stage: expected 'blocks*(op+op@width|op+op@internal>width)', "
            f"got {shown(text)}"
        )
    widths = [int(match[3]) for match in matches]
    return {
        "blocks": int(found[1]),
        "paths": [[op.strip() for op in match[1].split("+")] for match in matches],
        "widths": widths,
        "internal": [int(m[2] or width) for m, width in zip(matches, widths, strict=True)],
    }


def _stage(given: object, number: int) -> InceptionStage:
    title = f"stage {number + 1} of an Inception network"
    if not isinstance(given, Mapping):
        raise ArchitectureError(f"{title} must be a mapping, got {shown(given)}")
    channels, stride = STAGES[number]
    fixed = {"C_in": STAGES[max(number - 1, 0)][0], "C_out": channels, "stride": stride}
    for key, value in fixed.items():
        if key in given:
            whole(given[key], range(value, value + 1), f"{key} of {title}")
    block = given.get("block")
    chains = listed(
        block.get("paths") if isinstance(block, Mapping) else given.get("paths"),
        PATHS_PER_BLOCK,
        f"paths in {title}",
    )
    count = range(len(chains), len(chains) + 1)
    if isinstance(block, Mapping):
        widths, internal = (
            [chain.get(key) if isinstance(chain, Mapping) else None for chain in chains]
            for key in ("C_out", "C_internal")
        )
    else:
        widths = list(listed(given.get("widths"), count, f"widths in {title}"))
        internal = list(listed(given.get("internal", widths), count, f"internal widths in {title}"))
    blocks = given.get("n_blocks" if isinstance(block, Mapping) else "blocks")
    paths = tuple(map(_path, chains, widths, internal))
    if sum(len(path.ops) for path in paths) > OPS_PER_BLOCK:
        raise ArchitectureError(f"{title} has more than {OPS_PER_BLOCK} operations in a block")
    return InceptionStage(whole(blocks, BLOCKS_PER_STAGE, f"number of blocks in {title}"), paths)


def _path(chain: object, width: object, internal: object) -> InceptionPath:
    ops = OPERATIONS.parse(chain, OPS_PER_BLOCK, "ops")
    path = InceptionPath(
        ops,
        whole(width, WIDTHS, f"width of path {'+'.join(ops)}"),
        whole(internal, WIDTHS, f"internal width of path {'+'.join(ops)}"),
    )
    first, last = resizing(ops)
    if first == last and path.width != path.internal:
        raise ArchitectureError(
            f"path {path}: with one operation that can change the channels, its internal width "
            "must be its width"
        )
    return path


def _draw_stage(rng: random.Random, channels: int) -> InceptionStage:
    blocks = rng.choice(BLOCKS_PER_STAGE)
    count = rng.choice(PATHS_PER_BLOCK)
    widths = [channels // count] * count
    if count == 3:
        widths = [channels // 2, channels // 4, channels // 4]
        rng.shuffle(widths)
    left = OPS_PER_PATH * count
    paths = []
    for place, width in enumerate(widths):
        # Each path after this one needs an operation, too.
        length = rng.randint(1, left - (count - 1 - place))
        left -= length
        paths.append(_draw_path(rng, length, max(width, MIN_WIDTH)))
    return InceptionStage(blocks, tuple(paths))


def _draw_path(rng: random.Random, length: int, width: int) -> InceptionPath:
    ops = OPERATIONS.draw(rng, length)
    first, last = resizing(ops)
    internal = width
    if first != last:
        (internal,) = rng.choices((width // 2, width, 2 * width), (0.3, 0.6, 0.1))
    return InceptionPath(ops, width, max(internal, MIN_WIDTH))


def _block(
    b: GraphBuilder,
    x: int,
    paths: tuple[InceptionPath, ...],
    c_in: int,
    c_out: int,
    stride: int,
) -> int:
    ends = []
    for path in paths:
        y = x
        for op, _, after, s in path.plan(c_in, stride):
            y = op_nodes(b, y, op, after, s)
        ends.append(y)
    y = concat(b, ends)
    if sum(path.width for path in paths) != c_out:
        y = conv_norm(b, y, c_out, (1, 1), act=None, bias=True)
    return total(b, (y, x)) if stride == 1 and c_in == c_out else y


class InceptionBlock(nn.Module):
    """One block: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(
        self, paths: tuple[InceptionPath, ...], c_in: int, c_out: int, stride: int
    ) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(*(op_module(*step) for step in path.plan(c_in, stride))) for path in paths
        )
        width = sum(path.width for path in paths)
        self.projection = (
            None if width == c_out else ConvNorm(width, c_out, (1, 1), act=None, bias=True)
        )
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        ends = [path(x) for path in self.paths]
        y = ends[0] if len(ends) == 1 else torch.cat(ends, 1)
        if self.projection is not None:
            y = self.projection(y)
        return y + x if self.residual else y


class InceptionNetwork(nn.Module):
    """Images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, arch: InceptionArch) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, (3, 3), bias=True)
        self.blocks = nn.Sequential(*(InceptionBlock(*place[2:]) for place in arch.places()))
        self.head = Head(STAGES[-1][0], bias=True)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        logits: Tensor = self.head(self.blocks(self.stem(x)))
        return logits
