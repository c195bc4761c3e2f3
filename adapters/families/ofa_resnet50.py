"""OFA-ResNet50: the sub-networks of once-for-all's ResNet50 (Cai et al., 2020) on ImageNet.

A stem with an optional residual convolution, then four stages of bottleneck blocks. Elastic are
the blocks of every stage, the width of the stem's two parts and of every stage, and the
expand ratio of every block. The published supernet has no dropout and neither have the
authors' graphs, so there is one variant.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._bottleneck import Bottleneck, BottleneckModule, add, bottleneck
from ._mbconv import conv_bn, conv_bn_layers
from ._ofa import (
    CLASSES,
    DEFAULT_RESOLUTION,
    MAX_TEXT,
    RESOLUTIONS,
    entries,
    fields,
    make_divisible,
    pick,
)
from ._text import shown
from .base import Family, node_of

EXPANDS: Final = (0.2, 0.25, 0.35)
MULTIPLIERS: Final = (0.65, 0.8, 1.0)
WIDTH_CHOICES: Final = tuple(range(len(MULTIPLIERS)))
DEPTHS: Final = (0, 1, 2)
#: Blocks of each stage at depth 0.
BASE_DEPTHS: Final = (2, 2, 4, 2)
#: Entries of ``e`` that belong to each stage, whatever its depth.
SLOTS: Final = tuple(depth + DEPTHS[-1] for depth in BASE_DEPTHS)
STEM_WIDTH: Final = 64
WIDTHS: Final = (256, 512, 1024, 2048)
STRIDES: Final = (1, 2, 2, 2)
#: Channels inside the stem for each width choice; the first two coincide.
STEM_INNER: Final = tuple(make_divisible(make_divisible(STEM_WIDTH * m) // 2) for m in MULTIPLIERS)

_TEXT = re.compile(
    r"r([0-9]{3}): (deep )?stem w([0-9]) w([0-9])((?: \| w[0-9](?: e0\.[0-9]{1,2})+){4})"
)


@dataclass(frozen=True, slots=True)
class ResNet50Arch:
    """A sub-network. What makes no difference is not kept, so equal networks are equal.

    Attributes:
        deep_stem: Whether the stem has its residual convolution.
        stem: Width choices of the stem: inside it, and of what it hands on.
        widths: Width choice of every stage.
        expands: Expand ratios of the active blocks, stage by stage.
        resolution: Side of the input image.
    """

    deep_stem: bool
    stem: tuple[int, int]
    widths: tuple[int, ...]
    expands: tuple[tuple[float, ...], ...]
    resolution: int

    def __str__(self) -> str:
        stages = (
            " ".join((f"w{width}", *(f"e{expand}" for expand in expands)))
            for width, expands in zip(self.widths, self.expands, strict=True)
        )
        stem = f"{'deep ' if self.deep_stem else ''}stem w{self.stem[0]} w{self.stem[1]}"
        return f"r{self.resolution}: {stem} | {' | '.join(stages)}"


def blocks_of(arch: ResNet50Arch) -> list[list[Bottleneck]]:
    """All blocks, stage by stage."""
    channels = _scaled(STEM_WIDTH, arch.stem[1])
    stages: list[list[Bottleneck]] = []
    for base, choice, expands, stride in zip(
        WIDTHS, arch.widths, arch.expands, STRIDES, strict=True
    ):
        width = _scaled(base, choice)
        stages.append([])
        for index, expand in enumerate(expands):
            middle = make_divisible(round(width * expand))
            stages[-1].append(Bottleneck(channels, middle, width, 1 if index else stride))
            channels = width
    return stages


def _scaled(base: int, choice: int) -> int:
    return make_divisible(base * MULTIPLIERS[choice])


class OFAResNet50(Family[ResNet50Arch]):
    """The once-for-all ResNet50 search space."""

    name: ClassVar = "ofa_resnet50"
    title: ClassVar = "OFA-ResNet50"
    dataset: ClassVar = "ImageNet"
    input_shape: ClassVar = (3, 224, 224)
    variants: ClassVar = ("benchmark",)

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The columns ``d``, ``e``, ``w`` and ``r``."""
        return {key: row[key] for key in ("d", "e", "w", "r") if key in row}

    def parse(self, encoding: object) -> ResNet50Arch:
        """Check an architecture given as once-for-all's mapping, or in its one-line form.

        The mapping holds the depths ``d`` (the stem's, of which only 2 makes a difference,
        then the four stages'), the expand ratios ``e`` of all 18 blocks, the width choices
        ``w`` (two of the stem, then the four stages') and, if not 224, the resolution ``r``.
        Expand ratios of blocks beyond a stage's depth are not looked at; every width counts, so
        none may be null.

        Raises:
            ArchitectureError: naming the field that is wrong and what it may be.
        """
        if isinstance(encoding, ResNet50Arch):
            return encoding
        if isinstance(encoding, str):
            return self._of_text(encoding)
        given = fields(self.title, encoding, ("d", "e", "w"), ("r",))
        stages = len(WIDTHS)
        ds = entries(self.title, "d", given["d"], [1 + stages])
        es = entries(self.title, "e", given["e"], [sum(SLOTS)])
        ws = entries(self.title, "w", given["w"], [2 + stages])
        depths = [pick(self.title, f"'d'[{i}]", d, DEPTHS) for i, d in enumerate(ds)]
        expands = []
        first = 0
        for slots, base, depth in zip(SLOTS, BASE_DEPTHS, depths[1:], strict=True):
            expands.append(es[first : first + base + depth])
            first += slots
        resolution = given.get("r", DEFAULT_RESOLUTION)
        return self._checked(depths[0] == DEPTHS[-1], ws, expands, resolution)

    def sample(self, rng: random.Random) -> ResNet50Arch:
        """Draw the stem's kind, all depths, widths and expand ratios uniformly, at 224."""
        deep_stem = rng.random() < 0.5
        ws = [rng.choice(WIDTH_CHOICES) for _ in range(2 + len(WIDTHS))]
        expands = [
            [rng.choice(EXPANDS) for _ in range(base + rng.choice(DEPTHS))] for base in BASE_DEPTHS
        ]
        return self._checked(deep_stem, ws, expands, DEFAULT_RESOLUTION)

    def graph(self, arch: ResNet50Arch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one image of the architecture's resolution."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, 3, arch.resolution, arch.resolution))
        inner = STEM_INNER[arch.stem[0]]
        x = conv_bn(b, x, inner, 3, 2, act="relu")
        if arch.deep_stem:
            x = add(b, conv_bn(b, x, inner, 3, act="relu"), x)
        x = conv_bn(b, x, _scaled(STEM_WIDTH, arch.stem[1]), 3, act="relu")
        x = b.max_pool(x, kernel=3, stride=2, padding=1)
        for stage, blocks in enumerate(blocks_of(arch)):
            for index, block in enumerate(blocks):
                b.set_scope(f"stage{stage}.block{index}")
                x = bottleneck(b, x, block)
        b.set_scope("head")
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))
        return b.build(x)

    def module(self, arch: ResNet50Arch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return ResNet50(arch)

    def _of_text(self, text: str) -> ResNet50Arch:
        match = _TEXT.fullmatch(text.strip()) if len(text) < MAX_TEXT else None
        stages = match[5].split(" | ")[1:] if match else []
        extra = [len(s.split()) - 1 - base for s, base in zip(stages, BASE_DEPTHS, strict=False)]
        if match is None or not set(extra) <= set(DEPTHS):
            raise ArchitectureError(
                f"not a one-line {self.title} architecture: expected 'r224: stem w0 w2 | w1 e0.2 "
                f"e0.35 | ...' (or 'deep stem') with four stages of {BASE_DEPTHS} blocks and at "
                f"most {DEPTHS[-1]} more each, got {shown(text)}"
            )
        ws = [int(match[3]), int(match[4]), *(int(stage.split()[0][1:]) for stage in stages)]
        expands = [[float(e[1:]) for e in stage.split()[1:]] for stage in stages]
        return self._checked(match[2] is not None, ws, expands, int(match[1]))

    def _checked(
        self,
        deep_stem: bool,
        ws: Sequence[object],
        expands: Sequence[Sequence[object]],
        resolution: object,
    ) -> ResNet50Arch:
        choices = [pick(self.title, f"'w'[{i}]", w, WIDTH_CHOICES) for i, w in enumerate(ws)]
        ratios = tuple(
            tuple(
                pick(self.title, f"expand ratio of stage {s}, block {i}", e, EXPANDS)
                for i, e in enumerate(stage)
            )
            for s, stage in enumerate(expands)
        )
        inner = STEM_INNER.index(STEM_INNER[choices[0]])
        return ResNet50Arch(
            deep_stem,
            (inner, choices[1]),
            tuple(choices[2:]),
            ratios,
            pick(self.title, "resolution 'r'", resolution, RESOLUTIONS),
        )


class Stem(nn.Module):
    """Images ``(batch, 3, r, r)`` to feature maps ``(batch, c, r / 4, r / 4)``."""

    def __init__(self, inner: int, c_out: int, *, deep: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(*conv_bn_layers(3, inner, 3, 2, act="relu"))
        self.middle = nn.Sequential(*conv_bn_layers(inner, inner, 3, act="relu")) if deep else None
        self.last = nn.Sequential(
            *conv_bn_layers(inner, c_out, 3, act="relu"), nn.MaxPool2d(3, 2, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        y = self.first(x)
        if self.middle is not None:
            y = self.middle(y) + y
        maps: Tensor = self.last(y)
        return maps


class ResNet50(nn.Module):
    """One sub-network: images ``(batch, 3, r, r)`` to ``(batch, 1000)`` logits."""

    def __init__(self, arch: ResNet50Arch) -> None:
        super().__init__()
        stages = blocks_of(arch)
        self.features = nn.Sequential(
            Stem(STEM_INNER[arch.stem[0]], stages[0][0].c_in, deep=arch.deep_stem),
            *(BottleneckModule(block) for blocks in stages for block in blocks),
        )
        self.classifier = nn.Linear(stages[-1][-1].c_out, CLASSES)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits
