"""NNI's NDS spaces: DARTS, NASNet, ENAS, AmoebaNet and PNAS.

A network has three stages of cells. A cell reads the results of the two cells before it;
each of its nodes adds two operations on earlier states. The cell returns the nodes side by
side: all of them, or (``loose_end``) those that no other node reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gennape_plugin.adapters.families._conv_norm import concat, unary
from gennape_plugin.adapters.families._darts import shifted
from gennape_plugin.adapters.families.base import conv_node
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.ops import AttrValue
from gennape_plugin.core.shapes import Shape

from .choices import Choices
from .nds_ops import OPERATIONS, operation, relu_conv_bn
from .parts import flattened, linear, pooled, stacked_sum

_STAGES: Final = 3
_BEFORE: Final = 2  # results that a cell reads
_OPS_PER_NODE: Final = 2


@dataclass(frozen=True, slots=True)
class Cells:
    """What the cells of a space choose from.

    Attributes:
        ops: Names of the operations.
        nodes: Nodes of a cell.
        merge: ``"all"`` or ``"loose_end"``.
    """

    ops: Sequence[str]
    nodes: int
    merge: str


_NASNET = (
    "skip_connect conv_3x1_1x3 conv_7x1_1x7 dil_conv_3x3 avg_pool_3x3 max_pool_3x3 max_pool_5x5 "
    "max_pool_7x7 conv_1x1 conv_3x3 sep_conv_3x3 sep_conv_5x5 sep_conv_7x7"
)
_ENAS = "skip_connect sep_conv_3x3 sep_conv_5x5 avg_pool_3x3 max_pool_3x3"
_AMOEBA = (
    "skip_connect sep_conv_3x3 sep_conv_5x5 sep_conv_7x7 avg_pool_3x3 max_pool_3x3 "
    "dil_sep_conv_3x3 conv_7x1_1x7"
)
_PNAS = (
    "sep_conv_3x3 sep_conv_5x5 sep_conv_7x7 conv_7x1_1x7 skip_connect avg_pool_3x3 max_pool_3x3 "
    "dil_conv_3x3"
)
_DARTS = (
    "max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 dil_conv_5x5"
)
#: The cells of each space, from the papers that NNI's documentation names.
CELLS: Final[Mapping[str, Cells]] = {
    "NASNet": Cells(_NASNET.split(), 5, "loose_end"),
    "ENAS": Cells(_ENAS.split(), 5, "loose_end"),
    "AmoebaNet": Cells(_AMOEBA.split(), 5, "loose_end"),
    "PNAS": Cells(_PNAS.split(), 5, "all"),
    "DARTS": Cells(_DARTS.split(), 4, "all"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: operations and the states that they read, in order, and what it returns."""

    edges: tuple[tuple[str, int], ...]
    returned: tuple[int, ...]


def cell_of(choices: Choices, label: str, cells: Cells) -> Cell:
    """The cell that a sample stands for.

    Raises:
        ArchitectureError: for a sample that lacks a choice, or has a wrong one.
    """
    edges = []
    for node in range(_BEFORE, _BEFORE + cells.nodes):
        for k in range(_OPS_PER_NODE):
            op = choices.one(f"{label}/op_{node}_{k}", cells.ops)
            edges.append((op, choices.single(f"{label}/input_{node}_{k}", range(node))))
    used = {read for _, read in edges} if cells.merge == "loose_end" else set()
    made = range(_BEFORE, _BEFORE + cells.nodes)
    return Cell(tuple(edges), tuple(node for node in made if node not in used))


