"""Tensors of an ONNX file: checked shapes, data types, and the data of small ones."""

from math import prod
from typing import Any, Final

import numpy as np
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import Shape

MAX_RANK: Final = 16
MAX_SIZE: Final = 1 << 40  # of one axis, as in the core
#: Constants of at most this many elements are computed with; larger ones only have a shape.
MAX_ELEMENTS: Final = 4096

Array = np.ndarray[Any, np.dtype[Any]]

#: Names of ``TensorProto.DataType``, in torch's words.
DTYPES: Final[dict[int, str]] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1",
    24: "float8_e8m0fnu",
    25: "uint2",
    26: "int2",
}
#: Those that numpy computes with, and the field of their data where it is not raw.
_FIELDS: Final = {
    "float32": "float_data",
    "float64": "double_data",
    "float16": "int32_data",
    "int8": "int32_data",
    "int16": "int32_data",
    "int32": "int32_data",
    "int64": "int64_data",
    "uint8": "int32_data",
    "uint16": "int32_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
    "bool": "int32_data",
}


def is_float(dtype: str) -> bool:
    """Whether a data type is one that weights are learned in."""
    return "float" in dtype or "complex" in dtype


def dtype_name(number: int) -> str:
    """The name of a data type.

    Raises:
        GraphError: if there is no such type.
    """
    try:
        return DTYPES[number]
    except KeyError:
        raise GraphError(f"data type {number} is unknown: 1 to {max(DTYPES)} are allowed") from None


def checked_shape(dims: Any, what: str) -> Shape:
    """Sizes of axes as a shape.

    Raises:
        GraphError: for too many axes, or sizes out of range.
    """
    shape = tuple([int(size) for size in dims])
    if len(shape) > MAX_RANK:
        raise GraphError(f"{what} has {len(shape)} axes: at most {MAX_RANK} are allowed")
    for size in shape:
        if not 0 <= size <= MAX_SIZE:
            raise GraphError(
                f"{what} has the shape {shape!r:.200}: sizes are integers from 0 to {MAX_SIZE}"
            )
    return shape


def read_tensor(tensor: Any, what: str) -> tuple[Shape, str, Array | None]:
    """Shape, data type and, where it is small and in the file, the data of a ``TensorProto``.

    Raises:
        GraphError: if they contradict each other.
    """
    shape = checked_shape(tensor.dims, what)
    dtype = dtype_name(tensor.data_type)
    count = prod(shape)
    external = tensor.data_location == 1 or len(tensor.external_data) > 0
    if external or count > MAX_ELEMENTS or dtype not in _FIELDS:
        return shape, dtype, None
    kind = np.dtype(dtype).newbyteorder("<")
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        if len(raw) != count * kind.itemsize:
            raise GraphError(
                f"{what} of shape {shape} and type {dtype} has {len(raw)} bytes of data: "
                f"{count * kind.itemsize} are needed"
            )
        return shape, dtype, np.frombuffer(raw, kind).astype(dtype).reshape(shape)
    values = getattr(tensor, _FIELDS[dtype])
    if len(values) != count:
        raise GraphError(f"{what} of shape {shape} has {len(values)} values: {count} are needed")
    if dtype == "float16":
        bits = np.array([value & 0xFFFF for value in values], dtype=np.uint16)
        return shape, dtype, bits.view(np.float16).reshape(shape)
    wide = np.float64 if "float" in dtype else np.uint64 if dtype[0] == "u" else np.int64
    with np.errstate(all="ignore"):
        return shape, dtype, np.array(list(values), dtype=wide).astype(dtype).reshape(shape)
