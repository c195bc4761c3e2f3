"""Handlers of reductions, sorting and writes by position."""

from typing import Final

from gennape_plugin.core.errors import GraphError

from .registry import Call, UnknownResultError, axis_of, handles
from .values import unknown_constant
from .writer import Attrs

_REDUCTIONS: Final = {
    "ReduceSum": "sum",
    "ReduceProd": "prod",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceLogSumExp": "logsumexp",
    "ReduceL1": "norm",
    "ReduceL2": "norm",
    "ReduceSumSquare": "norm",
    "ReduceLogSum": "logsumexp",
    "ReduceMean": "mean",
}


@handles(" ".join(_REDUCTIONS))
def reduction(call: Call) -> None:
    """A reduction over some axes, or all of them."""
    x = call.need(0)
    rank = len(x.shape)
    axes = call.axes(1, rank)
    if not axes:
        if call.node.int("noop_with_empty_axes", 0):
            call.put(x)
            return
        axes = tuple(range(rank))
    keep = bool(call.node.int("keepdims", 1))
    attrs: Attrs = {"axes": tuple(sorted(set(axes))), "keepdim": keep}
    function = _REDUCTIONS[call.node.op]
    if function == "mean":
        call.put(call.emit("mean", [x], attrs))
    else:
        call.put(call.emit("reduce", [x], {"function": function, **attrs}))


@handles("ArgMax ArgMin")
def extreme(call: Call) -> None:
    """The position of the largest or smallest element."""
    x = call.need(0)
    attrs: Attrs = {
        "function": call.node.op.lower(),
        "axes": (axis_of(call.node.int("axis", 0), len(x.shape)),),
        "keepdim": bool(call.node.int("keepdims", 1)),
    }
    call.put(call.emit("reduce", [x], attrs, dtype="int64"))


@handles("TopK")
def top(call: Call) -> None:
    """The largest or smallest elements, and their positions."""
    x = call.need(0)
    axis = axis_of(call.node.int("axis", -1), len(x.shape))
    if "k" in call.node.attrs:
        count = call.node.int("k")
    else:
        counts = call.integers(1)
        if counts is None or len(counts) != 1:
            raise GraphError("it lacks the number of elements")
        count = counts[0]
    if not 0 <= count <= x.shape[axis]:
        raise GraphError(f"{count} elements cannot be taken from an axis of size {x.shape[axis]}")
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    y = call.emit("gather", [x], {"function": "topk"}, shape=shape)
    call.put(y)
    call.part(y, 1, shape, "int64")


# -- by position --------------------------------------------------------------------------------


@handles("GatherElements")
def gather_elements(call: Call) -> None:
    """A choice of elements by position."""
    data, indices = call.need(0), call.need(1)
    _chosen(call, "gather", indices.shape)
    if len(data.shape) != len(indices.shape):
        raise GraphError(f"indices of shape {indices.shape} do not fit data of {data.shape}")


@handles("GatherND")
def gather_nd(call: Call) -> None:
    """A choice of parts by position."""
    data, indices = call.need(0), call.need(1)
    batch = call.node.int("batch_dims", 0)
    deep = batch + (indices.shape[-1] if indices.shape else 0)
    if not indices.shape or batch < 0 or deep > len(data.shape):
        raise GraphError(f"indices of shape {indices.shape} do not fit data of {data.shape}")
    _chosen(call, "index", (*indices.shape[:-1], *data.shape[deep:]))


@handles("ScatterElements ScatterND Scatter")
def scatter(call: Call) -> None:
    """A tensor with some of its elements overwritten."""
    _chosen(call, "scatter", call.need(0).shape)


@handles("OneHot")
def one_hot(call: Call) -> None:
    """Positions as rows of zeros with a one."""
    indices, depth = call.need(0), call.integers(1)
    if depth is None or len(depth) != 1 or depth[0] < 0:
        raise UnknownResultError
    axis = axis_of(call.node.int("axis", -1), len(indices.shape) + 1)
    _chosen(call, "one_hot", (*indices.shape[:axis], depth[0], *indices.shape[axis:]))


@handles("GridSample")
def grid_sample(call: Call) -> None:
    """Resampling at positions that another tensor holds."""
    x, grid = call.need(0), call.need(1)
    if len(x.shape) < 3 or len(grid.shape) != len(x.shape):
        raise GraphError(f"a grid of shape {grid.shape} does not fit an input of {x.shape}")
    _chosen(call, "grid_sample", (*x.shape[:2], *grid.shape[1:-1]))


def _chosen(call: Call, function: str, shape: tuple[int, ...]) -> None:
    """Write a choice by position; constant positions are no operands."""
    values = call.given()
    read = [value for value in values if not value.constant or value.learned]
    if read:
        dtype = call.need(0).dtype
        call.put(call.emit("gather", read, {"function": function}, shape=shape, dtype=dtype))
    else:
        call.put(unknown_constant(shape, values[0].dtype))
