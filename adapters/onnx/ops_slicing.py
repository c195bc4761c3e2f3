"""Handlers of joining and cutting, and of constants that are too large to be computed."""

from gennape_plugin.core.errors import GraphError

from .registry import Call, UnknownResultError, axis_of, handles
from .tensors import checked_shape, dtype_name, read_tensor
from .values import Value, unknown_constant
from .writer import Attrs

#: ``(axis, start, stop, step)``; ``(axis, index, None, 0)`` removes the axis.
Cut = tuple[int, int, int | None, int]


# -- joining and cutting ------------------------------------------------------------------------


@handles("Concat")
def concat(call: Call) -> None:
    """Concatenation; empty parts of one axis are what it may start from."""
    values = call.given()
    parts = [value for value in values if value.shape != (0,)] or values[:1]
    if not parts:
        raise GraphError("it joins nothing")
    if len(parts) == 1:
        call.put(parts[0])
        return
    axis = axis_of(call.node.int("axis"), len(parts[0].shape))
    call.put(call.emit("concat", parts, {"dim": axis}))


@handles("Split")
def split(call: Call) -> None:
    """Consecutive pieces along one axis."""
    x = call.need(0)
    axis = axis_of(call.node.int("axis", 0), len(x.shape))
    size, count = x.shape[axis], len(call.node.outputs)
    sizes = call.node.ints("split", None)
    sizes = call.integers(1) if sizes is None else sizes
    if sizes is None:
        count = call.node.int("num_outputs", count)
        if not 0 < count <= len(call.node.outputs):
            raise GraphError(
                f"it cuts into {count} pieces but has {len(call.node.outputs)} outputs"
            )
        each = -(-size // count)  # the last piece may be smaller
        sizes = tuple(max(min(each, size - i * each), 0) for i in range(count))
    if len(sizes) < len(call.node.outputs) or sum(sizes) != size or min(sizes, default=0) < 0:
        raise GraphError(f"pieces of sizes {sizes!r:.200} do not make up an axis of size {size}")
    start = 0
    for position, length in enumerate(sizes):
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        if length == size:
            call.put(x, position)
        elif position < len(call.node.outputs):
            spec = ((axis, start, start + length, 1),)
            call.put(call.emit("slice", [x], {"spec": spec}, shape=shape), position)
        start += length


@handles("Slice")
def cut(call: Call) -> None:
    """A part of a tensor; one read backwards is a flip."""
    x, node = call.need(0), call.node
    if "starts" in node.attrs:
        starts, ends = node.ints("starts"), node.ints("ends")
        axes, steps = node.ints("axes", None), None
    else:
        starts, ends = call.integers(1), call.integers(2)
        axes, steps = call.integers(3), call.integers(4)
    if starts is None or ends is None:
        raise GraphError("it lacks starts or ends")
    rank = len(x.shape)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) <= rank or 0 in steps:
        raise GraphError(
            f"starts {starts}, ends {ends}, axes {axes} and steps {steps} do not fit each other"
        )
    shape = list(x.shape)
    spec: list[Cut] = []
    flipped = False
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, rank)
        size = x.shape[place]
        if step < 0:
            flipped = True
            stop = None if end < -size else end
            shape[place] = len(range(*slice(start, stop, step).indices(size)))
            continue
        first, last, step = slice(start, end, step).indices(size)
        last = max(first, last)
        shape[place] = -(-(last - first) // step)
        if (first, last, step) != (0, size, 1):
            spec.append((place, first, last, step))
    if flipped:
        call.put(call.emit("gather", [x], {"function": "flip"}, shape=tuple(shape)))
    elif not spec:
        call.put(x)
    else:
        x, spec = _joined(call, x, spec)
        attrs: Attrs = {"spec": tuple(spec)}
        call.put(call.emit("slice", [x], attrs, shape=tuple(shape)))


def _joined(call: Call, x: Value, spec: list[Cut]) -> tuple[Value, list[Cut]]:
    """One cut for two: exporters write ``x[:2, :3]`` as one cut an axis."""
    writer = call.writer
    if x.node is None or writer.only_reader(call.node.inputs[0]) is not call.node:
        return x, spec
    node = writer.builder.nodes[x.node]
    if node.op != "slice" or len(node.shape) != len(node.in_shapes[0]):
        return x, spec
    before: list[Cut] = list(node.attr("spec"))
    if max(cut[0] for cut in before) >= min(cut[0] for cut in spec):
        return x, spec
    source = writer.builder.operands[x.node][0]
    return Value(writer.shape(source), x.dtype, source), before + spec


# -- constants that are too large to be computed ------------------------------------------------


@handles("ConstantOfShape")
def constant_of_shape(call: Call) -> None:
    """A tensor of one number."""
    sizes = call.integers(0)
    if sizes is None:
        raise GraphError("it lacks a shape")
    value = call.node.attrs.get("value")
    dtype = "float32" if value is None else read_tensor(value, "its value")[1]
    call.put(unknown_constant(checked_shape(sizes, "its result"), dtype))


@handles("Range")
def count_up(call: Call) -> None:
    """A row of numbers."""
    values = [call.need(position) for position in (0, 1, 2)]
    numbers = [value.number for value in values]
    start, limit, delta = numbers
    if start is None or limit is None or delta is None:
        raise UnknownResultError
    if not delta or not abs((limit - start) / delta) < 1 << 53:
        raise GraphError(f"it counts from {start} to {limit} by {delta}, which makes no row")
    length = max(-int(-(limit - start) // delta), 0)
    call.put(unknown_constant((length,), values[0].dtype))


@handles("RandomNormalLike RandomUniformLike EyeLike")
def like(call: Call) -> None:
    """A tensor that only takes the shape of another one."""
    x = call.need(0)
    call.put(unknown_constant(x.shape, dtype_name(call.node.int("dtype", 1))))
