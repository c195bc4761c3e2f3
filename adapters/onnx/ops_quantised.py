"""Handlers of quantisation: scales and zero points are no part of the graph."""

from .ops_layout import recast
from .registry import Call, handles
from .tensors import dtype_name
from .values import Value


@handles("QuantizeLinear")
def quantize(call: Call) -> None:
    """Floating-point numbers as small integers."""
    zero = call.get(2)
    stated = call.node.int("output_dtype", 0)
    dtype = dtype_name(stated) if stated else zero.dtype if zero is not None else "uint8"
    recast(call, call.need(0), dtype)


@handles("DequantizeLinear")
def dequantize(call: Call) -> None:
    """Small integers as floating-point numbers; a stored weight stays that weight."""
    x = call.need(0)
    dtype = call.need(1).dtype
    if x.constant and x.node is None:
        # Weights are stored as integers here.
        call.put(Value(x.shape, dtype, None, None, bool(x.key), x.key, True))
    else:
        recast(call, x, dtype)


@handles("DynamicQuantizeLinear")
def dynamic_quantize(call: Call) -> None:
    """The same, with a scale and a zero point from the data."""
    x = call.need(0)
    y = call.emit("cast", [x], {"dtype": "uint8"}, dtype="uint8")
    call.put(y)
    call.part(y, 1, (), "float32")
    call.part(y, 2, (), "uint8")
