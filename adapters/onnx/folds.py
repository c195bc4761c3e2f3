"""Functions that compute small constants with numpy, by operator.

The size of a result is known before it is made; larger ones raise :class:`TooLargeError`.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Final

import numpy as np
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import Shape

from .nodes import OnnxNode
from .registry import axis_of
from .tensors import MAX_ELEMENTS, MAX_RANK, Array, dtype_name, read_tensor


class TooLargeError(Exception):
    """The result is not worth computing, or numpy has no such type."""


Fold = Callable[[OnnxNode, list[Any]], Any]
FOLDS: dict[str, Fold] = {}


def _folds(names: str) -> Callable[[Fold], Fold]:
    def register(function: Fold) -> Fold:
        for name in names.split():
            FOLDS[name] = function
        return function

    return register


def _fits(shape: Sequence[int]) -> None:
    if prod(shape) > MAX_ELEMENTS or len(shape) > MAX_RANK:
        raise TooLargeError


def _ints(array: Any) -> list[int]:
    return [int(entry) for entry in np.asarray(array).reshape(-1)]


def _axes(node: OnnxNode, arrays: list[Any], position: int = 1) -> list[int] | None:
    given = node.ints("axes", None)
    if given is not None:
        return list(given)
    if position < len(arrays) and arrays[position] is not None:
        return _ints(arrays[position])
    return None


# -- element by element -------------------------------------------------------------------------


def _divide(a: Array, b: Array) -> Any:
    if a.dtype.kind == "f":
        return a / b
    if not b.all():
        raise TooLargeError  # a division by zero: nothing to say about the result
    # Integers are divided towards zero.
    return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)


def _power(a: Array, b: Array) -> Any:
    return np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)


_ELEMENTWISE: Final[dict[str, Callable[..., Any]]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Mod": np.mod,
    "Pow": _power,
    "Min": np.minimum,
    "Max": np.maximum,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Not": np.logical_not,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Log": np.log,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.round,
    "Sin": np.sin,
    "Cos": np.cos,
    "Where": np.where,
}


@_folds(" ".join(_ELEMENTWISE))
def _elementwise(node: OnnxNode, arrays: list[Any]) -> Any:
    function = _ELEMENTWISE[node.op]
    _fits(np.broadcast_shapes(*[a.shape for a in arrays]))
    if node.op in ("Min", "Max"):
        result = arrays[0]
        for array in arrays[1:]:
            result = function(result, array)
        return result
    result = np.asarray(function(*arrays))
    # Standard operators keep the type of their operands; numpy widens small integers.
    same = node.op in ("Add", "Sub", "Mul", "Mod", "Neg", "Abs")
    return result.astype(arrays[0].dtype) if same else result


@_folds("Clip Relu")
def _clip(node: OnnxNode, arrays: list[Any]) -> Any:
    low, high = [*arrays[1:], None, None][:2]
    if node.op == "Relu":
        low = np.zeros((), dtype=arrays[0].dtype)
    if "min" in node.attrs or "max" in node.attrs:
        raise TooLargeError  # an old version, which exporters of sizes do not write
    return arrays[0] if low is None and high is None else np.clip(arrays[0], low, high)


@_folds("Cast")
def _cast(node: OnnxNode, arrays: list[Any]) -> Any:
    return arrays[0].astype(dtype_name(node.int("to")))


# -- shapes -------------------------------------------------------------------------------------


@_folds("Squeeze")
def _squeeze(node: OnnxNode, arrays: list[Any]) -> Any:
    axes = _axes(node, arrays)
    return np.squeeze(arrays[0], None if axes is None else tuple(axes))


@_folds("Unsqueeze")
def _unsqueeze(node: OnnxNode, arrays: list[Any]) -> Any:
    return np.expand_dims(arrays[0], tuple(_axes(node, arrays) or ()))


@_folds("Reshape")
def _reshape(node: OnnxNode, arrays: list[Any]) -> Any:
    return arrays[0].reshape(reshape_target(arrays[0].shape, _ints(arrays[1]), node))


def reshape_target(shape: Shape, wanted: Sequence[int], node: OnnxNode) -> Shape:
    """The shape that a ``Reshape`` gives: 0 keeps a size, -1 takes what is left.

    Raises:
        GraphError: if the elements do not fit.
    """
    keeps = not node.int("allowzero", 0)
    sizes = []
    for axis, size in enumerate(wanted):
        if size == 0 and keeps:
            if axis >= len(shape):
                raise GraphError(f"axis {axis} of {tuple(wanted)} keeps a size that {shape} lacks")
            size = shape[axis]
        sizes.append(size)
    if sizes.count(-1) == 1:
        rest = prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = prod(shape) // rest if rest else 0
    if any(size < 0 for size in sizes) or prod(sizes) != prod(shape):
        raise GraphError(f"shape {shape} cannot be reshaped to {tuple(wanted)!r:.200}")
    return tuple(sizes)


@_folds("Transpose")
def _transpose(node: OnnxNode, arrays: list[Any]) -> Any:
    return np.transpose(arrays[0], node.ints("perm", None))


@_folds("Expand")
def _expand(node: OnnxNode, arrays: list[Any]) -> Any:
    shape = np.broadcast_shapes(arrays[0].shape, tuple(_sizes(arrays[1])))
    return np.broadcast_to(arrays[0], shape).copy()


@_folds("Tile")
def _tile(node: OnnxNode, arrays: list[Any]) -> Any:
    repeats = _ints(arrays[1])
    _fits([a * b for a, b in zip(arrays[0].shape, repeats, strict=True)])
    return np.tile(arrays[0], repeats)


@_folds("ConstantOfShape")
def _constant_of_shape(node: OnnxNode, arrays: list[Any]) -> Any:
    fill: Any = np.zeros(1, dtype=np.float32)
    if "value" in node.attrs:
        fill = read_tensor(node.attrs["value"], "its value")[2]
    if fill is None or fill.size != 1:
        raise TooLargeError
    return np.full(_sizes(arrays[0]), fill.reshape(()), dtype=fill.dtype)


def _sizes(array: Any) -> list[int]:
    sizes = _ints(array)
    if any(size < 0 for size in sizes):
        raise TooLargeError
    _fits(sizes)
    return sizes


@_folds("Range")
def _range(node: OnnxNode, arrays: list[Any]) -> Any:
    start, limit, delta = [array.reshape(()).item() for array in arrays]
    if not delta or abs(limit - start) / abs(delta) > MAX_ELEMENTS:
        raise TooLargeError
    return np.arange(start, limit, delta, dtype=arrays[0].dtype)


# -- parts --------------------------------------------------------------------------------------


@_folds("Gather")
def _gather(node: OnnxNode, arrays: list[Any]) -> Any:
    data, indices = arrays
    axis = axis_of(node.int("axis", 0), data.ndim)
    _fits((*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]))
    return np.take(data, indices.astype(np.int64), axis)


@_folds("Slice")
def _slice(node: OnnxNode, arrays: list[Any]) -> Any:
    data = arrays[0]
    if "starts" in node.attrs:
        starts, ends = list(node.ints("starts")), list(node.ints("ends"))
        axes, steps = node.ints("axes", None), None
    else:
        starts, ends = _ints(arrays[1]), _ints(arrays[2])
        axes = _ints(arrays[3]) if len(arrays) > 3 and arrays[3] is not None else None
        steps = _ints(arrays[4]) if len(arrays) > 4 and arrays[4] is not None else None
    index = [slice(None)] * data.ndim
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axis_of(i if axes is None else axes[i], data.ndim)
        step = 1 if steps is None else steps[i]
        # Going backwards, an end before the first element includes it.
        stop = None if step < 0 and end < -data.shape[axis] else end
        index[axis] = slice(start, stop, step)
    return data[tuple(index)]


@_folds("Concat")
def _concat(node: OnnxNode, arrays: list[Any]) -> Any:
    if sum(array.size for array in arrays) > MAX_ELEMENTS:
        raise TooLargeError
    return np.concatenate(arrays, node.int("axis"))


@_folds("Split")
def _split(node: OnnxNode, arrays: list[Any]) -> Any:
    axis = axis_of(node.int("axis", 0), arrays[0].ndim)
    sizes = node.ints("split", None)
    if sizes is None and len(arrays) > 1:
        sizes = _ints(arrays[1])
    count = len(node.outputs)
    if sizes is None:
        each = -(-arrays[0].shape[axis] // count)
        sizes = [each] * count
    if len(sizes) != count:
        raise TooLargeError
    return np.split(arrays[0], np.cumsum(sizes)[:-1], axis)


@_folds("ReduceProd ReduceSum ReduceMin ReduceMax ReduceMean")
def _reduce(node: OnnxNode, arrays: list[Any]) -> Any:
    function: Any = getattr(np, node.op.removeprefix("Reduce").lower())
    axes = _axes(node, arrays)
    keep = bool(node.int("keepdims", 1))
    result = function(arrays[0], axis=None if axes is None else tuple(axes), keepdims=keep)
    return np.asarray(result).astype(arrays[0].dtype)


@_folds("NonZero")
def _nonzero(node: OnnxNode, arrays: list[Any]) -> Any:
    return np.stack(np.nonzero(np.atleast_1d(arrays[0]))).astype(np.int64)
