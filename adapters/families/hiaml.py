"""HiAML (Mills et al., 2023): 14 blocks in 4 stages, 38,416 networks on CIFAR-10.

The network is a strided stem, four stages of two equal blocks (the first blocks of stages
2 and 4 halve the resolution and double the channels), pooling and a linear layer.

Encodings: four block names, as a list (the ``net_config`` of the authors' labelled files,
``["hiaml_src1", "hiaml_src1", "hiaml_r30", "hiaml_src3"]``) or as text
(``"src1,src1,r30,src3"``); the prefix can be left out everywhere.

The ``benchmark`` variant is the network of the published graphs: ReLU after plain
convolutions and ReLU6 inside ``is``. The authors' PyTorch code has ReLU6 after both, and
which of the two was trained is not known.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._conv_norm import CLASSES, ConvNorm, Separable, conv_norm, separable, total, unary
from ._text import shown
from .base import Family, node_of

STAGES: Final = 4
BLOCKS_PER_STAGE: Final = 2
REDUCING_STAGES: Final = frozenset({1, 3})
STEM_CHANNELS: Final = 64
PREFIX: Final = "hiaml_"

#: What each block does: its steps, then the values whose sum, through a ReLU, it returns.
#: A step is ``read values:layer``; ``x`` is the block's input and the steps' results are
#: ``a``, ``b``, ... in their order. ``cbr`` is convolution, batch norm, ReLU (``cb`` without
#: ReLU), ``is`` two separable convolutions, ``proj`` a ``cb1`` that is left out where shapes
#: are equal. ``/s`` marks the layers that stride, ``/n`` those that keep the input's channels.
RECIPES: Final[Mapping[str, str]] = {
    "z": "x:cbr3/s a:is = a+b",
    "a22": "x:cbr3/s a:cbr1 b:cb1 = a+c",
    "b23": "x:is/s x:proj/s a:is = b+c",
    "j30": "x:cbr3/s x:proj/s a:is = b+c",
    "g30": "x:is/s x:proj/s b+a:is c:cb1 = a+d",
    "r30": "x:is/s x:proj/s x:proj/s b+a:cb1 a:is = c+d+e",
    "l20": "x:cbr3/s a:cb1 = b",
    "t20": "x:cb1/s x:is/s = a+b",
    "t31": "x:is/s a:cbr1 x:proj/s x:proj/s c+b:is = d+b+e",
    "src0": "x:cbr1/s a:cbr3 b:cb3 = a+c",
    "src1": "x:cbr1/s x:cbr3/n b:cb3/s = a+c",
    "src3": "x:cb1/s x:cbr1/n b:cbr3/s c:cb1 = a+d",
    "src7": "x:cb1/s a:is b:is = a+c",
    "src8": "x:cb1/s a:is b:cb1 = a+c",
}
BLOCKS: Final = tuple(RECIPES)

#: Side of the kernel and activation of the plain layers.
_PLAIN: Final = {"cbr1": (1, "relu"), "cbr3": (3, "relu"), "cb1": (1, None), "cb3": (3, None)}
_MAX_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of a block.

    Attributes:
        name: The letter of its result.
        reads: Letters of the values that it adds up and reads.
        layer: ``"is"``, ``"proj"`` or one of the plain layers.
        strides: Whether it has the block's stride.
        narrow: Whether it has the block's input channels rather than its output channels.
    """

    name: str
    reads: tuple[str, ...]
    layer: str
    strides: bool
    narrow: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    """A block: its steps, and the values whose sum it returns through a ReLU."""

    steps: tuple[Step, ...]
    returns: tuple[str, ...]


def _recipe(text: str) -> Recipe:
    steps, returns = text.split(" = ")
    made = []
    for name, step in zip("abcdefgh", steps.split(), strict=False):
        reads, layer = step.split(":")
        layer, _, mark = layer.partition("/")
        made.append(Step(name, tuple(reads.split("+")), layer, mark == "s", mark == "n"))
    return Recipe(tuple(made), tuple(returns.split("+")))


_COMPILED: Final = {name: _recipe(text) for name, text in RECIPES.items()}


@dataclass(frozen=True, slots=True)
class HiAMLArch:
    """A network: the name of each stage's block."""

    blocks: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.blocks)

    def places(self) -> list[tuple[int, int, Recipe, int, int, int]]:
        """Stage, place in it, recipe, channels before and after, and stride of each block."""
        found = []
        channels = STEM_CHANNELS
        for stage, name in enumerate(self.blocks):
            for place in range(BLOCKS_PER_STAGE):
                reduces = stage in REDUCING_STAGES and place == 0
                c_out = 2 * channels if reduces else channels
                found.append((stage, place, _COMPILED[name], channels, c_out, 1 + reduces))
                channels = c_out
        return found


