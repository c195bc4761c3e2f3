"""Networks built from graphs, as modules and as source, for several tests."""

import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.rebuild import example_inputs, to_source


def meta_inputs(graph: ComputeGraph, batch: int | None = None) -> tuple[torch.Tensor, ...]:
    """Inputs without data."""
    with torch.device("meta"):
        inputs = example_inputs(graph)
    return inputs if batch is None else tuple(x.expand(batch, *x.shape[1:]) for x in inputs)


def captured_again(graph: ComputeGraph, module: torch.nn.Module) -> ComputeGraph:
    """The graph of a network that was built from a graph."""
    return capture(module, inputs=meta_inputs(graph)).graph


def class_in(source: str, name: str = "Net") -> type[torch.nn.Module]:
    """The class that a source defines (sources of our own graphs only)."""
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(compile(source, "model.py", "exec"), namespace)
    return namespace[name]


def from_source(graph: ComputeGraph) -> torch.nn.Module:
    """The network of a graph's source."""
    return class_in(to_source(graph))()
