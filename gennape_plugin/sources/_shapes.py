"""Architectures that know themselves what they read."""

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.hooks import Example


def agreed(graph: ComputeGraph, example: Example) -> ComputeGraph:
    """``graph``, if the example says the same as it of what it reads, or nothing.

    Raises:
        InvalidInputError: if it says something else, which would be ignored.
    """
    if example.inputs is not None or example.kwargs is not None:
        raise InvalidInputError("a graph has its inputs in it: leave out inputs and kwargs")
    own = [tuple(graph.nodes[i].shape[1:]) for i in graph.inputs]
    given = example.input_shape
    if given is None or own in (_shapes(given), [tuple(given)]):
        return graph
    shown = ", ".join("x".join(map(str, shape)) for shape in own)
    raise InvalidInputError(
        f"{graph.name or 'the graph'} reads {shown}, and input_shape (--input) says something "
        f"else, {given!r:.80}: leave it out, or give the network itself"
    )


def _shapes(given: object) -> list[tuple[int, ...]]:
    if isinstance(given, list | tuple) and all(isinstance(shape, list | tuple) for shape in given):
        return [tuple(shape) for shape in given]
    return []
