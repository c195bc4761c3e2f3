"""``gennape build``: write a network as Python source, or as an ONNX file."""

import argparse
from pathlib import Path

import torch

from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.rebuild import example_inputs, to_source

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Write what was asked for; the source goes to standard output where no file is named."""
    graph = graphs_of([args.network], args.input)[0]
    text = to_source(graph, args.class_name)
    if args.out is None and args.onnx is None:
        print(text, end="")
        return 0
    print(f"{graph}\n{_checked(graph)}")
    if args.out is not None:
        path = Path(args.out)
        path.write_text(text, encoding="utf-8")
        imported = f"from {path.stem} import {args.class_name}"
        print(f"source written to {path}" + (f": {imported}" if path.stem.isidentifier() else ""))
    if args.onnx is not None:
        from gennape_plugin.adapters.onnx.export import export_onnx

        export_onnx(graph, args.onnx)
        print(f"ONNX model with fresh weights written to {args.onnx}")
    return 0


def _checked(graph: ComputeGraph) -> str:
    """The network built and captured again, without data, in words."""
    with torch.device("meta"):
        module, inputs = graph.to_module(), example_inputs(graph)
    again = capture(module, inputs=inputs).graph
    if again.hash == graph.hash:
        return f"built and captured again: the same graph, hash {graph.hash}"
    return (
        f"built and captured again: {len(again)} nodes of {len(graph)}, {again.params:,} "
        f"parameters of {graph.params:,}; the difference is in how operations are written"
    )
