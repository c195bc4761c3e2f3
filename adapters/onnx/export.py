"""Computation graphs as ONNX files, by torch's own exporter."""

import warnings
from pathlib import Path

import torch
from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.rebuild import example_inputs
from torch import nn


def export_onnx(graph: ComputeGraph, path: str | Path) -> None:
    """Build the network of a graph, with fresh weights, and write it as an ONNX file.

    The file holds the network in evaluation mode with its batch axis open. It needs neither
    onnx nor onnxscript: the exporter is the one that traces (``dynamo=False``).

    Args:
        graph: The graph.
        path: The file.

    Raises:
        RebuildError: if the graph does not describe all of its operations, or torch's exporter
            knows no ONNX operator for one.
    """
    module = graph.to_module().eval()
    nodes = [graph.nodes[i] for i in graph.inputs]
    inputs = example_inputs(graph)
    names = [f"x{number}" for number in range(1, len(nodes) + 1)] if len(nodes) > 1 else ["x"]
    results = graph.operands[-1]
    outputs = [f"y{number}" for number in range(1, len(results) + 1)] if len(results) > 1 else ["y"]
    shapes = [node.shape for node in nodes] + [graph.nodes[i].shape for i in results]
    batch = {
        name: {0: "batch"} for name, shape in zip(names + outputs, shapes, strict=True) if shape
    }
    try:
        _export(module, inputs, path, names, outputs, batch)
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise RebuildError(
            f"torch cannot export this network to ONNX: {type(error).__name__}: {reason:.400}"
        ) from error


def _export(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    path: str | Path,
    names: list[str],
    outputs: list[str],
    batch: dict[str, dict[int, str]],
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter says at each use that it is not the default any more.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes=batch,
            # Otherwise it merges each normalisation into the convolution before it.
            training=torch.onnx.TrainingMode.PRESERVE,
            dynamo=False,
        )