def graph(arguments: Mapping[str, Any], choices: Choices, shape: Shape) -> ComputeGraph | None:
    """The network that NNI builds; ``None`` where it would have a stage without cells."""
    cells = CELLS.get(choices.space) or Cells(
        arguments["op_candidates"], arguments["num_nodes_per_cell"], arguments["merge_op"]
    )
    width, depth = arguments["width"], arguments["num_cells"]
    width = width if isinstance(width, int) else choices.one("width", width)
    depth = depth if isinstance(depth, int) else choices.one("depth", depth)
    if depth < _STAGES or not set(cells.ops) <= set(OPERATIONS):
        return None
    normal, reduce = cell_of(choices, "normal", cells), cell_of(choices, "reduce", cells)
    b = GraphBuilder(choices.space)
    b.set_scope("stem")
    x = b.input((1, *shape))
    imagenet = arguments["dataset"] == "imagenet"
    before, x = _imagenet_stem(b, x, width) if imagenet else _cifar_stem(b, x, width)
    halved = imagenet  # whether the last cell halved the resolution
    for stage in range(_STAGES):
        channels = width << stage
        length = (stage + 1) * depth // _STAGES - stage * depth // _STAGES
        for index in range(length):
            reduces = stage > 0 and index == 0
            b.set_scope(f"stage{stage}.cell{index}")
            y = _cell(b, (before, x), reduce if reduces else normal, channels, reduces, halved)
            before, x, halved = x, y, reduces
    b.set_scope("head")
    x = linear(b, flattened(b, pooled(b, x)), 1000 if imagenet else 10)
    # Cells may leave one of the two results before them unread.
    return b.build(x, prune=True)


def _cifar_stem(b: GraphBuilder, x: int, width: int) -> tuple[int, int]:
    x = _conv_bn(b, x, 3 * width)
    return x, x


def _imagenet_stem(b: GraphBuilder, x: int, width: int) -> tuple[int, int]:
    x = unary(b, "relu", _conv_bn(b, x, width // 2, 2))
    # The second stem's ReLU works in place, so the first result that cells read is behind it.
    first = unary(b, "relu", _conv_bn(b, x, width, 2))
    return first, _conv_bn(b, first, width, 2)


def _conv_bn(b: GraphBuilder, x: int, channels: int, stride: int = 1) -> int:
    x = b.append(conv_node(b.nodes[x].shape, channels, 3, stride), (x,))
    return unary(b, "batch_norm", x)


def _cell(
    b: GraphBuilder, before: tuple[int, int], cell: Cell, channels: int, reduces: bool, halved: bool
) -> int:
    first = factorized_reduce if halved else relu_conv_bn
    states = [first(b, before[0], channels), relu_conv_bn(b, before[1], channels)]
    for place in range(0, len(cell.edges), _OPS_PER_NODE):
        terms = []
        for op, read in cell.edges[place : place + _OPS_PER_NODE]:
            stride = 2 if reduces and read < _BEFORE else 1
            if op == "skip_connect" and stride == 2:
                terms.append(factorized_reduce(b, states[read], channels))
            else:
                terms.append(operation(b, states[read], op, stride))
        states.append(stacked_sum(b, terms))
    return concat(b, [states[i] for i in cell.returned])


def factorized_reduce(b: GraphBuilder, x: int, channels: int) -> int:
    """Halves the resolution by two strided convolutions, one of them shifted by a pixel."""
    x = unary(b, "relu", x)
    shape = b.nodes[x].shape
    pad = _padded(shape)
    padded = b.append(pad, (x,))
    even = b.append(conv_node(shape, channels // 2, 1, 2), (x,))
    odd = b.append(shifted(pad.shape), (padded,))
    odd = b.append(conv_node(b.nodes[odd].shape, channels // 2, 1, 2), (odd,))
    return unary(b, "batch_norm", concat(b, (even, odd)))


@lru_cache(maxsize=256)
def _padded(shape: Shape) -> Node:
    """A row and a column of zeros behind the map."""
    batch, channels, height, width = shape
    attrs: dict[str, AttrValue] = {"padding": (0, 1, 0, 1), "mode": "constant", "value": 0.0}
    out = (batch, channels, height + 1, width + 1)
    return make_node("pad", attrs, (shape,), in_axis=1, out_shape=out)
