"""NAS-Bench-101 (Ying et al., 2019): 423,624 cells on CIFAR-10.

A cell is a DAG of at most 7 vertices and 9 edges over three operations. The network is
a stem, three stacks of three cells with max pooling between the stacks, and a linear
classifier. The authors of GENNAPE convert the benchmark's own TensorFlow network, so
the ``benchmark`` and ``paper`` variants are one.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.core.shapes import Shape
from torch import Tensor, nn

from ._text import shown
from .base import Family, conv_bn_relu, node_of

CONV3: Final = "conv3x3-bn-relu"
CONV1: Final = "conv1x1-bn-relu"
POOL3: Final = "maxpool3x3"
INPUT: Final = "input"
OUTPUT: Final = "output"
OPERATIONS: Final = (CONV3, CONV1, POOL3)

MAX_VERTICES: Final = 7
MAX_EDGES: Final = 9
STEM_CHANNELS: Final = 128
STACKS: Final = 3
CELLS_PER_STACK: Final = 3
CLASSES: Final = 10

_HASH_LABELS: Final = {INPUT: -1, OUTPUT: -2, CONV3: 0, CONV1: 1, POOL3: 2}

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Cell101:
    """A pruned, valid cell.

    Attributes:
        matrix: Upper triangular adjacency matrix over the vertices.
        ops: Operation of each vertex, ``"input"`` first and ``"output"`` last.
    """

    matrix: Matrix
    ops: tuple[str, ...]

    @property
    def hash(self) -> str:
        """The benchmark's own isomorphism-invariant md5."""
        return module_hash(self.matrix, self.ops)


def module_hash(matrix: Matrix, ops: Sequence[str]) -> str:
    """The benchmark's graph hash: rounds of md5 over neighbours, then over all vertices."""
    vertices = len(ops)
    into = [[u for u in range(vertices) if matrix[u][v]] for v in range(vertices)]
    out_of = [[w for w in range(vertices) if matrix[v][w]] for v in range(vertices)]

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    hashes = [
        md5(str((len(out_of[v]), len(into[v]), _HASH_LABELS[ops[v]]))) for v in range(vertices)
    ]
    for _ in range(vertices):
        hashes = [
            md5(
                "".join(sorted(hashes[u] for u in into[v]))
                + "|"
                + "".join(sorted(hashes[w] for w in out_of[v]))
                + "|"
                + hashes[v]
            )
            for v in range(vertices)
        ]
    return md5(str(sorted(hashes)))


def vertex_channels(c_in: int, c_out: int, matrix: Matrix) -> list[int]:
    """Channels of each vertex, by the benchmark's rule.

    Vertices that feed the output share its channels evenly, the remainder going to the
    first ones; every other vertex is as wide as its widest interior successor.
    """
    last = len(matrix) - 1
    channels = [0] * (last + 1)
    channels[0], channels[last] = c_in, c_out
    feeding = [v for v in range(1, last) if matrix[v][last]]
    if feeding:
        share, remainder = divmod(c_out, len(feeding))
        for position, v in enumerate(feeding):
            channels[v] = share + (position < remainder)
    for v in range(last - 1, 0, -1):
        if not matrix[v][last]:
            channels[v] = max(channels[w] for w in range(v + 1, last) if matrix[v][w])
    return channels


@dataclass(frozen=True, slots=True)
class Skeleton101:
    """The network around a cell; the benchmark's own by default.

    Attributes:
        channels: Width of the stem; it doubles at every stack but the first.
        cells: Cells a stack.
        stacks: Number of stacks.
    """

    channels: int = STEM_CHANNELS
    cells: int = CELLS_PER_STACK
    stacks: int = STACKS


