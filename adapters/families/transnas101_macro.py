"""TransNAS-Bench-101, macro: 3,256 skeletons of four to six modules of residual blocks.

A module is two residual blocks of two 3x3 convolutions each; its digit says whether its
first block doubles the channels, halves the resolution, does both or neither. A network
doubles its channels one to three times and halves its resolution one to four times.

The benchmark's published code gives the batch norm of a shortcut an epsilon and a momentum
of 1, where it means two switches; the networks here do the same.
"""

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from torch import Tensor, nn

from ._text import shown
from ._transnas101 import (
    DOUBLING,
    HALVING,
    TransNAS101,
    add,
    digits_of,
    relu_conv_bn,
    relu_conv_bn_module,
)
from .base import conv_node, node_of

#: Least and greatest number of modules, of doublings and of halvings.
MODULES: Final = (4, 6)
DOUBLINGS: Final = (1, 3)
HALVINGS: Final = (1, 4)
SHORTCUT_EPS: Final = 1.0

_DIGITS: Final = range(1, 5)
_TEXT = re.compile(r"([1-4]+)|64-([1-4]+)-basic")
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True)
class MacroSkeleton:
    """A skeleton: each module's digit (1 plain, 2 doubling, 3 halving, 4 both)."""

    modules: tuple[int, ...]

    def __str__(self) -> str:
        return f"64-{''.join(map(str, self.modules))}-basic"


def _counts(modules: Sequence[int]) -> tuple[tuple[str, int, tuple[int, int]], ...]:
    return (
        ("modules", len(modules), MODULES),
        ("doublings of the channels", sum(digit in DOUBLING for digit in modules), DOUBLINGS),
        ("halvings of the resolution", sum(digit in HALVING for digit in modules), HALVINGS),
    )


@lru_cache(maxsize=1)
def skeletons() -> tuple[MacroSkeleton, ...]:
    """Every skeleton of the search space, short ones first."""
    least, most = MODULES
    return tuple(
        MacroSkeleton(modules)
        for length in range(least, most + 1)
        for modules in itertools.product(_DIGITS, repeat=length)
        if all(low <= count <= high for _, count, (low, high) in _counts(modules))
    )


class TransNAS101Macro(TransNAS101[MacroSkeleton]):
    """The macro-level search space of TransNAS-Bench-101."""

    name: ClassVar = "transnas101_macro"
    title: ClassVar = "TransNAS-Bench-101 macro"

    def parse(self, encoding: object) -> MacroSkeleton:
        """Check a skeleton given as the benchmark's string, its digits, or a sequence of them.

        Raises:
            ArchitectureError: if it is not ``64-<4 to 6 digits>-basic``, or no network of
                the benchmark.
        """
        if isinstance(encoding, MacroSkeleton):
            return encoding
        modules: tuple[int, ...] | None = None
        if isinstance(encoding, str) and len(encoding) < _MAX_TEXT:
            match = _TEXT.fullmatch(encoding.strip())
            modules = None if match is None else tuple(map(int, match[1] or match[2]))
        elif isinstance(encoding, list | tuple):
            modules = digits_of(encoding, allowed=_DIGITS, most=_MAX_TEXT)
        if not modules:
            raise ArchitectureError(
                f"not a {self.title} skeleton: give '64-1234-basic', '1234' or a sequence of 4 to "
                "6 digits, each of them one of 1 plain, 2 channels x2, 3 resolution /2, 4 both; "
                f"got {shown(encoding)}"
            )
        for what, count, (least, most) in _counts(modules):
            if not least <= count <= most:
                raise ArchitectureError(
                    f"{count} {what} in {shown(encoding)}: {self.title} allows {least} to {most}"
                )
        return MacroSkeleton(modules)

    def sample(self, rng: random.Random) -> MacroSkeleton:
        """Draw one of :func:`skeletons` uniformly."""
        return rng.choice(skeletons())

    def _modules(self, arch: MacroSkeleton) -> tuple[int, ...]:
        return arch.modules

    def _block(self, b: GraphBuilder, x: int, arch: MacroSkeleton, c_out: int, stride: int) -> int:
        main = relu_conv_bn(b, relu_conv_bn(b, x, c_out, 3, stride), c_out, 3)
        shape = b.nodes[x].shape
        if stride > 1 or shape[1] != c_out:
            conv = conv_node(shape, c_out, 1, stride)
            x = b.append(conv, (x,))
            x = b.append(node_of("batch_norm", conv.shape, eps=SHORTCUT_EPS), (x,))
        return add(b, x, main)

    def _block_module(self, arch: MacroSkeleton, c_in: int, c_out: int, stride: int) -> nn.Module:
        return ResidualBlock(c_in, c_out, stride)


class ResidualBlock(nn.Module):
    """One block: ``(batch, c_in, h, w)`` to ``(batch, c_out, h / stride, w / stride)``."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            relu_conv_bn_module(c_in, c_out, 3, stride), relu_conv_bn_module(c_out, c_out, 3)
        )
        self.shortcut: nn.Module | None = None
        if stride > 1 or c_in != c_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False),
                nn.BatchNorm2d(c_out, eps=SHORTCUT_EPS, momentum=1.0),
            )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        main: Tensor = self.main(x)
        return (x if self.shortcut is None else self.shortcut(x)) + main
