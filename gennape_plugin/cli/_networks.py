"""Command-line networks as named graphs."""

from collections.abc import Sequence

from gennape_plugin.architectures import parse_shape, resolve, to_graph
from gennape_plugin.core.errors import GennapeError
from gennape_plugin.core.graph import ComputeGraph


def graphs_of(references: Sequence[str], shape: str | None) -> list[ComputeGraph]:
    """Graphs named after their references, in order; errors name the reference.

    Where two would have one name, they have their whole references.
    """
    input_shape = None if shape is None else parse_shape(shape)
    graphs, names = [], []
    for reference in references:
        name, architecture = resolve(reference)
        try:
            graph = to_graph(architecture, input_shape)
        except GennapeError as error:
            raise type(error)(f"{reference}: {error}") from error
        graphs.append(graph)
        names.append(name)
    named = zip(graphs, names, references, strict=True)
    return [
        graph.renamed(name if names.count(name) == 1 else reference)
        for graph, name, reference in named
    ]