class NASBench101(Family[Cell101]):
    """The NAS-Bench-101 search space."""

    name: ClassVar = "nasbench101"
    title: ClassVar = "NAS-Bench-101"
    dataset: ClassVar = "CIFAR-10"
    input_shape: ClassVar = (3, 32, 32)

    def parse(self, encoding: object) -> Cell101:
        """Check and prune a cell given as ``{"matrix": ..., "ops": ...}``.

        A ``(matrix, ops)`` pair, or an object with these two attributes, is taken too.

        Raises:
            ArchitectureError: if the cell breaks one of the benchmark's rules.
        """
        if isinstance(encoding, Cell101):
            return encoding
        matrix, ops = _fields(encoding)
        vertices = len(ops)
        if len(matrix) != vertices or any(len(row) != vertices for row in matrix):
            raise ArchitectureError(
                f"a NAS-Bench-101 cell with {vertices} ops needs a {vertices} x {vertices} matrix, "
                f"got rows of lengths {[len(row) for row in matrix]}"
            )
        if vertices < 2 or ops[0] != INPUT or ops[-1] != OUTPUT:
            raise ArchitectureError(
                f"ops must start with {INPUT!r} and end with {OUTPUT!r}, got {list(ops)}"
            )
        wrong = sorted({op for op in ops[1:-1] if op not in OPERATIONS})
        if wrong:
            raise ArchitectureError(f"unknown operations {wrong}: allowed are {list(OPERATIONS)}")
        for u, row in enumerate(matrix):
            for v, entry in enumerate(row):
                if entry not in (0, 1) or (entry and v <= u):
                    raise ArchitectureError(
                        f"matrix[{u}][{v}] is {entry}: entries are 0 or 1, above the diagonal only"
                    )
        return _pruned(matrix, ops)

    def sample(self, rng: random.Random) -> Cell101:
        """Draw a matrix and ops uniformly until they make a valid cell (the benchmark's way)."""
        pairs = [(u, v) for u in range(MAX_VERTICES) for v in range(u + 1, MAX_VERTICES)]
        while True:
            present = {pair for pair in pairs if rng.random() < 0.5}
            matrix = tuple(
                tuple(int((u, v) in present) for v in range(MAX_VERTICES))
                for u in range(MAX_VERTICES)
            )
            ops = (INPUT, *(rng.choice(OPERATIONS) for _ in range(MAX_VERTICES - 2)), OUTPUT)
            try:
                return _pruned(matrix, ops)
            except ArchitectureError:
                continue

    def graph(
        self, arch: Cell101, *, variant: str = "benchmark", skeleton: "Skeleton101 | None" = None
    ) -> ComputeGraph:
        """The network's computation graph on one 32 x 32 image.

        Args:
            arch: The cell.
            variant: ``"benchmark"``, the same as the paper's.
            skeleton: Stacks, cells and width of another network around the cell.
        """
        self._check_variant(variant)
        skeleton = skeleton or Skeleton101()
        b = GraphBuilder(f"{self.name}/{arch.hash}")
        x = b.input((1, *self.input_shape))
        b.set_scope("stem")
        channels = skeleton.channels
        x = conv_bn_relu(b, x, channels, 3)
        for stack in range(skeleton.stacks):
            if stack:
                b.set_scope(f"downsample{stack}")
                x = b.append(downsample(b.nodes[x].shape), (x,))
                channels *= 2
            for cell in range(skeleton.cells):
                b.set_scope(f"stack{stack}.cell{cell}")
                x = cell_graph(b, x, channels, arch)
        b.set_scope("head")
        x = b.append(node_of("mean", b.nodes[x].shape, axes=(2, 3)), (x,))
        x = b.append(node_of("linear", b.nodes[x].shape, features=CLASSES), (x,))
        return b.build(x)

    def module(self, arch: Cell101, *, variant: str = "benchmark") -> nn.Module:
        """The same network in PyTorch."""
        self._check_variant(variant)
        return Network101(arch)


def _fields(encoding: object) -> tuple[Matrix, tuple[str, ...]]:
    if isinstance(encoding, Mapping):
        matrix, ops = encoding.get("matrix"), encoding.get("ops")
    elif isinstance(encoding, Sequence) and not isinstance(encoding, str) and len(encoding) == 2:
        matrix, ops = encoding
    else:
        matrix, ops = getattr(encoding, "matrix", None), getattr(encoding, "ops", None)
    try:
        if matrix is None or ops is None:
            raise TypeError("no matrix or no ops")
        rows = tuple(tuple(_entry(entry) for entry in row) for row in matrix)
        return rows, tuple(str(op) for op in ops)
    except (OverflowError, TypeError, ValueError) as error:
        raise ArchitectureError(
            f"not a NAS-Bench-101 cell ({error}): give {{'matrix': [[0, 1, ...], ...], "
            f"'ops': ['input', ..., 'output']}}, got {shown(encoding)}"
        ) from None


def _entry(entry: Any) -> int:
    number = int(entry)
    if not isinstance(entry, str) and number != entry:
        raise ValueError(f"{entry} is no matrix entry")
    return number


def _pruned(matrix: Matrix, ops: Sequence[str]) -> Cell101:
    """Drop vertices that lie on no path from input to output; check the size limits."""
    last = len(ops) - 1
    ahead, behind = {0}, {last}
    for v in range(1, last + 1):
        if any(matrix[u][v] and u in ahead for u in range(v)):
            ahead.add(v)
    for v in range(last - 1, -1, -1):
        if any(matrix[v][w] and w in behind for w in range(v + 1, last + 1)):
            behind.add(v)
    keep = sorted(ahead & behind)
    if 0 not in keep or last not in keep:
        raise ArchitectureError("the cell has no path from its input to its output")
    pruned = tuple(tuple(matrix[u][v] for v in keep) for u in keep)
    edges = sum(map(sum, pruned))
    if len(keep) > MAX_VERTICES or edges > MAX_EDGES:
        raise ArchitectureError(
            f"the pruned cell has {len(keep)} vertices and {edges} edges: at most "
            f"{MAX_VERTICES} and {MAX_EDGES} are allowed"
        )
    return Cell101(pruned, tuple(ops[v] for v in keep))


