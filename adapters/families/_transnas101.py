"""What the two TransNAS-Bench-101 search spaces (Duan et al., 2021) have in common.

A network is a stem that brings a 256 x 256 image to 64 channels at 64 x 64, modules of two
blocks each, a global average pool and a linear layer; a digit a module says what its first
block does to the resolution and the channels. The micro space searches the block, the
macro space the digits.

Five of the benchmark's seven tasks put other heads on the same modules (decoders of images,
a regression, a siamese network); only the two classification heads are built here.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from types import MappingProxyType
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._text import shown
from .base import Arch, Family, conv_node, node_of

#: Number of classes of each task that has a classification head.
TASKS: Final[Mapping[str, int]] = MappingProxyType({"class_object": 75, "class_scene": 47})
CHANNELS: Final = 64
BLOCKS_PER_MODULE: Final = 2
#: What the digits stand for: 1 nothing, 2 twice the channels, 3 half the resolution, 4 both.
DOUBLING: Final = frozenset({2, 4})
HALVING: Final = frozenset({3, 4})


def digits_of(values: Sequence[object], *, allowed: range, most: int) -> tuple[int, ...] | None:
    """At most ``most`` digits as integers; ``None`` if a value is no digit or not allowed."""
    if len(values) > most:
        return None
    digits = []
    for value in values:
        # NumPy's integers are Integral too; a truth value or a float is a mistake.
        if isinstance(value, bool) or not isinstance(value, Integral):
            return None
        digits.append(int(value))
    return tuple(digits) if all(digit in allowed for digit in digits) else None


def blocks(modules: Sequence[int]) -> Iterator[tuple[int, int, int, int, int]]:
    """Module, place in the module, channels before and after, and stride of each block."""
    channels = CHANNELS
    for module, digit in enumerate(modules):
        c_out = 2 * channels if digit in DOUBLING else channels
        for block in range(BLOCKS_PER_MODULE):
            stride = 2 if digit in HALVING and block == 0 else 1
            yield module, block, channels, c_out, stride
            channels = c_out


class TransNAS101(Family[Arch]):
    """One of the two search spaces, with the head of one classification task.

    The labels of the other tasks belong to networks with the same modules, so the default
    head stands in for theirs.
    """

    dataset: ClassVar = "Taskonomy"
    input_shape: ClassVar = (3, 256, 256)
    variants: ClassVar = ("benchmark",)

    def __init__(self, task: str = "class_object") -> None:
        """Choose the head.

        Args:
            task: ``"class_object"`` (75 classes) or ``"class_scene"`` (47 classes).

        Raises:
            InvalidInputError: for any other task.
        """
        if task not in TASKS:
            raise InvalidInputError(
                f"{self.title} has no head for task {shown(task)}: choose from {', '.join(TASKS)}"
            )
        self.task = task
        self.classes = TASKS[task]

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``arch`` column."""
        return row.get("arch")

    @abstractmethod
    def _modules(self, arch: Arch) -> tuple[int, ...]:
        """The digit of each module."""

    @abstractmethod
    def _block(self, b: GraphBuilder, x: int, arch: Arch, c_out: int, stride: int) -> int:
        """Append one block."""

    @abstractmethod
    def _block_module(self, arch: Arch, c_in: int, c_out: int, stride: int) -> nn.Module:
        """The same block in PyTorch."""

    def graph(self, arch: Arch, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 256 x 256 image."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, *self.input_shape))
        x = b.append(conv_node(b.nodes[x].shape, CHANNELS // 2, 3, 2), (x,))
        x = relu_conv_bn(b, unary(b, "batch_norm", x), CHANNELS, 3, 2)
        for module, block, _, c_out, stride in blocks(self._modules(arch)):
            b.set_scope(f"module{module}.block{block}")
            x = self._block(b, x, arch, c_out, stride)
        b.set_scope("head")
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=self.classes), (x,))
        return b.build(x)

    def module(self, arch: Arch, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        layers = [
            self._block_module(arch, c_in, c_out, stride)
            for _, _, c_in, c_out, stride in blocks(self._modules(arch))
        ]
        *_, (_, _, _, channels, _) = blocks(self._modules(arch))
        return Network(layers, channels, self.classes)


def unary(b: GraphBuilder, op: str, x: int) -> int:
    """An operation on one tensor that keeps its shape."""
    return b.append(node_of(op, b.nodes[x].shape), (x,))


def add(b: GraphBuilder, x: int, y: int) -> int:
    """The sum of two tensors."""
    return b.append(node_of("add", b.nodes[x].shape, b.nodes[y].shape), (x, y))


def relu_conv_bn(b: GraphBuilder, x: int, channels: int, kernel: int, stride: int = 1) -> int:
    """ReLU, convolution, batch norm."""
    x = unary(b, "relu", x)
    x = b.append(conv_node(b.nodes[x].shape, channels, kernel, stride), (x,))
    return unary(b, "batch_norm", x)


def relu_conv_bn_module(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution, batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
    )


class Network(nn.Module):
    """Stem, blocks, head: images ``(batch, 3, 256, 256)`` to ``classes`` logits."""

    def __init__(self, layers: Sequence[nn.Module], channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, CHANNELS // 2, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS // 2),
            relu_conv_bn_module(CHANNELS // 2, CHANNELS, 3, 2),
        )
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        # Nothing stands between the last block's sum and the pooling.
        logits: Tensor = self.classifier(self.blocks(self.stem(x)).mean((2, 3)))
        return logits