class HiAML(Family[HiAMLArch]):
    """The HiAML search space."""

    name: ClassVar = "hiaml"
    title: ClassVar = "HiAML"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)
    variants: ClassVar = ("benchmark",)

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``net_config`` column."""
        return row.get("net_config")

    def parse(self, encoding: object) -> HiAMLArch:
        """Check four block names, given as a list or as text with commas.

        Raises:
            ArchitectureError: if there are not four, or one is unknown.
        """
        if isinstance(encoding, HiAMLArch):
            return encoding
        given = encoding
        if isinstance(encoding, str) and len(encoding) <= _MAX_TEXT:
            given = [part.strip() for part in encoding.split(",")]
        if not isinstance(given, list | tuple) or len(given) != STAGES:
            raise ArchitectureError(
                f"not a HiAML network: give the block names of {STAGES} stages, such as "
                f"'src1,src1,r30,src3', got {shown(encoding)}"
            )
        names = tuple(n.removeprefix(PREFIX) if isinstance(n, str) else None for n in given)
        blocks = tuple(name for name in names if name is not None and name in RECIPES)
        if len(blocks) < STAGES:
            wrong = [n for n, name in zip(given, names, strict=True) if name not in RECIPES]
            raise ArchitectureError(
                f"unknown HiAML blocks {shown(wrong)}: allowed are {', '.join(BLOCKS)}"
            )
        return HiAMLArch(blocks)

    def sample(self, rng: random.Random) -> HiAMLArch:
        """Draw the four blocks uniformly."""
        return HiAMLArch(tuple(rng.choice(BLOCKS) for _ in range(STAGES)))

    def graph(self, arch: HiAMLArch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, *self.input_shape))
        x = conv_norm(b, x, STEM_CHANNELS, (3, 3), (2, 2), act="relu")
        for stage, place, recipe, c_in, c_out, stride in arch.places():
            b.set_scope(f"stage{stage}.block{place}")
            x = _block(b, x, recipe, c_in, c_out, stride)
        b.set_scope("head")
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))
        return b.build(x)

    def module(self, arch: HiAMLArch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return HiAMLNetwork(arch)


def _block(b: GraphBuilder, x: int, recipe: Recipe, c_in: int, c_out: int, stride: int) -> int:
    values = {"x": x}
    same = stride == 1 and c_in == c_out
    for step in recipe.steps:
        y = total(b, [values[name] for name in step.reads])
        channels = c_in if step.narrow else c_out
        s = stride if step.strides else 1
        if step.layer == "is":
            y = separable(b, y, channels, 3, s)
        elif step.layer in _PLAIN:
            side, act = _PLAIN[step.layer]
            y = conv_norm(b, y, channels, (side, side), (s, s), act=act)
        elif not same:
            y = conv_norm(b, y, channels, (1, 1), (s, s), act=None)
        values[step.name] = y
    return unary(b, "relu", total(b, [values[name] for name in recipe.returns]))


class HiAMLBlock(nn.Module):
    """One block: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(self, recipe: Recipe, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.layers = nn.ModuleDict()
        widths = {"x": c_in}
        for step in recipe.steps:
            before, after = widths[step.reads[0]], c_in if step.narrow else c_out
            widths[step.name] = after
            s = stride if step.strides else 1
            if step.layer == "is":
                self.layers[step.name] = Separable(before, after, 3, s)
            elif step.layer in _PLAIN:
                side, act = _PLAIN[step.layer]
                self.layers[step.name] = ConvNorm(before, after, (side, side), (s, s), act=act)
            elif stride != 1 or c_in != c_out:
                self.layers[step.name] = ConvNorm(before, after, (1, 1), (s, s), act=None)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        values = {"x": x}
        for step in self.recipe.steps:
            y = reduce(add, [values[name] for name in step.reads])
            values[step.name] = self.layers[step.name](y) if step.name in self.layers else y
        out: Tensor = self.act(reduce(add, [values[name] for name in self.recipe.returns]))
        return out


class HiAMLNetwork(nn.Module):
    """Images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, arch: HiAMLArch) -> None:
        super().__init__()
        places = arch.places()
        self.stem = ConvNorm(3, STEM_CHANNELS, (3, 3), (2, 2), act="relu")
        self.blocks = nn.Sequential(
            *(
                HiAMLBlock(recipe, c_in, c_out, stride)
                for _, _, recipe, c_in, c_out, stride in places
            )
        )
        self.classifier = nn.Linear(places[-1][4], CLASSES)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        logits: Tensor = self.classifier(self.blocks(self.stem(x)).mean((2, 3)))
        return logits
