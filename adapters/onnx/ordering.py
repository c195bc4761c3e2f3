"""The rules that a list of ONNX nodes keeps: each value written once, and before it is read."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, Final

from gennape_plugin.core.errors import GraphError

from .nodes import OnnxNode, Subgraph

_MAX_DEPTH: Final = 100  # of graphs inside nodes


def check_order(nodes: Sequence[OnnxNode], known: Container[str]) -> None:
    """Check single assignment and that every value is written before it is read.

    Args:
        nodes: The nodes in the order of the file.
        known: Names that have values already.

    Raises:
        GraphError: naming the first node that breaks a rule, and how.
    """
    writer: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.outputs:
            if name and (name in known or name in writer):
                raise GraphError(
                    f"{node.title} writes {name!r:.200}, which has a value already: each value is "
                    "written once"
                )
            writer[name] = index
    for index, node in enumerate(nodes):
        for name in reads(node):
            if not name or name in known or writer.get(name, index) < index:
                continue
            if name not in writer:
                raise GraphError(
                    f"{node.title} reads {name!r:.200}, which is no input, no initializer and "
                    "written by no node"
                )
            if _reaches(nodes, writer, index, name):
                raise GraphError(f"{node.title} is part of a cycle through {name!r:.200}")
            raise GraphError(
                f"{node.title} reads {name!r:.200} before {nodes[writer[name]].title} writes it: "
                "nodes must be sorted, producers first"
            )


def _reaches(nodes: Sequence[OnnxNode], writer: dict[str, int], start: int, name: str) -> bool:
    """Whether the value ``name`` depends on the node ``start``."""
    pending, seen = [writer[name]], {writer[name]}
    while pending:
        index = pending.pop()
        if index == start:
            return True
        for read in reads(nodes[index]):
            producer = writer.get(read) if read else None
            if producer is not None and producer not in seen:
                seen.add(producer)
                pending.append(producer)
    return False


def reads(node: OnnxNode) -> Iterator[str]:
    """Names that a node reads, those of graphs inside its attributes included."""
    yield from node.inputs
    for value in node.attrs.values():
        if isinstance(value, Subgraph):
            if value.free is None:
                found: dict[str, None] = {}
                _free(value.graph, [], found)
                value.free = tuple(map(value.rename, found))
            yield from value.free


def _free(graph: Any, known: list[set[str]], found: dict[str, None]) -> None:
    """Collect the names that a graph inside a node reads from outside."""
    if len(known) > _MAX_DEPTH:
        raise GraphError(f"graphs are nested deeper than {_MAX_DEPTH}")
    own = {t.name for t in graph.initializer} | {t.name for t in graph.input}
    known = [*known, own]

    def note(names: Iterable[str]) -> None:
        for name in names:
            if name and not any(name in names for names in known):
                found[name] = None

    for node in graph.node:
        note(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _free(attribute.g, known, found)
        own.update(node.output)
    note(value.name for value in graph.output)
