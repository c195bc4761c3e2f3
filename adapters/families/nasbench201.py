"""NAS-Bench-201 (Dong and Yang, 2020): 15,625 cells on CIFAR-10, CIFAR-100, ImageNet16-120.

A cell has four nodes and an operation on each of its six edges. The network is a stem,
three stages of five cells with a reduction between the stages, and a classifier. The
``paper`` variant is the network that the authors of GENNAPE converted: a batch norm
after every average pool, reductions without batch norm and with a strided 3x3 average
pool, and nothing between the last cell and the pooling.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn

from ._text import shown
from .base import Family, conv_node, node_of

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: ``(source, target)`` of the six operations, in the order of the architecture string.
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELLS_PER_STAGE: Final = 5
CHANNELS: Final = (16, 32, 64)

_OPERATION = re.compile(r"([a-z0-9_]+)~([0-9])")
_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Cell201:
    """A cell: the operation on each of :data:`EDGES`."""

    ops: tuple[str, ...]

    def __str__(self) -> str:
        parts: dict[int, list[str]] = {1: [], 2: [], 3: []}
        for (source, target), op in zip(EDGES, self.ops, strict=True):
            parts[target].append(f"{op}~{source}")
        return "+".join(f"|{'|'.join(parts[node])}|" for node in (1, 2, 3))


class NASBench201(Family[Cell201]):
    """The NAS-Bench-201 search space (its CIFAR-10 network)."""

    name: ClassVar = "nasbench201"
    title: ClassVar = "NAS-Bench-201"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)
    classes: ClassVar = 10

    def encoding_of(self, row: Mapping[str, object]) -> object:
        """The ``arch_str`` column."""
        return row.get("arch_str")

    def parse(self, encoding: object) -> Cell201:
        """Check a cell given as the benchmark's string, or as a sequence of six operations.

        Raises:
            ArchitectureError: if it is not ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.
        """
        if isinstance(encoding, Cell201):
            return encoding
        if isinstance(encoding, list | tuple) and len(encoding) == len(EDGES):
            ops = tuple(str(op) for op in encoding)
        elif isinstance(encoding, str) and len(encoding) < _MAX_TEXT:
            ops = _ops_of_string(encoding)
        else:
            raise ArchitectureError(
                f"not a NAS-Bench-201 cell: give '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|' or six "
                f"operations, got {shown(encoding)}"
            )
        wrong = sorted(set(ops) - set(OPERATIONS))
        if wrong:
            raise ArchitectureError(f"unknown operations {wrong}: allowed are {list(OPERATIONS)}")
        return Cell201(ops)

    def sample(self, rng: random.Random) -> Cell201:
        """Draw the six operations uniformly."""
        return Cell201(tuple(rng.choice(OPERATIONS) for _ in EDGES))

    def graph(self, arch: Cell201, *, variant: str = "benchmark") -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image."""
        self._check_variant(variant)
        b = GraphBuilder(f"{self.name}/{arch}")
        b.set_scope("stem")
        x = b.input((1, *self.input_shape))
        x = b.append(conv_node(b.nodes[x].shape, CHANNELS[0], 3), (x,))
        x = _op(b, "batch_norm", x)
        for stage, channels in enumerate(CHANNELS):
            if stage:
                b.set_scope(f"reduction{stage}")
                x = (reduction if variant == "benchmark" else _paper_reduction)(b, x, channels)
            for cell in range(CELLS_PER_STAGE):
                b.set_scope(f"stage{stage}.cell{cell}")
                x = _cell_graph(b, x, arch.ops, paper=variant == "paper")
        b.set_scope("head")
        if variant == "benchmark":
            x = _op(b, "relu", _op(b, "batch_norm", x))
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        if variant == "paper":
            x = b.append(node_of("dropout", b.nodes[x].shape), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=self.classes), (x,))
        # `none` edges can leave operations that nothing reads.
        return b.build(x, prune=True)

    def module(self, arch: Cell201, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return Network201(arch, paper=variant == "paper", classes=self.classes)


def _ops_of_string(text: str) -> tuple[str, ...]:
    found: dict[tuple[int, int], str] = {}
    groups = text.strip().split("+")
    for target, group in enumerate(groups, start=1):
        if not (group.startswith("|") and group.endswith("|")):
            break
        for item in group[1:-1].split("|"):
            match = _OPERATION.fullmatch(item)
            if match is None:
                break
            found[int(match[2]), target] = match[1]
    if len(groups) != 3 or set(found) != set(EDGES) or text.count("~") != len(EDGES):
        raise ArchitectureError(
            f"not a NAS-Bench-201 string: expected '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|', "
            f"got {text!r:.120}"
        )
    return tuple(found[edge] for edge in EDGES)


def _op(b: GraphBuilder, op: str, x: int) -> int:
    return b.append(node_of(op, b.nodes[x].shape), (x,))


def _relu_conv_bn(b: GraphBuilder, x: int, channels: int, kernel: int, stride: int = 1) -> int:
    x = _op(b, "relu", x)
    x = b.append(conv_node(b.nodes[x].shape, channels, kernel, stride), (x,))
    return _op(b, "batch_norm", x)


def cell_op(b: GraphBuilder, op: str, x: int, *, paper: bool = False) -> int:
    """The nodes of the operation on one edge."""
    shape = b.nodes[x].shape
    if op == "skip_connect":
        return _op(b, "identity", x)
    if op == "none":
        return _op(b, "zero", x)
    if op == "avg_pool_3x3":
        pool = node_of(
            "avg_pool",
            shape,
            kernel=(3, 3),
            stride=(1, 1),
            padding=(1, 1),
            count_include_pad=False,
        )
        x = b.append(pool, (x,))
        return _op(b, "batch_norm", x) if paper else x
    return _relu_conv_bn(b, x, shape[1], 3 if op == "nor_conv_3x3" else 1)


def _sum(b: GraphBuilder, x: int, y: int) -> int:
    return b.append(node_of("add", b.nodes[x].shape, b.nodes[y].shape), (x, y))


def _cell_graph(b: GraphBuilder, x: int, ops: tuple[str, ...], *, paper: bool) -> int:
    op = partial(cell_op, b, paper=paper)
    first = op(ops[0], x)
    second = _sum(b, op(ops[1], x), op(ops[2], first))
    late = _sum(b, op(ops[5], second), op(ops[4], first))
    return _sum(b, late, op(ops[3], x))


def reduction(b: GraphBuilder, x: int, channels: int) -> int:
    """The residual block between stages."""
    main = _relu_conv_bn(b, _relu_conv_bn(b, x, channels, 3, stride=2), channels, 3)
    pool = node_of("avg_pool", b.nodes[x].shape, kernel=(2, 2), stride=(2, 2), padding=(0, 0))
    short = b.append(pool, (x,))
    short = b.append(conv_node(b.nodes[short].shape, channels, 1), (short,))
    return _sum(b, main, short)


def _paper_reduction(b: GraphBuilder, x: int, channels: int) -> int:
    shape = b.nodes[x].shape
    main = b.append(conv_node(shape, shape[1], 3), (x,))
    main = _op(b, "relu", main)
    main = b.append(conv_node(b.nodes[main].shape, channels, 3, 2), (main,))
    pool = node_of("avg_pool", shape, kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    short = b.append(pool, (x,))
    short = b.append(conv_node(b.nodes[short].shape, channels, 1), (short,))
    return _op(b, "relu", _sum(b, main, short))


class Zero(nn.Module):
    """The operation ``none``: nothing passes."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        return x.mul(0.0)


def _relu_conv_bn_module(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(c_out),
    )


def _operation_module(op: str, channels: int, *, paper: bool) -> nn.Module:
    if op == "skip_connect":
        return nn.Identity()
    if op == "none":
        return Zero()
    if op == "avg_pool_3x3":
        pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        return nn.Sequential(pool, nn.BatchNorm2d(channels)) if paper else pool
    return _relu_conv_bn_module(channels, channels, 3 if op == "nor_conv_3x3" else 1)


class CellModule201(nn.Module):
    """One cell: ``(batch, channels, h, w)`` to the same shape."""

    def __init__(self, cell: Cell201, channels: int, *, paper: bool) -> None:
        super().__init__()
        self.ops = nn.ModuleList(_operation_module(op, channels, paper=paper) for op in cell.ops)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        op1, op2, op3, op4, op5, op6 = self.ops
        first: Tensor = op1(x)
        second = op2(x) + op3(first)
        y: Tensor = (op6(second) + op5(first)) + op4(x)
        return y


class Reduction201(nn.Module):
    """Between stages: ``(batch, c, h, w)`` to ``(batch, 2 c, h / 2, w / 2)``."""

    def __init__(self, c_in: int, c_out: int, *, paper: bool) -> None:
        super().__init__()
        self.after = nn.ReLU() if paper else None
        if paper:
            self.main = nn.Sequential(
                nn.Conv2d(c_in, c_in, 3, padding=1, bias=False),
                nn.ReLU(),
                nn.Conv2d(c_in, c_out, 3, 2, padding=1, bias=False),
            )
            pool = nn.AvgPool2d(3, stride=2, padding=1)
        else:
            self.main = nn.Sequential(
                _relu_conv_bn_module(c_in, c_out, 3, 2), _relu_conv_bn_module(c_out, c_out, 3)
            )
            pool = nn.AvgPool2d(2, stride=2)
        self.shortcut = nn.Sequential(pool, nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        y: Tensor = self.main(x) + self.shortcut(x)
        if self.after is not None:
            y = self.after(y)
        return y


class Network201(nn.Module):
    """The network around one cell: images ``(batch, 3, 32, 32)`` to ``classes`` logits."""

    def __init__(self, cell: Cell201, *, paper: bool = False, classes: int = 10) -> None:
        super().__init__()
        channels = CHANNELS[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        ]
        for stage, width in enumerate(CHANNELS):
            if stage:
                layers.append(Reduction201(channels, width, paper=paper))
            layers.extend(CellModule201(cell, width, paper=paper) for _ in range(CELLS_PER_STAGE))
            channels = width
        if not paper:
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout() if paper else None
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        y = self.features(x).mean((2, 3))
        logits: Tensor = self.classifier(y if self.dropout is None else self.dropout(y))
        return logits
