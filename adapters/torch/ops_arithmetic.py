"""Handlers of addition, subtraction, multiplication and division.

Numbers and constant tensors are no operands: a product with one has a single operand.
"""

import sys
import types
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .recorder import Recorder
from .registry import handles
from .values import Total, Value, get_value, set_value


def elementwise(
    r: Recorder,
    call: Call,
    op: str,
    operands: Sequence[Any],
    attrs: dict[str, AttrValue],
    *,
    floats: bool = False,
    fits: bool = True,
) -> Any:
    """Record an op whose constant operands are no nodes.

    Args:
        r: The recorder.
        call: The call.
        op: Name of the op.
        operands: Tensors and numbers in order.
        attrs: Attributes of the op.
        floats: Whether integers would give floating-point numbers.
        fits: Whether the result has the data type of the operands.
    """
    tensors = [t for t in operands if isinstance(t, Tensor)]
    found = [r.node(t) for t in tensors]
    nodes = [node for node in found if node is not None]
    if not nodes:
        return call.run()
    if len(nodes) < len(tensors):
        shape = _common([r.node_shape(node) for node in nodes])
        if _common([shape, *(tuple(t.shape) for t in tensors)]) != shape:
            # A constant decides on the result's shape, so it has to be seen.
            nodes = [r.constant(t) if n is None else n for t, n in zip(tensors, found, strict=True)]
    # Constants without axes leave the data type alone, as plain numbers do.
    decisive = [t for t, node in zip(tensors, found, strict=True) if node is not None or t.ndim]
    first = decisive[0]
    if floats or len(decisive) < len(operands):
        fits = fits and first.is_floating_point()
    if call.writes:
        fits = fits and first is operands[0]
    return r.record(call, op, tuple(nodes), attrs, decisive, fits=fits)


def _common(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    first = shapes[0]
    if all(shape == first or not shape for shape in shapes):
        return first
    try:
        return tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:  # the call itself will say so
        return first


def _is_number(value: Any, wanted: int, input: Any) -> bool:
    """Whether an operand is the number ``wanted``, of a type that changes no result's type."""
    return (
        isinstance(value, Real)
        and value == wanted
        and (isinstance(value, Integral) or input.is_floating_point())
    )


def _unchanged(r: Recorder, call: Call, input: Tensor) -> Any:
    """``x + 0`` or ``x * 1``: a new tensor with the value of its operand."""
    value = r.value(input)
    if value is None or call.writes:
        return input if call.writes else call.run()
    node = value.take()
    out = torch.empty(input.shape, dtype=input.dtype, device="meta") if r.on_meta else call.run()
    set_value(out, Value(r, node))
    return out


# -- addition ---------------------------------------------------------------------------------


@handles("add add_ __radd__")
def add(r: Recorder, call: Call, input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Addition; the additions of one ``sum(...)`` become one node.

    Python's ``sum`` starts from ``0 + a`` and adds on from one and the same instruction, as
    does a loop that starts from ``total = 0``. An addition written out stands elsewhere.
    """
    if not isinstance(input, Tensor):
        input, other = other, input
    if _is_number(other, 0, input):
        out = _unchanged(r, call, input)
        value = None if out is input else get_value(out, r)
        if value is not None:
            value.total = Total((value.node,), _place(sys._getframe(2)))
        return out
    if isinstance(other, Real):
        return elementwise(r, call, "add", (input, other), {"scalar": float(other) * alpha})
    if alpha != 1:
        return _scaled(r, call, input, other, alpha)
    value = get_value(input, r)
    if value is not None and value.total is not None:
        grown = _grown(r, call, input, other, _place(sys._getframe(2)))
        if grown is not None:
            return grown
    return elementwise(r, call, "add", (input, other), {})


def _place(frame: types.FrameType) -> tuple[int, int]:
    """Which instruction a frame is at: that of the code that called torch."""
    return id(frame), frame.f_lasti


def _grown(
    r: Recorder, call: Call, input: Tensor, other: Any, place: tuple[int, int]
) -> Tensor | None:
    """The running total with one more term, unless something else has read it."""
    value = get_value(input, r)
    if value is None:
        return None
    value.refresh()
    if value.read or value.total is None or value.total.place != place:
        return None
    node = r.node(other)
    if node is None:
        return None
    total = Total((*value.total.terms, node), place)
    out: Tensor = r.record(call, "add", total.terms, {}, (input, other))
    grown = get_value(out, r)
    if grown is not None:
        grown.total = total
    return out


def _scaled(r: Recorder, call: Call, input: Tensor, other: Any, alpha: Any) -> Any:
    if call.writes:
        return r.opaque(call, call.run())
    return r.expand(lambda: input + other * alpha)


# -- the rest -----------------------------------------------------------------------------------


@handles("sub sub_ subtract subtract_ __isub__")
def sub(r: Recorder, call: Call, input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Subtraction."""
    if _is_number(other, 0, input):
        return _unchanged(r, call, input)
    if alpha != 1:
        return _scaled(r, call, input, other, -alpha)
    return _ordered(r, call, "sub", input, other)


@handles("Tensor.__rsub__ torch.rsub")
def rsub(r: Recorder, call: Call, input: Tensor, other: Any) -> Any:
    """``other - input``."""
    return _ordered(r, call, "sub", other, input)


@handles("mul mul_ multiply multiply_ __rmul__")
def mul(r: Recorder, call: Call, input: Any, other: Any) -> Any:
    """Multiplication; by 0 it is the ``zero`` of search spaces that have one."""
    if not isinstance(input, Tensor):
        input, other = other, input
    if _is_number(other, 0, input):
        return r.apply(call, "zero", (input,), {})
    if _is_number(other, 1, input):
        return _unchanged(r, call, input)
    return elementwise(r, call, "mul", (input, other), {"scalar": _scalar(other)})


@handles("div div_ divide divide_ true_divide true_divide_ __truediv__ __itruediv__")
def div(
    r: Recorder, call: Call, input: Any, other: Any, *, rounding_mode: str | None = None
) -> Any:
    """Division, rounded or not."""
    if rounding_mode is not None:
        attrs: dict[str, AttrValue] = {"function": "floor_div", "scalar": _scalar(other)}
        return elementwise(r, call, "binary", (input, other), attrs, fits=False)
    if isinstance(input, Tensor) and input.is_floating_point() and _is_number(other, 1, input):
        return _unchanged(r, call, input)
    return _ordered(r, call, "div", input, other)


@handles("Tensor.__rdiv__ Tensor.__rtruediv__")
def rdiv(r: Recorder, call: Call, input: Tensor, other: Any) -> Any:
    """``other / input``."""
    return _ordered(r, call, "div", other, input)


def _ordered(r: Recorder, call: Call, op: str, left: Any, right: Any) -> Any:
    """Subtraction or division: ``reverse`` says that the constant stands on the left."""
    attrs: dict[str, AttrValue] = {}
    if r.node(right) is None:
        attrs["scalar"] = _scalar(right)
    elif r.node(left) is None:
        attrs = {"scalar": _scalar(left), "reverse": True}
    return elementwise(r, call, op, (left, right), attrs, floats=op == "div")


def _scalar(value: Any) -> float | None:
    """A constant operand as an attribute: its value for a number, unknown for a tensor."""
    return float(value) if isinstance(value, Real) else None
