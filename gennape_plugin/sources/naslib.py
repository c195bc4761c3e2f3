"""NASLib: architectures of its search spaces, by their encoding where there is one.

NASLib is never imported here: an object of it can only exist where NASLib has been.
"""

import sys

from torch import nn

from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.hooks import Example, hookimpl

#: The route of graphs that were built from an encoding alone.
ROUTE = "naslib encoding"


@hookimpl
def gennape_capture(architecture: object, example: Example) -> Capture | None:
    """An architecture of a NASLib search space.

    Spaces with a native encoding become graphs without a module. Others must be parsed, and
    are captured like any module.

    Raises:
        ArchitectureError: if no architecture is set.
        InvalidInputError: for an unparsed graph of a space without encoding.
    """
    if "naslib" not in sys.modules:
        return None
    from gennape_plugin.adapters.naslib import SPACES, graph_of, hash_of, is_naslib_graph

    if not is_naslib_graph(architecture):
        return None
    kind = str(getattr(architecture, "get_type", str)())
    # Made as a graph of its own, TransNAS-Bench numbers operations by another table.
    if kind in SPACES and not getattr(architecture, "create_graph", False):
        dataset = str(getattr(architecture, "dataset", ""))
        return Capture(graph_of(kind, hash_of(architecture), dataset=dataset), ROUTE)
    if isinstance(architecture, nn.Module) and not getattr(architecture, "is_parsed", True):
        # Run unparsed, it would answer with its input or fail far from here.
        raise InvalidInputError(
            f"this {type(architecture).__name__} is not parsed, so it holds no network yet: set an "
            "architecture, call parse(), and give input_shape"
        )
    return None
