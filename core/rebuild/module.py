"""A graph as an ``nn.Module`` that runs."""

import operator
from collections.abc import Callable
from typing import Any, Final

import torch
from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph import ComputeGraph
from torch import fx, nn
from torch.nn import functional as F

from .blocks import network_of
from .expressions import Call, DType, Operand
from .layers import made
from .tree import Block, Network, layers_in

_SIGNS: Final[dict[str, Callable[..., Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "@": operator.matmul,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "[]": operator.getitem,
    "sum": sum,
}


def to_module(graph: ComputeGraph) -> fx.GraphModule:
    """Build the network that a graph describes, with fresh weights.

    Args:
        graph: The graph.

    Returns:
        A module whose submodules are named after the graph's scopes; ``print(module.code)``
        shows its forward. It takes the graph's inputs in order and returns a tensor, or a
        tuple where the graph has several outputs. Initialised as torch initialises each
        layer; learned tensors are drawn from a normal distribution of deviation 0.02.

    Raises:
        RebuildError: if the graph does not describe one of its operations fully.
    """
    return module_of(network_of(graph))


def module_of(network: Network) -> fx.GraphModule:
    """As :func:`to_module`, for a graph that is arranged in blocks."""
    graph, root = network.graph, _modules(network)
    program = fx.Graph()
    values: dict[int, fx.Node] = {}
    names = input_names(graph)
    for index in graph.inputs:
        values[index] = program.placeholder(names[index])
    _write(network.root, (), program, values)
    outputs = [values[i] for i in graph.operands[-1]]
    program.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
    return fx.GraphModule(root, program, class_name="Net")


def input_names(graph: ComputeGraph) -> dict[int, str]:
    """Names of forward's arguments: ``x``, or ``x1``, ``x2`` and so on."""
    inputs = graph.inputs
    return {i: f"x{n}" if len(inputs) > 1 else "x" for n, i in enumerate(inputs, 1)}


def example_inputs(graph: ComputeGraph) -> tuple[torch.Tensor, ...]:
    """Zeros of the recorded shapes and data types, for the network's forward.

    Raises:
        RebuildError: if an input is of a type that torch does not have.
    """
    made = []
    for index in graph.inputs:
        node = graph.nodes[index]
        dtype = getattr(torch, str(node.attr("dtype")), None)
        if not isinstance(dtype, torch.dtype):
            raise RebuildError(
                f"this graph cannot be rebuilt because of node {index} (input): torch has no data "
                f"type {node.attr('dtype')!r:.40}"
            )
        made.append(torch.zeros(node.shape, dtype=dtype))
    return tuple(made)


def _modules(network: Network) -> nn.Module:
    """All layers in a tree of modules."""
    root = nn.Module()
    shared = {tie.target: tie.source for tie in network.ties if not tie.attribute}
    for path, _, layer in layers_in(network.root):
        holder = root
        for name in path[:-1]:
            if not hasattr(holder, name):
                holder.add_module(name, nn.Module())
            holder = getattr(holder, name)
        source = shared.get(path)
        setattr(holder, path[-1], made(layer) if source is None else _found(root, source))
    for tie in network.ties:
        if tie.attribute:
            weight = getattr(_found(root, tie.source), tie.attribute)
            setattr(_found(root, tie.target), tie.attribute, weight)
    return root


def _found(root: nn.Module, path: tuple[str, ...]) -> Any:
    found: Any = root
    for name in path:
        found = getattr(found, name)
    return found


def _write(
    block: Block, path: tuple[str, ...], program: fx.Graph, values: dict[int, fx.Node]
) -> None:
    for member in block.members:
        if isinstance(member, Block):
            _write(member, (*path, member.name), program, values)
            continue
        step = member.step
        operands = [values[read] for read in step.reads]
        target = ".".join((*path, member.name)) if step.layer is not None else ""
        kind = "" if step.layer is None else step.layer.kind
        values[step.value] = _expression(step.call, operands, program, target, kind)


def _expression(
    item: Any, operands: list[fx.Node], program: fx.Graph, target: str, kind: str
) -> Any:
    """An expression as nodes of the program; literals stay what they are."""
    match item:
        case Operand(position):
            return operands[position]
        case DType(name):
            return getattr(torch, name)
        case tuple() | list():
            return type(item)([_expression(x, operands, program, target, kind) for x in item])
        case Call(function, args, kwargs):
            inner = [_expression(x, operands, program, target, kind) for x in args]
            named = {k: _expression(x, operands, program, target, kind) for k, x in kwargs}
            if function == "self":
                if kind == "Parameter":
                    return program.get_attr(target)
                return program.call_module(target, tuple(inner), named)
            if function.startswith("."):
                return program.call_method(function[1:], tuple(inner), named)
            return program.call_function(_resolved(function), tuple(inner), named)
    return item


def _resolved(function: str) -> Callable[..., Any]:
    """The function that a rule names."""
    if function in _SIGNS:
        return _SIGNS[function]
    home, _, name = function.partition(".")
    found: Callable[..., Any] = getattr({"torch": torch, "F": F}[home], name)
    return found
