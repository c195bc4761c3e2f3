"""Operators without a handler: kept as ``custom`` where their results' shapes are known."""

from math import prod
from typing import Any

from gennape_plugin.core.errors import CaptureError
from gennape_plugin.core.shapes import Shape

from .registry import Call
from .tensors import MAX_SIZE
from .values import Value
from .writer import Attrs

_NUMBERS = {"float32": 1, "int64": 7, "int32": 6, "bool": 9, "float16": 10, "float64": 11}


def keep_as_custom(call: Call) -> None:
    """Write a node under its own name, with the shapes that the file or the standard states.

    Raises:
        CaptureError: if neither states them.
    """
    writer, node = call.writer, call.node
    values = call.given()
    outputs = [name for name in node.outputs if name and writer.readers[name]]
    if not outputs:
        return
    inferred: dict[str, Shape] | None = None
    shapes: list[Shape] = []
    for name in outputs:
        shape = writer.network.declared_shape(name)
        if shape is None:
            if inferred is None:
                inferred = _inferred(call)
            shape = inferred.get(name)
        if shape is None:
            raise CaptureError(
                f"{node.title} is not known, or its result depends on the data, and the file does "
                f"not state the shape of {name!r:.200}: run onnx.shape_inference on the file, or "
                "export the model with fixed sizes"
            )
        shapes.append(shape)
    title = f"{node.domain}.{node.op}" if node.domain else node.op
    target = title[:200]
    params = sum(prod(v.shape) for v in values if v.learned and v.constant)
    attrs: Attrs = {"target": target, "params": min(params, MAX_SIZE)}
    operands = [v for v in values if not v.constant]
    first = call.emit("custom", operands, attrs, shape=shapes[0])
    writer.values[outputs[0]] = first
    for name, shape in zip(outputs[1:], shapes[1:], strict=True):
        position: Attrs = {"index": node.outputs.index(name)}
        writer.values[name] = call.emit("select", [first], position, shape=shape)
    writer.warn(f"{target} has no operation of its own and was kept as a custom one")


def _inferred(call: Call) -> dict[str, Shape]:
    """What the standard's own rule says of one node's results; empty where it says nothing."""
    import onnx

    node = call.node
    if node.domain or any(
        not isinstance(v, int | float | str | tuple) for v in node.attrs.values()
    ):
        return {}
    try:
        schema = onnx.defs.get_schema(node.op, call.writer.network.opset, "")
        proto = onnx.helper.make_node(node.op, list(node.inputs), list(node.outputs), **node.attrs)
        types: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for name in filter(None, node.inputs):
            value: Value = call.writer.values[name]
            number = _NUMBERS.get(value.dtype, 1)
            types[name] = onnx.helper.make_tensor_type_proto(number, value.shape)
            if value.data is not None:
                data[name] = onnx.numpy_helper.from_array(value.data, name)
        found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
    # The checker and its rules raise many kinds; whatever they object to, nothing is known.
    except Exception:
        return {}
    return {name: shape for name, kind in found.items() if (shape := _static(kind)) is not None}


def _static(kind: Any) -> Shape | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") and 0 <= dim.dim_value <= MAX_SIZE for dim in dims):
        return None
    return tuple(int(dim.dim_value) for dim in dims)
