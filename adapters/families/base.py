"""The small interface behind which every benchmark family lives.

A family turns its native encoding into a checked architecture, and an architecture
into a :class:`~gennape_plugin.core.graph.ComputeGraph` (symbolically, no module is
built) or into the ``nn.Module`` twin of the same network.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Generic, TypeVar

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node, default_axis, make_node
from gennape_plugin.core.shapes import Shape
from torch import nn

Arch = TypeVar("Arch")


class Family(ABC, Generic[Arch]):
    """One benchmark's search space.

    Attributes:
        name: Short name used in commands and files (``"nasbench101"``).
        title: Name for people.
        dataset: Data set of the labels.
        input_shape: Shape of one input image, ``(channels, height, width)``.
        variants: Networks that one encoding can stand for; the first is the default.
            ``"benchmark"`` is the network that the labels were measured on,
            ``"paper"`` the one the authors' published graphs show.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    dataset: ClassVar[str]
    input_shape: ClassVar[tuple[int, int, int]]
    variants: ClassVar[tuple[str, ...]] = ("benchmark", "paper")

    @abstractmethod
    def parse(self, encoding: object) -> Arch:
        """Check a native encoding.

        Raises:
            ArchitectureError: naming what is wrong and what is allowed.
        """

    @abstractmethod
    def sample(self, rng: random.Random) -> Arch:
        """Draw one valid architecture."""

    @abstractmethod
    def graph(self, arch: Arch, *, variant: str = "benchmark") -> ComputeGraph:
        """The architecture's computation graph at batch size 1."""

    @abstractmethod
    def module(self, arch: Arch, *, variant: str = "benchmark") -> nn.Module:
        """The same network as a trainable module."""

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The native encoding inside one row of a labels file (the row itself by default)."""
        return row

    def _check_variant(self, variant: str) -> None:
        if variant not in self.variants:
            raise ArchitectureError(
                f"{self.title} has no variant {variant!r}: choose from {', '.join(self.variants)}"
            )


@lru_cache(maxsize=4096)
def conv_node(
    shape: Shape, channels: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> Node:
    """An interned square convolution with ``kernel // 2`` padding, for fast builders."""
    return make_node(
        "conv",
        {
            "channels": channels,
            "kernel": (kernel, kernel),
            "stride": (stride, stride),
            "padding": (kernel // 2, kernel // 2),
            "dilation": (1, 1),
            "groups": groups,
            "bias": bias,
        },
        (shape,),
        in_axis=1,
    )


@lru_cache(maxsize=4096)
def node_of(op: str, *in_shapes: Shape, **attrs: object) -> Node:
    """An interned node of any op, for fast builders."""
    in_axis = default_axis(in_shapes[0]) if in_shapes else None
    return make_node(op, attrs, in_shapes, in_axis=in_axis)  # type: ignore[arg-type]


def conv_bn_relu(b: GraphBuilder, x: int, channels: int, kernel: int, stride: int = 1) -> int:
    """Convolution, batch norm, ReLU."""
    conv = conv_node(b.nodes[x].shape, channels, kernel, stride)
    x = b.append(conv, (x,))
    x = b.append(node_of("batch_norm", conv.shape), (x,))
    return b.append(node_of("relu", conv.shape), (x,))
