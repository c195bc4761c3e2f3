"""Computation graphs themselves, and files of them."""

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import load_graph
from gennape_plugin.hooks import Example, hookimpl

from ._files import file_reference, names_file
from ._shapes import agreed


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """A :class:`ComputeGraph`, or a file that ``gennape trace --json`` wrote."""
    if isinstance(architecture, ComputeGraph):
        return Capture(agreed(architecture, example), "graph")
    if names_file(architecture, ".json"):
        return Capture(agreed(load_graph(architecture), example), "json")
    return None


@hookimpl
def gennape_resolve(reference: str) -> tuple[str, object] | None:
    """``graph.json``."""
    return file_reference(reference, ".json")
