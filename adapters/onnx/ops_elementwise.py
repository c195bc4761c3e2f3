"""Handlers of arithmetic, comparisons, choices and functions of single elements.

Numbers and constants are no operands: a product with one has a single operand. Weights are.
"""

from collections.abc import Sequence
from typing import Final

from gennape_plugin.core.ops import EXCHANGED
from gennape_plugin.core.shapes import broadcast

from .registry import Call, handles
from .values import Value, unknown_constant
from .writer import Attrs


def elementwise(
    call: Call,
    op: str,
    operands: Sequence[Value],
    attrs: Attrs | None = None,
    *,
    dtype: str | None = None,
) -> None:
    """Write an op whose constant operands are no nodes."""
    shape = broadcast(*[value.shape for value in operands])
    read = [value for value in operands if not value.constant or value.learned]
    dtype = dtype or operands[0].dtype
    if not read:
        call.put(unknown_constant(shape, dtype))
        return
    if broadcast(*[value.shape for value in read]) != shape:
        read = list(operands)  # a constant decides on the result's shape, so it has to be seen
    call.put(call.emit(op, read, attrs, dtype=dtype))


def _unchanged(call: Call, value: Value, other: Value) -> bool:
    """Bind ``value`` itself where an operation with ``other`` leaves its shape alone."""
    if broadcast(value.shape, other.shape) != value.shape:
        return False
    call.put(value)
    return True


# -- arithmetic -------------------------------------------------------------------------------


@handles("Add")
def add(call: Call) -> None:
    """Addition."""
    a, b = call.need(0), call.need(1)
    for value, other in ((a, b), (b, a)):
        if other.constant and not other.learned and other.number is not None:
            if other.number == 0 and _unchanged(call, value, other):
                return
            elementwise(call, "add", (a, b), {"scalar": other.number})
            return
    elementwise(call, "add", (a, b))


@handles("Sub")
def sub(call: Call) -> None:
    """Subtraction; ``reverse`` says that the constant stands on the left."""
    if _is_number(call.need(1), 0) and _unchanged(call, call.need(0), call.need(1)):
        return
    _ordered(call, "sub")


@handles("Mul")
def mul(call: Call) -> None:
    """Multiplication; by 0 it is the ``zero`` of search spaces that have one."""
    a, b = call.need(0), call.need(1)
    for value, other in ((a, b), (b, a)):
        if other.constant and not other.learned and other.number is not None:
            if other.number == 1 and _unchanged(call, value, other):
                return
            if other.number == 0 and broadcast(a.shape, b.shape) == value.shape:
                call.put(call.emit("zero", [value]))
                return
            elementwise(call, "mul", (a, b), {"scalar": other.number})
            return
    elementwise(call, "mul", (a, b))


@handles("Div")
def div(call: Call) -> None:
    """Division."""
    if _is_number(call.need(1), 1) and _unchanged(call, call.need(0), call.need(1)):
        return
    _ordered(call, "div")


def _is_number(value: Value, wanted: float) -> bool:
    return value.constant and not value.learned and value.number == wanted


def _ordered(call: Call, op: str) -> None:
    a, b = call.need(0), call.need(1)
    attrs: Attrs = {}
    if b.constant and not b.learned:
        attrs = {"scalar": b.number}
    elif a.constant and not a.learned:
        attrs = {"scalar": a.number, "reverse": True}
    elementwise(call, op, (a, b), attrs)


@handles("Sum")
def summed(call: Call) -> None:
    """The sum of any number of tensors."""
    _several(call, "add", {})


@handles("Mean")
def average(call: Call) -> None:
    """The mean of any number of tensors: a sum and a division."""
    call.need(0)
    values = call.given()
    if len(values) == 1:
        call.put(values[0])
        return
    if all(value.constant and not value.learned for value in values):
        elementwise(call, "add", values)
    else:
        total = call.emit("add", values)
        call.put(call.emit("div", [total], {"scalar": float(len(values))}))


@handles("Max Min")
def extreme(call: Call) -> None:
    """The larger or smaller of several tensors, element by element."""
    _several(call, "binary", {"function": f"{call.node.op.lower()}imum", "scalar": None})


def _several(call: Call, op: str, attrs: Attrs) -> None:
    call.need(0)
    values = call.given()
    if len(values) == 1:
        call.put(values[0])
        return
    if op == "binary":
        numbers = [v.number for v in values if v.constant and v.number is not None]
        attrs = {**attrs, "scalar": numbers[0] if numbers else None}
    elementwise(call, op, values, attrs)


# -- two or three operands ----------------------------------------------------------------------

_BINARY: Final = {
    "Pow": "pow",
    "Mod": "remainder",
    "BitShift": "shift",
    "Equal": "eq",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "Less": "lt",
    "LessOrEqual": "le",
    "And": "and",
    "Or": "or",
    "Xor": "xor",
    "BitwiseAnd": "and",
    "BitwiseOr": "or",
    "BitwiseXor": "xor",
}
_TRUTHS: Final = frozenset({"eq", "gt", "ge", "lt", "le"})


@handles(" ".join(_BINARY))
def binary(call: Call) -> None:
    """A function of two tensors that the vocabulary has no op for."""
    a, b = call.need(0), call.need(1)
    function = _BINARY[call.node.op]
    right = b.constant and not b.learned
    scalar = b.number if right else a.number if a.constant else None
    if not right and a.constant and not a.learned:
        function = EXCHANGED.get(function, function)
    attrs: Attrs = {"function": function, "scalar": scalar}
    elementwise(call, "binary", (a, b), attrs, dtype="bool" if function in _TRUTHS else None)


@handles("Where")
def where(call: Call) -> None:
    """A choice between two tensors, element by element."""
    operands = (call.need(0), call.need(1), call.need(2))
    elementwise(call, "where", operands, dtype=operands[1].dtype)


@handles("Trilu")
def triangle(call: Call) -> None:
    """One triangle of a matrix."""
    elementwise(call, "where", (call.need(0),))


# -- one operand --------------------------------------------------------------------------------

_UNARY: Final = {
    **{
        name: name.lower()
        for name in (
            "Neg Abs Exp Log Sqrt Reciprocal Sign Floor Ceil Round Sin Cos Tan Asin Acos Atan Sinh "
            "Cosh Asinh Acosh Atanh Erf CumSum CumProd"
        ).split()
    },
    "Not": "logical_not",
    "BitwiseNot": "bitwise_not",
    "IsNaN": "isnan",
    "IsInf": "isinf",
}


@handles(" ".join(_UNARY))
def unary(call: Call) -> None:
    """A function of single elements."""
    value = call.need(0)
    dtype = "bool" if call.node.op in ("Not", "IsNaN", "IsInf") else None
    elementwise(call, "unary", (value,), {"function": _UNARY[call.node.op]}, dtype=dtype)
