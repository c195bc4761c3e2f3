"""One atomic operation: what a node of a computation graph says.

A :class:`Node` knows nothing of its neighbours but the shapes it reads, so equal
operations of one graph, or of a million graphs, are one interned object: shape
inference, costs and features are worked out once for each distinct operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from .costs import costs
from .errors import GraphError
from .ops import OPS, REQUIRED, AttrValue, OpDef
from .paper import PaperOp, paper_ops
from .shapes import RULES, Shape

_DISTINCT_NODES = 1 << 16  # interned operations; the least recently used are let go
_MAX_SIZE = 1 << 40  # of one axis: beyond any tensor, and keeps products printable
_MAX_COST = 1 << 62  # of one operation: beyond any computer, and sums fit a float
#: Attributes that count something, with the least they may be.
_COUNTS = {
    "channels": 1,
    "entries": 0,
    "factor": 1,
    "features": 0,
    "groups": 1,
    "hidden": 1,
    "layers": 1,
    "parameters": 0,
    "params": 0,
    "projection": 0,
}


@dataclass(frozen=True, slots=True)
class Node:
    """An operation with its attributes and shapes. Make one with :func:`make_node`.

    Attributes:
        op: Name in :data:`~gennape_plugin.core.ops.OPS`.
        attrs: Every attribute of the op as ``(name, value)``, in the op's own order.
        in_shapes: Shapes of the operands in order, batch axis included.
        shape: Shape of the result.
        in_axis: Axis of the channels in the first operand (0 where there is none).
        axis: Axis of the channels in the result.
        macs: Multiply-adds.
        params: Learned parameters.
        paper: What the node is in the paper's view; empty where the paper drops it.
    """

    op: str
    attrs: tuple[tuple[str, AttrValue], ...]
    in_shapes: tuple[Shape, ...]
    shape: Shape
    in_axis: int = field(compare=False)
    axis: int = field(compare=False)
    macs: int = field(compare=False)
    params: int = field(compare=False)
    paper: tuple[PaperOp, ...] = field(compare=False)

    def attr(self, name: str) -> Any:
        """The value of one attribute."""
        for key, value in self.attrs:
            if key == name:
                return value
        raise KeyError(
            f"op {self.op!r} has no attribute {name!r}: it has {[k for k, _ in self.attrs]}"
        )

    @property
    def flops(self) -> int:
        """FLOPs as ``2 x multiply-adds``."""
        return 2 * self.macs

    def __str__(self) -> str:
        attrs = ", ".join(f"{k}={v}" for k, v in self.attrs)
        return f"{self.op}({attrs}) {' '.join(map(str, self.in_shapes))} -> {self.shape}"


def make_node(
    op: str,
    attrs: Mapping[str, AttrValue] = MappingProxyType({}),
    in_shapes: tuple[Shape, ...] = (),
    *,
    in_axis: int | None = None,
    out_shape: Shape | None = None,
) -> Node:
    """Validate, complete and intern one operation.

    Args:
        op: Name of the op.
        attrs: Its attributes; those with a default may be left out.
        in_shapes: Shapes of the operands, batch axis first.
        in_axis: Axis of the channels in the first operand; by rank where left out
            (axis 1 of four or more, otherwise the last).
        out_shape: Shape of the result, where the op has no shape rule; where it has
            one, the two must agree.

    Raises:
        GraphError: for an unknown op, wrong attributes or operands that do not fit.
    """
    definition = OPS.get(op)
    if definition is None:
        raise GraphError(f"unknown op {op!r}: allowed are {', '.join(sorted(OPS))}")
    unknown = attrs.keys() - definition.attrs.keys()
    if unknown:
        raise GraphError(
            f"op {op!r} has no attribute {', '.join(sorted(unknown))}: "
            f"allowed are {', '.join(definition.attrs) or 'none'}"
        )
    complete = []
    for name, default in definition.attrs.items():
        value = attrs.get(name, default)
        if value is REQUIRED:
            raise GraphError(f"op {op!r} needs the attribute {name!r}")
        complete.append((name, value))
    return _intern(op, tuple(complete), in_shapes, in_axis, out_shape)


@lru_cache(maxsize=_DISTINCT_NODES, typed=True)
def _intern(
    op: str,
    attrs: tuple[tuple[str, AttrValue], ...],
    in_shapes: tuple[Shape, ...],
    in_axis: int | None,
    shape: Shape | None,
) -> Node:
    definition = OPS[op]
    least, most = definition.arity
    if len(in_shapes) < least or (most is not None and len(in_shapes) > most):
        allowed = (
            str(least) if most == least else f"{least} to {'any number' if most is None else most}"
        )
        raise GraphError(f"op {op!r} got {len(in_shapes)} operands: it takes {allowed}")
    values = dict(attrs)
    _check_attrs(definition, values)
    rule = RULES.get(op)
    try:
        inferred = rule(values, in_shapes) if rule is not None else None
        result = inferred if inferred is not None else shape
    except GraphError as error:
        raise GraphError(f"op {op!r} on {in_shapes}: {error}") from None
    except _MISFITS as error:
        raise _misfit(op, values, in_shapes, error) from None
    if result is None:
        raise GraphError(f"op {op!r} has no shape rule: give the shape of its result")
    if shape is not None and shape != result:
        raise GraphError(
            f"op {op!r} on {in_shapes} gives shape {result}, but {shape} was recorded: "
            "one of its attributes is wrong"
        )
    for size in result:
        if type(size) is not int or not 0 <= size <= _MAX_SIZE:
            raise GraphError(
                f"op {op!r} on {in_shapes} has a result of shape {result!r:.200}: sizes are "
                f"integers from 0 to {_MAX_SIZE}"
            )
    first = in_shapes[0] if in_shapes else result
    if definition.axis == "first" and len(first) > 2:
        before = 1  # whatever a producer without channels of its own was taken to have
    else:
        before = default_axis(first) if in_axis is None else in_axis
    if not 0 <= before < max(len(first), 1):
        raise GraphError(f"op {op!r} on {in_shapes}: the first operand has no axis {before}")
    try:
        axis = _channel_axis(definition, values, first, before, result)
        macs, params = costs(op, values, in_shapes, result)
        paper = paper_ops(op, values, first, before, result, axis)
    except _MISFITS as error:
        raise _misfit(op, values, in_shapes, error) from None
    if max(macs, params) > _MAX_COST:
        raise GraphError(
            f"op {op!r} on {in_shapes} has {macs} multiply-adds and {params} parameters: at most "
            f"{_MAX_COST} are allowed"
        )
    return Node(op, attrs, in_shapes, result, before, axis, macs, params, paper)


_MISFITS = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)


def _misfit(
    op: str, values: Mapping[str, Any], in_shapes: tuple[Shape, ...], error: Exception
) -> GraphError:
    return GraphError(
        f"op {op!r} with attributes {values!r:.400} cannot read operands of shapes "
        f"{in_shapes!r:.400}: {error}"
    )


def _check_attrs(definition: OpDef, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        least = _COUNTS.get(name)
        if isinstance(definition.attrs[name], bool):
            if not isinstance(value, bool):
                raise GraphError(
                    f"op {definition.name!r}: {name!r} is {value!r:.80}, it must be True or False"
                )
        elif least is not None and (
            not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MAX_SIZE
        ):
            raise GraphError(
                f"op {definition.name!r}: {name!r} is {value!r:.80}, it must be an integer from "
                f"{least} to {_MAX_SIZE}"
            )


def default_axis(shape: Shape) -> int:
    """Axis of the channels where nothing else is known: 1 from rank 4 on, else the last."""
    return 1 if len(shape) >= 4 else max(len(shape) - 1, 0)


def _channel_axis(
    definition: OpDef, attrs: Mapping[str, Any], before: Shape, axis: int, after: Shape
) -> int:
    if definition.axis == "first" and len(after) > 1:
        return 1
    if definition.axis == "last" or not before:
        return max(len(after) - 1, 0)
    if definition.name == "permute":
        dims: tuple[int, ...] = attrs["dims"]
        return [d % len(after) for d in dims].index(axis)
    if len(after) == len(before):
        return axis
    if not after:
        return 0
    # Rank changed: the channels are where their size still stands, same place first.
    channels = before[axis]
    candidates: list[int] = [axis, len(after) - 1, *range(1, len(after))]
    for candidate in candidates:
        if candidate < len(after) and after[candidate] == channels:
            return candidate
    return default_axis(after)
