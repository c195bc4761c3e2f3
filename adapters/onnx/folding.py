"""Arithmetic on constants: sizes, indices and masks that exporters compute in the graph.

Only small tensors are computed with; whatever is larger is left to the handlers, which keep
its shape.
"""

from math import prod
from typing import Final

import numpy as np
from gennape_plugin.core.errors import GraphError

from .folds import FOLDS, TooLargeError
from .nodes import OnnxNode
from .registry import Call
from .tensors import MAX_ELEMENTS, MAX_RANK, read_tensor
from .values import Value, constant

_MAX_TOTAL: Final = 1 << 24  # elements of all results of one model
#: Too large, or operands that are missing or fit neither each other nor the attributes.
_UNFOLDED: Final = (
    TooLargeError,
    AttributeError,
    IndexError,
    OverflowError,
    TypeError,
    ValueError,
)


class Folder:
    """Computes the constants of one model."""

    def __init__(self) -> None:
        self._left = _MAX_TOTAL

    def fold(self, call: Call) -> bool:
        """Bind the results of a node that reads small constants only.

        Returns:
            Whether it was possible.
        """
        node = call.node
        if node.op in ("Shape", "Size"):
            return self._size(call)
        if node.op == "Constant":
            call.put(_constant(node))
            return True
        function = FOLDS.get(node.op)
        values = call.given()
        if function is None or node.domain or any(v.data is None for v in values):
            return False
        arrays = [None if (v := call.get(i)) is None else v.data for i in range(len(node.inputs))]
        if not values and node.op != "Range":
            return False
        learned = any(v.learned for v in values)
        try:
            with np.errstate(all="ignore"):
                result = function(node, arrays)
        except _UNFOLDED:
            return False  # the handler of the operator says what is wrong with it
        results = result if isinstance(result, list) else [result]
        for position, array in enumerate(results):
            array = np.asarray(array)
            self._left -= array.size
            if array.size > MAX_ELEMENTS or array.ndim > MAX_RANK or self._left < 0:
                return False
            key = node.outputs[position] if learned and position < len(node.outputs) else ""
            call.put(constant(array, learned=learned, key=key), position)
        return True

    def _size(self, call: Call) -> bool:
        shape = call.need(0).shape
        if call.node.op == "Size":
            count = prod(shape)
            if count >= 1 << 63:
                raise GraphError(f"a tensor of shape {shape} has too many elements to count")
            call.put(constant(np.array(count, dtype=np.int64)))
            return True
        start, end = call.node.int("start", 0), call.node.int("end", None)
        call.put(constant(np.array(shape[start:end], dtype=np.int64)))
        return True


def _constant(node: OnnxNode) -> Value:
    """The value of a ``Constant`` node."""
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32)):
        if name in node.attrs:
            return constant(np.array(node.attrs[name], dtype=kind))
    for name in ("value_int", "value_ints"):
        if name in node.attrs:
            return constant(np.array(node.attrs[name], dtype=np.int64))
    for name in ("value_string", "value_strings"):
        if name in node.attrs:
            value = node.attrs[name]
            return Value(() if isinstance(value, str) else (len(value),), "string", constant=True)
    tensor = node.attrs.get("value")
    if not hasattr(tensor, "dims"):
        raise GraphError("a Constant needs a tensor, a number or text in one of its attributes")
    shape, dtype, data = read_tensor(tensor, "its tensor")
    # The output's name tells large constants of layers apart.
    key = node.outputs[0] if node.outputs else ""
    return Value(shape, dtype, None, data, False, key, True)
