"""Handlers of reshaping, permuting, repeating, second names and data types."""

from math import prod

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import Shape, broadcast

from .folds import reshape_target
from .registry import Call, axis_of, handles
from .tensors import checked_shape, dtype_name
from .values import Value, unknown_constant
from .writer import Attrs


def arranged(call: Call, x: Value, op: str, attrs: Attrs, shape: Shape) -> None:
    """Bind a rearrangement of ``x``; a stored weight stays that weight."""
    if x.constant and x.node is None:
        call.put(Value(shape, x.dtype, None, None, x.learned, x.key, True))
    else:
        call.put(call.emit(op, [x], attrs, shape=shape))


def reshaped(call: Call, x: Value, shape: Shape) -> None:
    """Bind ``x`` in another shape."""
    if shape == x.shape:
        call.put(x)
    else:
        arranged(call, x, "reshape", {"shape": shape}, shape)


@handles("Reshape")
def reshape(call: Call) -> None:
    """Another shape for the same elements."""
    x = call.need(0)
    wanted = call.node.ints("shape", None)
    wanted = call.integers(1) if wanted is None else wanted
    if wanted is None:
        raise GraphError("it lacks a shape")
    reshaped(call, x, reshape_target(x.shape, wanted, call.node))


@handles("Flatten")
def flatten(call: Call) -> None:
    """A matrix of the same elements."""
    x = call.need(0)
    axis, rank = call.node.int("axis", 1), len(x.shape)
    if not -rank <= axis <= rank:
        raise GraphError(f"axis {axis} does not exist: {-rank} to {rank} are allowed")
    axis += rank if axis < 0 else 0
    reshaped(call, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@handles("Squeeze")
def squeeze(call: Call) -> None:
    """Axes of size one left out."""
    x = call.need(0)
    axes = call.axes(1, len(x.shape))
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    if any(x.shape[axis] != 1 for axis in axes):
        raise GraphError(f"axes {axes} of shape {x.shape} are not all of size 1")
    reshaped(call, x, tuple(s for axis, s in enumerate(x.shape) if axis not in axes))


@handles("Unsqueeze")
def unsqueeze(call: Call) -> None:
    """New axes of size one."""
    x = call.need(0)
    given = call.node.ints("axes", None)
    given = call.integers(1) if given is None else given
    if given is None:
        raise GraphError("it lacks axes")
    rank = len(x.shape) + len(given)
    places = {axis_of(axis, rank) for axis in given}
    if len(places) != len(given):
        raise GraphError(f"axes {given} name one axis twice")
    sizes = iter(x.shape)
    reshaped(call, x, tuple(1 if axis in places else next(sizes) for axis in range(rank)))


@handles("Transpose")
def transpose(call: Call) -> None:
    """The axes in another order."""
    x = call.need(0)
    rank = len(x.shape)
    order = call.node.ints("perm", tuple(range(rank))[::-1])
    if sorted(order) != list(range(rank)):
        raise GraphError(f"perm {order} is no order of {rank} axes")
    if order == tuple(range(rank)):
        call.put(x)
    else:
        arranged(call, x, "permute", {"dims": order}, tuple(x.shape[axis] for axis in order))


@handles("Expand")
def expand(call: Call) -> None:
    """Axes of size one repeated without copying."""
    x = call.need(0)
    wanted = call.integers(1)
    if wanted is None:
        raise GraphError("it lacks a shape")
    shape = broadcast(x.shape, checked_shape(wanted, "its result"))
    if shape == x.shape:
        call.put(x)
    elif x.constant and not x.learned:
        call.put(unknown_constant(shape, x.dtype))
    else:
        call.put(call.emit("expand", [x], {"shape": shape}))


@handles("Tile")
def tile(call: Call) -> None:
    """Copies along some axes."""
    x = call.need(0)
    repeats = call.integers(1)
    if repeats is None or len(repeats) != len(x.shape) or any(n < 0 for n in repeats):
        raise GraphError(f"repeats {repeats} do not fit an input of shape {x.shape}")
    if x.constant and not x.learned:
        shape = tuple(a * b for a, b in zip(x.shape, repeats, strict=True))
        call.put(unknown_constant(checked_shape(shape, "its result"), x.dtype))
    else:
        call.put(call.emit("repeat", [x], {"repeats": repeats}))


# -- the same elements --------------------------------------------------------------------------


@handles("Identity")
def identity(call: Call) -> None:
    """A skip connection, or a second name of a weight.

    Exporters store equal weights once. A parameter keeps its name, so that a name which no
    exporter has made up is a weight of its own. A made-up name is a weight arranged anew for
    each use: the same one, unless all its elements are equal, as in new scales, or it was made
    for a convolution, where folded normalisations that start with zero are equal.
    """
    x = call.need(0)
    if x.constant and x.node is None:
        name = call.node.outputs[0]
        made_up = "::" in name and not name.startswith("onnx::Conv_")
        plain = x.data is not None and bool((x.data == x.data.reshape(-1)[:1]).all())
        key = x.key if (made_up and not plain) or not x.learned else name
        call.put(Value(x.shape, x.dtype, None, x.data, x.learned, key, True))
    else:
        call.put(call.emit("identity", [x]))


@handles("Cast CastLike")
def cast(call: Call) -> None:
    """Another data type; nothing where the tensor has it already."""
    x = call.need(0)
    like = call.node.op == "CastLike"
    recast(call, x, call.need(1).dtype if like else dtype_name(call.node.int("to")))


def recast(call: Call, x: Value, dtype: str) -> None:
    """Bind ``x`` with another data type."""
    if dtype == x.dtype:
        call.put(x)
    elif x.constant and x.node is None:
        call.put(Value(x.shape, dtype, None, None, x.learned, x.key, True))
    else:
        call.put(call.emit("cast", [x], {"dtype": dtype}, dtype=dtype))
