"""What an adapter hands over: a graph, and how it was read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from .graph import ComputeGraph


@dataclass(frozen=True)
class Capture:
    """A captured network and how it was captured.

    Attributes:
        graph: The computation graph.
        route: How it was read. Modules: which tensors the forward ran on (``"meta"``,
            ``"fake"`` or ``"real"``); other sources: their name, such as ``"onnx"``.
        failures: Why the routes before it failed, one line each.
        warnings: What was assumed, for people, one sentence each.
    """

    graph: ComputeGraph
    route: str
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def custom(self) -> Mapping[str, int]:
        """Operations kept as ``custom``, with how often each occurs."""
        found = Counter(n.attr("target") for n in self.graph.nodes if n.op == "custom")
        return MappingProxyType(dict(found))
