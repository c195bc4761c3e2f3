"""A graph as Python source that imports torch and nothing else."""

import builtins
import keyword
from typing import Final

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph

from .blocks import network_of
from .classes import Class, classes_of, root_lines
from .forward import forward_lines
from .module import input_names
from .text import WIDTH, Group, laid_out
from .tree import Network, Tie

_IMPORTED: Final = frozenset({"torch", "nn", "F", "Tensor"})
_MAX_USES: Final = 3  # named in a class's docstring


def to_source(graph: ComputeGraph, class_name: str = "Net") -> str:
    """Python source of the network that a graph describes.

    One class for the network and one for each kind of block in it. Submodules and parameters
    have the names that :func:`~.module.to_module` gives them, so weights can be carried over
    by ``load_state_dict``. Scopes of the graph become identifiers; nothing else of its text
    is written.

    Args:
        graph: The graph.
        class_name: Name of the network's class, which is made without arguments.

    Raises:
        RebuildError: if the graph does not describe one of its operations fully.
        InvalidInputError: if ``class_name`` is no identifier, or one that the source needs.
    """
    if not class_name.isidentifier() or keyword.iskeyword(class_name) or not class_name.isascii():
        raise InvalidInputError(
            f"class_name is {class_name!r:.80}: give a Python identifier, such as 'Net'"
        )
    if class_name in _IMPORTED or class_name in dir(builtins):
        raise InvalidInputError(
            f"class_name is {class_name!r}, which the source needs for itself: give another, "
            "such as 'Net'"
        )
    network = network_of(graph)
    classes, init = classes_of(network.root, class_name)
    body = [line for found in classes for line in _class_lines(found)]
    body += _network_lines(network, class_name, root_lines(init))
    return "\n".join([*_head(body), *body]) + "\n"


def _head(body: list[str]) -> list[str]:
    text = "\n".join(body)
    imports = ["import torch"] if "torch." in text else []
    imports.append("from torch import Tensor, nn")
    if "F." in text:
        imports.append("from torch.nn import functional as F")
    return ['"""A network written from its computation graph by `gennape build`."""', "", *imports]


def _class_lines(found: Class) -> list[str]:
    init = [line for name, doc in found.init for line in laid_out(doc, 8, f"self.{name} = ")]
    arguments = [f"{name}: {kind}" for name, kind in found.arguments.items()]
    return [
        *_opening(found.name, _uses(found.uses), arguments, init),
        *_signature(found.signature, found.outputs),
        *found.forward,
    ]


def _uses(paths: list[str]) -> str:
    """Where a class is used, as far as one line holds it."""
    for count in range(min(len(paths), _MAX_USES), 0, -1):
        named = [f"``{path}``" for path in paths[:count]]
        more = len(paths) - count
        parts = [*named, f"{more} more"] if more else named
        where = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        if len(where) <= WIDTH - len('    """Block of ."""'):
            return f"Block of {where}."
    return "A block."


def _opening(name: str, about: str, arguments: list[str], init: list[str]) -> list[str]:
    lines = ["", "", f"class {name}(nn.Module):", f'    """{about}"""', ""]
    if init:
        given = Group("def __init__(", ("self", *arguments))
        lines += [*laid_out(given, 4, after=" -> None:"), "        super().__init__()", *init, ""]
    return lines


def _signature(names: tuple[str, ...], outputs: int) -> list[str]:
    given = Group("def forward(", ("self", *(f"{name}: Tensor" for name in names)))
    result = "Tensor" if outputs == 1 else f"tuple[{', '.join(['Tensor'] * outputs)}]"
    if outputs > 4:
        result = "tuple[Tensor, ...]"
    return laid_out(given, 4, after=f" -> {result}:")


def _network_lines(network: Network, name: str, init: list[str]) -> list[str]:
    graph = network.graph
    names = input_names(graph)
    reads = ", ".join(_sizes(graph.nodes[i].shape) for i in graph.inputs)
    writes = ", ".join(_sizes(graph.nodes[i].shape) for i in graph.operands[-1])
    about = f"Maps {reads} to {writes}; {graph.params:,} parameters."
    if len(about) + len('    """"""') > WIDTH:
        about = f"A network of {graph.params:,} parameters."
    init = [*init, *(_tie(tie) for tie in network.ties)]
    return [
        *_opening(name, about, [], init),
        *_signature(tuple(names.values()), len(graph.operands[-1])),
        *forward_lines(network.root, dict(names)),
    ]


def _sizes(shape: tuple[int, ...]) -> str:
    if not shape:
        return "a number"
    return f"({', '.join(['batch', *map(str, shape[1:])])})"


def _tie(tie: Tie) -> str:
    """Shared weights: an assignment at the end of the constructor."""
    attribute = f".{tie.attribute}" if tie.attribute else ""
    target, source = _path(tie.target), _path(tie.source)
    return f"        {target}{attribute} = {source}{attribute}"


def _path(path: tuple[str, ...]) -> str:
    return "self" + "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in path)
