"""NAS-Bench-301 (Siems et al., 2020): the DARTS search space on CIFAR-10.

An architecture is two cells, one that keeps the resolution and one that halves it. The
benchmark's network has 8 cells and 32 initial channels; its auxiliary head and its drop
path act in training only and are left out. The ``paper`` variant is the network that the
authors of GENNAPE convert: 20 cells that start at 48 channels, two stems, no ReLU inside
the separable convolutions, and a convolution for a classifier.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._darts import NODES, OPERATIONS, DartsCell, Edges, cell_graph
from ._genotype import Genotype301, genotype_of
from .base import Family, conv_node, node_of

CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The network around the cells.

    Attributes:
        cells: Number of cells; those at a third and at two thirds of it are reductions.
        stem_channels: Channels of the stem.
        channels: Channels of the first cell's nodes.
        paper: Whether it is the network of the ``paper`` variant.
    """

    cells: int
    stem_channels: int
    channels: int
    paper: bool

    @property
    def reductions(self) -> tuple[int, int]:
        """Places of the reduction cells."""
        return self.cells // 3, 2 * self.cells // 3


#: The network of each variant.
SKELETONS: Final[Mapping[str, Skeleton]] = MappingProxyType(
    {
        "benchmark": Skeleton(cells=8, stem_channels=96, channels=32, paper=False),
        "paper": Skeleton(cells=20, stem_channels=48, channels=48, paper=True),
    }
)


class NASBench301(Family[Genotype301]):
    """The NAS-Bench-301 search space."""

    name: ClassVar = "nasbench301"
    title: ClassVar = "NAS-Bench-301"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``genotype`` column."""
        return row.get("genotype")

    def parse(self, encoding: object) -> Genotype301:
        """Check a genotype given as DARTS prints it.

        A mapping with the same fields, or an object with these attributes (the named tuple
        of DARTS), is taken too. The two ``concat`` fields may be left out.

        Raises:
            ArchitectureError: if it is no genotype of the search space.
        """
        if isinstance(encoding, Genotype301):
            return encoding
        return genotype_of(encoding)

    def sample(self, rng: random.Random) -> Genotype301:
        """Draw both cells alike: two states and two operations a node, all uniformly.

        Random softmax weights, from which the strongest are kept, give the same distribution.
        """
        return Genotype301(_random_edges(rng), _random_edges(rng))

    def graph(self, arch: Genotype301, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image."""
        self._check_variant(variant)
        return network_graph(arch, SKELETONS[variant], f"{self.name}/{arch}")

    def module(self, arch: Genotype301, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return Network301(arch, SKELETONS[variant])


def _random_edges(rng: random.Random) -> Edges:
    return tuple(
        (rng.choice(OPERATIONS), j) for node in range(NODES) for j in rng.sample(range(node + 2), 2)
    )


# -- the network ------------------------------------------------------------------------------


def network_graph(arch: Genotype301, skeleton: Skeleton, name: str) -> ComputeGraph:
    """The graph of any network of such cells on one 32 x 32 image."""
    b = GraphBuilder(name)
    b.set_scope("stem")
    image = b.input((1, 3, 32, 32))
    last = _stem(b, image, skeleton)
    states = last, _stem(b, image, skeleton) if skeleton.paper else last
    channels, before = skeleton.channels, False
    for cell in range(skeleton.cells):
        b.set_scope(f"cell{cell}")
        reduction = cell in skeleton.reductions
        channels *= 1 + reduction
        made = cell_graph(
            b,
            states,
            arch.reduce if reduction else arch.normal,
            channels,
            reduction=reduction,
            after_reduction=before,
            inner_relu=not skeleton.paper,
        )
        states, before = (states[1], made), reduction
    b.set_scope("head")
    return b.build(_head(b, states[1], paper=skeleton.paper))


def _stem(b: GraphBuilder, image: int, skeleton: Skeleton) -> int:
    conv = conv_node(b.nodes[image].shape, skeleton.stem_channels, 3)
    x = b.append(conv, (image,))
    if skeleton.paper:
        x = b.append(node_of("relu", conv.shape), (x,))
    return b.append(node_of("batch_norm", conv.shape), (x,))


def _head(b: GraphBuilder, x: int, *, paper: bool) -> int:
    mean = node_of("mean", b.nodes[x].shape, axes=(2, 3), keepdim=paper)
    x = b.append(mean, (x,))
    if not paper:
        return b.append(node_of("linear", mean.shape, features=CLASSES), (x,))
    x = b.append(conv_node(mean.shape, CLASSES, 1), (x,))
    return b.append(node_of("reshape", b.nodes[x].shape, shape=(1, CLASSES)), (x,))


def _stem_module(skeleton: Skeleton) -> nn.Module:
    conv = nn.Conv2d(3, skeleton.stem_channels, 3, padding=1, bias=False)
    norm = nn.BatchNorm2d(skeleton.stem_channels)
    return nn.Sequential(conv, nn.ReLU(), norm) if skeleton.paper else nn.Sequential(conv, norm)


class Network301(nn.Module):
    """The network of a genotype: images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, genotype: Genotype301, skeleton: Skeleton) -> None:
        super().__init__()
        self.stem = _stem_module(skeleton)
        self.second_stem = _stem_module(skeleton) if skeleton.paper else None
        self.cells = nn.ModuleList()
        c_before = (skeleton.stem_channels, skeleton.stem_channels)
        channels, before = skeleton.channels, False
        for cell in range(skeleton.cells):
            reduction = cell in skeleton.reductions
            channels *= 1 + reduction
            self.cells.append(
                DartsCell(
                    genotype.reduce if reduction else genotype.normal,
                    c_before,
                    channels,
                    reduction=reduction,
                    after_reduction=before,
                    inner_relu=not skeleton.paper,
                )
            )
            c_before, before = (c_before[1], NODES * channels), reduction
        self.classifier: nn.Module = (
            nn.Conv2d(c_before[1], CLASSES, 1, bias=False)
            if skeleton.paper
            else nn.Linear(c_before[1], CLASSES)
        )

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        x = self.stem(image)
        y = x if self.second_stem is None else self.second_stem(image)
        for cell in self.cells:
            x, y = y, cell(x, y)
        if self.second_stem is None:
            logits: Tensor = self.classifier(y.mean((2, 3)))
            return logits
        logits = self.classifier(y.mean((2, 3), keepdim=True))
        return logits.flatten(1)
