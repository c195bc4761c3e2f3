"""The family of plain networks: convolutions and max pools in a row, for CIFAR-10."""

import random
from dataclasses import dataclass

from gennape_plugin.adapters.families import Family
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import nn

POOL = "M"
MAX_LAYERS, MAX_WIDTH, MAX_POOLS = 64, 1024, 5
WIDTHS = (16, 32, 64, 128)


@dataclass(frozen=True)
class PlainArch:
    """A checked architecture.

    Attributes:
        layers: A width for each convolution, 0 for a pool.
    """

    layers: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join(str(width) if width else POOL for width in self.layers)


class Plain(Family[PlainArch]):
    """3x3 convolutions with batch norm and ReLU, 2x2 max pools, a mean and a linear layer."""

    name = "plain"
    title = "Plain networks"
    dataset = "CIFAR-10"
    input_shape = (3, 32, 32)
    variants = ("benchmark",)

    def parse(self, encoding: object) -> PlainArch:
        """Read ``"16 M 32"``."""
        if isinstance(encoding, PlainArch):
            return encoding
        if not isinstance(encoding, str) or len(encoding) > 8 * MAX_LAYERS:
            raise ArchitectureError(
                f"{encoding!r:.80} is no plain network: give text such as '16 M 32 32'"
            )
        layers = []
        for word in encoding.split():
            if word != POOL and not (word.isdecimal() and 1 <= int(word) <= MAX_WIDTH):
                raise ArchitectureError(
                    f"layer {word!r:.20}: give a width from 1 to {MAX_WIDTH}, or {POOL}"
                )
            layers.append(0 if word == POOL else int(word))
        if not any(layers) or len(layers) > MAX_LAYERS or layers.count(0) > MAX_POOLS:
            raise ArchitectureError(
                f"{encoding!r:.80}: give 1 to {MAX_LAYERS} layers, at least one convolution and at "
                f"most {MAX_POOLS} pools among them"
            )
        return PlainArch(tuple(layers))

    def sample(self, rng: random.Random) -> PlainArch:
        """One to three stages of one to three convolutions."""
        layers: list[int] = []
        for stage in range(rng.randint(1, 3)):
            layers += [0] if stage else []
            layers += [rng.choice(WIDTHS) for _ in range(rng.randint(1, 3))]
        return PlainArch(tuple(layers))

    def graph(self, arch: PlainArch, *, variant: str = "benchmark") -> ComputeGraph:
        """The computation graph; no module is built."""
        self._check_variant(variant)
        b = GraphBuilder(str(arch))
        x = b.input((1, *self.input_shape))
        for width in arch.layers:
            if width:
                x = b.relu(b.batch_norm(b.conv(x, width, kernel=3)))
            else:
                x = b.max_pool(x, kernel=2, stride=2)
        return b.build(b.linear(b.mean(x, (2, 3)), 10))

    def module(self, arch: PlainArch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        layers: list[nn.Module] = []
        channels = self.input_shape[0]
        for width in arch.layers:
            if width:
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            else:
                layers += [nn.MaxPool2d(2)]
        return nn.Sequential(*layers, GlobalMean(), nn.Linear(channels, 10))


class GlobalMean(nn.Module):
    """Mean over height and width."""

    def forward(self, x):
        return x.mean((2, 3))