def downsample(shape: Shape) -> Node:
    """The max pool between stacks."""
    return node_of("max_pool", shape, kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1))


def _max_pool(shape: Shape) -> Node:
    return node_of("max_pool", shape, kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1))


def cell_graph(b: GraphBuilder, x: int, c_out: int, cell: Cell101) -> int:
    """The nodes of one cell that reads ``x`` and has ``c_out`` channels."""
    matrix, ops = cell.matrix, cell.ops
    nodes, last = b.nodes, len(cell.ops) - 1
    channels = vertex_channels(nodes[x].shape[1], c_out, matrix)
    values = [x]
    outputs = []
    for v in range(1, last):
        width = channels[v]
        terms = [_truncated(b, values[u], width) for u in range(1, v) if matrix[u][v]]
        if matrix[0][v]:
            terms.append(conv_bn_relu(b, x, width, 1))
        y = _added(b, terms)
        if ops[v] == POOL3:
            y = b.append(_max_pool(nodes[y].shape), (y,))
        else:
            y = conv_bn_relu(b, y, width, 3 if ops[v] == CONV3 else 1)
        values.append(y)
        if matrix[v][last]:
            outputs.append(y)
    if not outputs:
        return conv_bn_relu(b, x, c_out, 1)
    y = outputs[0]
    if len(outputs) > 1:
        shapes = [nodes[i].shape for i in outputs]
        y = b.append(node_of("concat", *shapes, dim=1), tuple(outputs))
    if matrix[0][last]:
        y = _added(b, [y, conv_bn_relu(b, x, c_out, 1)])
    return y


def _truncated(b: GraphBuilder, x: int, width: int) -> int:
    """A predecessor's first ``width`` channels: an even split can leave one too many."""
    shape = b.nodes[x].shape
    if shape[1] == width:
        return x
    return b.add("slice", (x,), out_shape=(shape[0], width, *shape[2:]), spec=((1, 0, width, 1),))


def _added(b: GraphBuilder, terms: list[int]) -> int:
    if len(terms) == 1:
        return terms[0]
    return b.append(node_of("add", *(b.nodes[t].shape for t in terms)), tuple(terms))


class ConvBnRelu(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; ``kernel // 2`` padding."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
        )


class CellModule101(nn.Module):
    """One cell: ``(batch, c_in, h, w)`` to ``(batch, c_out, h, w)``."""

    def __init__(self, cell: Cell101, c_in: int, c_out: int) -> None:
        super().__init__()
        self.matrix = cell.matrix
        self.last = len(cell.ops) - 1
        self.channels = vertex_channels(c_in, c_out, cell.matrix)
        self.vertices = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        for v in range(1, self.last):
            width = self.channels[v]
            self.vertices[str(v)] = (
                nn.MaxPool2d(3, stride=1, padding=1)
                if cell.ops[v] == POOL3
                else ConvBnRelu(width, width, 3 if cell.ops[v] == CONV3 else 1)
            )
        for v in range(1, self.last + 1):
            if self.matrix[0][v]:
                self.projections[str(v)] = ConvBnRelu(c_in, self.channels[v], 1)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        values: dict[int, Tensor] = {}
        for v in range(1, self.last):
            width = self.channels[v]
            terms = [
                values[u] if values[u].shape[1] == width else values[u][:, :width]
                for u in range(1, v)
                if self.matrix[u][v]
            ]
            if self.matrix[0][v]:
                terms.append(self.projections[str(v)](x))
            values[v] = self.vertices[str(v)](terms[0] if len(terms) == 1 else sum(terms))
        outputs = [values[v] for v in range(1, self.last) if self.matrix[v][self.last]]
        if not outputs:
            only: Tensor = self.projections[str(self.last)](x)
            return only
        y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)
        if self.matrix[0][self.last]:
            y = y + self.projections[str(self.last)](x)
        return y


class Network101(nn.Module):
    """The benchmark's network around one cell: images ``(batch, 3, 32, 32)`` to 10 logits."""

    def __init__(self, cell: Cell101) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvBnRelu(3, STEM_CHANNELS, 3)]
        channels = STEM_CHANNELS
        for stack in range(STACKS):
            width = STEM_CHANNELS << stack
            if stack:
                layers.append(nn.MaxPool2d(2, stride=2))
            for _ in range(CELLS_PER_STACK):
                layers.append(CellModule101(cell, channels, width))
                channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102 (the class says it)
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits
