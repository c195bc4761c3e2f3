"""From NASLib's architectures to computation graphs, through the benchmarks' own families.

``graph.get_hash()`` is a tuple that says everything of an architecture, in NASLib's own
numbering of operations: this is what is read. No module is built and nothing is run; graphs
of NASLib without instantiated operations return their input when they are run.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from gennape_plugin.adapters.families import Family, TransNAS101Macro, TransNAS101Micro, family
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph

_PACKAGE: Final = "naslib.search_spaces."
_MAX_NUMBERS: Final = 200  # of an encoding

# NASLib's numbering, which is its own (read from its published code).
_NB101 = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
_NB201 = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_NB201_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_NB301 = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
_SCENE = "class_scene"


def _op(names: Sequence[str], number: int) -> str:
    if not 0 <= number < len(names):
        raise ArchitectureError(f"operation {number}: there are 0 to {len(names) - 1}")
    return names[number]


def _nasbench101(numbers: Any) -> object:
    """The matrix row by row, then the operations."""
    count = next((n for n in range(2, 8) if n * n + n == len(numbers)), None)
    if count is None:
        raise ArchitectureError(f"{len(numbers)} numbers: give n * n + n of them, n from 2 to 7")
    matrix = [numbers[row * count : (row + 1) * count] for row in range(count)]
    ops = [_op(_NB101, number) for number in numbers[count * count :]]
    return {"matrix": [list(row) for row in matrix], "ops": ops}


def _nasbench201(numbers: Any) -> object:
    """Operations by edge, edges by their source."""
    if len(numbers) != len(_NB201_EDGES):
        raise ArchitectureError(f"{len(numbers)} numbers: give {len(_NB201_EDGES)}")
    ops = {edge: _op(_NB201, n) for edge, n in zip(_NB201_EDGES, numbers, strict=True)}
    # The family lists edges by their target.
    return [ops[edge] for edge in sorted(ops, key=lambda edge: (edge[1], edge[0]))]


def _nasbench301(cells: Any) -> object:
    """Normal and reduction cell, each eight pairs of input and operation."""
    if len(cells) != 2:
        raise ArchitectureError(f"{len(cells)} cells: give the normal and the reduction cell")
    for cell in cells:
        if not isinstance(cell, tuple) or any(
            not isinstance(pair, tuple) or len(pair) != 2 for pair in cell
        ):
            raise ArchitectureError("a cell is a tuple of pairs (input, operation)")
    normal, reduce = ([(_op(_NB301, op), source) for source, op in cell] for cell in cells)
    return {"normal": normal, "reduce": reduce}


def _micro(numbers: Any) -> object:
    return list(numbers)


def _macro(numbers: Any) -> object:
    """Digits, padded with zeros at the end."""
    found = list(numbers)
    while found and not found[-1]:
        found.pop()
    return found


#: By ``get_type()``: the family, and what turns a hash into the family's encoding.
SPACES: Final[Mapping[str, tuple[str, Callable[[Any], object]]]] = MappingProxyType(
    {
        "nasbench101": ("nasbench101", _nasbench101),
        "nasbench201": ("nasbench201", _nasbench201),
        "nasbench301": ("nasbench301", _nasbench301),
        "transbench101_micro": ("transnas101_micro", _micro),
        "transbench101_macro": ("transnas101_macro", _macro),
    }
)


def is_naslib_graph(value: object) -> bool:
    """Whether a value is an architecture of one of NASLib's search spaces."""
    return any(cls.__module__.startswith(_PACKAGE) for cls in type(value).__mro__)


@cache
def family_of(space: str, dataset: str = "") -> Family[Any]:
    """The family of a NASLib search space.

    Args:
        space: ``graph.get_type()``.
        dataset: ``graph.dataset`` of a TransNAS-Bench space. Its scene task has a head of its
            own; other tasks are given the object task's.

    Raises:
        ArchitectureError: for a space without native encoding.
    """
    if space not in SPACES:
        raise ArchitectureError(
            f"NASLib's search space {space!r} has no native encoding here: there are "
            f"{', '.join(SPACES)}; parse() the graph and give input_shape=(3, 32, 32)"
        )
    if dataset == _SCENE and space == "transbench101_micro":
        return TransNAS101Micro(_SCENE)
    if dataset == _SCENE and space == "transbench101_macro":
        return TransNAS101Macro(_SCENE)
    return family(SPACES[space][0])


def hash_of(graph: Any) -> tuple[Any, ...]:
    """``graph.get_hash()`` in plain integers (NASLib's may hold NumPy's).

    Raises:
        ArchitectureError: if no architecture is set.
    """
    try:
        found = graph.get_hash()
    except Exception as error:  # each space fails in its own way before one is set
        found, why = None, f" ({type(error).__name__}: {error})"
    else:
        why = ""
    if found is None:
        raise ArchitectureError(
            f"this {type(graph).__name__} holds no architecture yet{why}: call set_spec(...) or "
            "sample_random_architecture() first"
        )
    return plain(found)


def plain(numbers: Any) -> tuple[Any, ...]:
    """Nested tuples of plain integers.

    Raises:
        ArchitectureError: for anything else, or too many of them.
    """
    counted = 0

    def convert(value: Any, depth: int) -> Any:
        nonlocal counted
        counted += 1
        if counted > _MAX_NUMBERS:
            raise ArchitectureError(f"an encoding of more than {_MAX_NUMBERS} numbers")
        if hasattr(value, "tolist"):  # NumPy's
            value = value.tolist()
        if type(value) is int:
            return value
        if not isinstance(value, list | tuple) or depth > 3:
            raise ArchitectureError(f"{value!r:.80} in an encoding: give tuples of integers")
        return tuple([convert(entry, depth + 1) for entry in value])

    found = convert(numbers, 0)
    if not isinstance(found, tuple):
        raise ArchitectureError(f"the encoding {numbers!r:.80}: give a tuple of integers")
    return found


def graph_of(space: str, encoding: Any, *, dataset: str = "") -> ComputeGraph:
    """The computation graph of an architecture, from its hash alone.

    Args:
        space: ``graph.get_type()``, such as ``"nasbench201"``.
        encoding: ``graph.get_hash()``, or what ``get_arch_iterator()`` yields where that is a
            tuple (``"nasbench201"``).
        dataset: ``graph.dataset``, of TransNAS-Bench spaces.

    Raises:
        ArchitectureError: for a space without native encoding, or a wrong encoding.
    """
    found = family_of(space, dataset)
    numbers = plain(encoding)
    try:
        return found.graph(found.parse(SPACES[space][1](numbers)))
    except ArchitectureError as error:
        raise ArchitectureError(f"{space} architecture {numbers!r:.120}: {error}") from None
