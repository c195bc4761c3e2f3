"""NAS-Bench-Macro (Su et al., 2021): 6,561 networks of eight searched layers on CIFAR-10.

A layer is an identity or one of two inverted residual blocks. The first layer of each of
the three stages halves the resolution and doubles the channels; an identity there is a
strided 1x1 convolution with batch norm.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._mbconv import MBConv, MBConvModule, conv_bn, conv_bn_layers, mbconv
from ._text import shown
from .base import Family, node_of

#: Expansion and kernel of each digit; ``None`` is the identity.
OPERATIONS: Final = (None, (3, 3), (6, 5))
STAGES: Final = (2, 3, 3)
LAYERS: Final = sum(STAGES)
STEM_CHANNELS: Final = 32
HEAD_CHANNELS: Final = 1280
CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class ArchMacro:
    """The digit of each layer, first to last."""

    layers: tuple[int, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.layers))


class NASBenchMacro(Family[ArchMacro]):
    """The NAS-Bench-Macro search space."""

    name: ClassVar = "nasbench_macro"
    title: ClassVar = "NAS-Bench-Macro"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)
    variants: ClassVar = ("benchmark",)

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``arch`` column."""
        return row.get("arch")

    def parse(self, encoding: object) -> ArchMacro:
        """Check an architecture given as a text, list or tuple of eight digits.

        A digit is 0 for an identity, 1 for a block of expansion 3 and kernel 3, 2 for one of
        expansion 6 and kernel 5.

        Raises:
            ArchitectureError: if it is anything else.
        """
        if isinstance(encoding, ArchMacro):
            return encoding
        if isinstance(encoding, str) and len(encoding) < 100:
            digits = tuple("012".find(c) for c in encoding.strip())
        elif isinstance(encoding, list | tuple) and len(encoding) == LAYERS:
            # NumPy's integers are Integral too; a truth value or a float is a mistake.
            digits = tuple(
                -1 if isinstance(v, bool) or not isinstance(v, Integral) else int(v)
                for v in encoding
            )
        else:
            digits = ()
        if len(digits) != LAYERS or not all(0 <= digit < len(OPERATIONS) for digit in digits):
            raise ArchitectureError(
                f"not a {self.title} architecture: give {LAYERS} digits, each 0 (identity), "
                f"1 (expansion 3, kernel 3) or 2 (expansion 6, kernel 5), such as '02012100', "
                f"got {shown(encoding)}"
            )
        return ArchMacro(digits)

    def sample(self, rng: random.Random) -> ArchMacro:
        """Draw the digits uniformly."""
        return ArchMacro(tuple(rng.randrange(len(OPERATIONS)) for _ in range(LAYERS)))

    def graph(self, arch: ArchMacro, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = conv_bn(b, b.input((1, *self.input_shape)), STEM_CHANNELS, 3, act="relu")
        for scope, layer in _layers(arch):
            b.set_scope(scope)
            if isinstance(layer, MBConv):
                x = mbconv(b, x, layer)
            elif layer is not None:
                x = conv_bn(b, x, layer[1], 1, stride=2)
        b.set_scope("head")
        x = conv_bn(b, x, HEAD_CHANNELS, 1, act="relu")
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))
        return b.build(x)

    def module(self, arch: ArchMacro, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return NetworkMacro(arch)


def _layers(arch: ArchMacro) -> Iterator[tuple[str, MBConv | tuple[int, int] | None]]:
    """Each layer's scope, and its block, its strided convolution's channels, or nothing."""
    digits, channels = iter(arch.layers), STEM_CHANNELS
    for stage, count in enumerate(STAGES):
        for place in range(count):
            c_in, stride = channels, 1
            if place == 0:
                channels, stride = 2 * channels, 2
            operation = OPERATIONS[next(digits)]
            scope = f"stage{stage}.layer{place}"
            if operation is not None:
                expand, kernel = operation
                yield scope, MBConv(c_in, channels, kernel, expand, stride, "relu")
            else:
                yield scope, (c_in, channels) if stride == 2 else None


class NetworkMacro(nn.Module):
    """One architecture: images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, arch: ArchMacro) -> None:
        super().__init__()
        layers: list[nn.Module] = conv_bn_layers(3, STEM_CHANNELS, 3, act="relu")
        channels = STEM_CHANNELS
        for _, layer in _layers(arch):
            if isinstance(layer, MBConv):
                layers.append(MBConvModule(layer))
                channels = layer.c_out
            elif layer is not None:
                layers += conv_bn_layers(*layer, 1, stride=2)
                channels = layer[1]
        layers += conv_bn_layers(channels, HEAD_CHANNELS, 1, act="relu")
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits
