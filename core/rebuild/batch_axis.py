"""Which axis of each tensor counts the samples, so that a network runs at any batch size.

A graph is recorded at one batch size. Where a result's batch axis is known, a reshape
leaves that axis open. Where it is not (samples were mixed, or an axis was selected), the
recorded sizes stay, and another batch size is an error of torch at run time.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Final

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.core.shapes import Shape

#: What attributes of a wrong kind raise: those without a shape rule may hold anything.
MALFORMED: Final = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class BatchAxis:
    """An axis that counts samples.

    Attributes:
        axis: The axis.
        before: Elements of the axis that vary more slowly than the sample: 1 where the
            axis holds whole samples one after the other.
    """

    axis: int
    before: int = 1


def batch_axes(graph: ComputeGraph) -> tuple[BatchAxis | None, ...]:
    """The batch axis of each node's result; ``None`` where there is none or it is not known.

    Inputs are taken to hold the batch on axis 0. Where they are of unequal batch sizes,
    nothing is known of any node.
    """
    sizes = {graph.nodes[i].shape[:1] for i in graph.inputs}
    if len(sizes) != 1 or () in sizes:
        return (None,) * len(graph)
    ((size,),) = sizes
    known: list[BatchAxis | None] = []
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        if node.op == "input":
            known.append(BatchAxis(0))
            continue
        try:
            found = _after(node, [known[i] for i in operands], size)
        except MALFORMED:  # a rule will say so
            found = None
        inside = found is not None and found.axis < len(node.shape)
        known.append(found if inside else None)
    return tuple(known)


def reshaped(before: Shape, after: Shape, batch: BatchAxis, size: int) -> BatchAxis | None:
    """The batch axis after a reshape: elements keep their order.

    Args:
        before: Shape of the operand.
        after: Shape of the result.
        batch: Batch axis of the operand.
        size: Recorded batch size.
    """
    slower = prod(before[: batch.axis]) * batch.before
    choices, outer = [], 1
    for axis, length in enumerate(after):
        inner, rest = divmod(slower, outer) if outer else (0, 1)
        if not rest and inner and not length % (inner * size) and length:
            # Best: an axis of its own; then one that it leads, unless that holds the features.
            alone = inner == 1 and length == size
            last = axis == len(after) - 1
            choices.append((not alone, last, inner != 1, axis, BatchAxis(axis, inner)))
        outer *= length
    return min(choices, key=lambda choice: choice[:4])[4] if choices else None


def _after(node: Node, batches: list[BatchAxis | None], size: int) -> BatchAxis | None:
    """The batch axis of a result, from those of the operands."""
    first = next((position for position, b in enumerate(batches) if b is not None), None)
    if first is None:
        return None
    batch, shape = batches[first], node.in_shapes[first]
    assert batch is not None
    match node.op:
        case "reshape":
            return reshaped(shape, node.shape, batch, size)
        case "permute":
            order = [d % len(shape) for d in node.attr("dims")]
            return replace(batch, axis=order.index(batch.axis))
        case "mean" | "reduce":
            axes = {axis % len(shape) for axis in node.attr("axes")}
            if batch.axis in axes:
                return None
            gone = 0 if node.attr("keepdim") else sum(axis < batch.axis for axis in axes)
            return replace(batch, axis=batch.axis - gone)
        case "slice":
            return _sliced(node.attr("spec"), batch)
        case "stack":
            dim = node.attr("dim") % len(node.shape)
            return replace(batch, axis=batch.axis + (dim <= batch.axis))
        case "concat":
            return batch if node.attr("dim") % len(node.shape) != batch.axis else None
        case "einsum":
            return _contracted(node, first, batch)
        case "expand" | "repeat":
            moved = replace(batch, axis=batch.axis + len(node.shape) - len(shape))
            return moved if node.shape[moved.axis] == shape[batch.axis] else None
        case "roll":
            return None if batch.axis in node.attr("dims") or not node.attr("dims") else batch
        case "select" | "gather" | "scatter" | "custom" | "lstm" | "gru" | "rnn":
            same = node.shape == shape
            kept = node.op in ("lstm", "gru", "rnn") and len(node.shape) == len(shape)
            return batch if same or kept else None
    # Elementwise, products and layers: axes are aligned at the right, or all kept.
    moved = replace(batch, axis=batch.axis + len(node.shape) - len(shape))
    fits = moved.axis >= 0 and node.shape[moved.axis] == shape[batch.axis]
    return moved if fits else None


def _sliced(
    spec: tuple[tuple[int, int, int | None, int], ...] | None, batch: BatchAxis
) -> BatchAxis | None:
    if spec is None or any(cut[0] == batch.axis for cut in spec):
        return None
    gone = sum(axis < batch.axis for axis, _, stop, _ in spec if stop is None)
    return replace(batch, axis=batch.axis - gone)


def _contracted(node: Node, first: int, batch: BatchAxis) -> BatchAxis | None:
    equation: str = node.attr("equation")
    terms, arrow, result = equation.partition("->")
    letters = terms.split(",")[first]
    if not arrow or "." in equation or batch.axis >= len(letters):
        return None
    position = result.find(letters[batch.axis])
    return None if position < 0 else replace(batch, axis=position)
