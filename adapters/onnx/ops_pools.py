"""Handlers of pools, padding and resampling."""

from math import floor, isfinite
from typing import Any, Final

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import Shape

from .registry import Call, UnknownResultError, axis_of, handles
from .tensors import MAX_SIZE
from .values import Value
from .windows import pad, padded, window_of


def _pool(call: Call, fill: float) -> tuple[Value, dict[str, Any], tuple[int, ...]]:
    x = call.need(0)
    window = window_of(call.node, x.shape, call.node.ints("kernel_shape"))
    x, padding = padded(call, x, window, fill)
    attrs: dict[str, Any] = {
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": padding,
        "ceil_mode": bool(call.node.int("ceil_mode", 0)),
    }
    return x, attrs, window.dilation


@handles("MaxPool")
def max_pool(call: Call) -> None:
    """Max pooling, and the positions of the maxima."""
    x, attrs, dilation = _pool(call, float("-inf"))
    y = call.emit("max_pool", [x], {**attrs, "dilation": dilation})
    call.put(y)
    call.part(y, 1, y.shape, "int64")


@handles("AveragePool")
def avg_pool(call: Call) -> None:
    """Average pooling; padding by zeros right before it is its own, as exporters write it."""
    x, attrs, dilation = _pool(call, 0.0)
    if max(dilation) > 1:
        raise UnknownResultError
    attrs["count_include_pad"] = bool(call.node.int("count_include_pad", 0))
    if attrs["padding"] == (0,) * len(attrs["kernel"]):
        attrs["count_include_pad"] = True  # without padding it makes no difference
        x = _with_padding(call, x, attrs)
    call.put(call.emit("avg_pool", [x], attrs))


def _with_padding(call: Call, x: Value, attrs: dict[str, Any]) -> Value:
    """What a symmetric zero padding before a pool has padded; ``attrs`` get the padding."""
    maker = call.writer.made_by.get(call.node.inputs[0])
    if maker is None or maker.op != "Pad" or maker.domain or x.node is None:
        return x
    node = call.writer.builder.nodes[x.node]
    if node.op != "pad" or node.attr("mode") != "constant" or node.attr("value") != 0:
        return x
    flat = node.attr("padding")
    rank = len(attrs["kernel"])
    before, after = flat[::2], flat[1::2]
    if len(before) > rank or before != after or min(before) < 0:
        return x
    attrs["padding"] = (*(0 for _ in range(rank - len(before))), *reversed(before))
    source = call.writer.builder.operands[x.node][0]
    return Value(call.writer.shape(source), x.dtype, source)


@handles("LpPool")
def lp_pool(call: Call) -> None:
    """Pooling by a norm."""
    x, attrs, dilation = _pool(call, 0.0)
    # Its size is that of any other pool, which nothing reads and the graph drops.
    shape = call.emit("max_pool", [x], {**attrs, "dilation": dilation}).shape
    call.put(call.emit("lp_pool", [x], shape=shape))


@handles("GlobalAveragePool GlobalMaxPool GlobalLpPool")
def global_pool(call: Call) -> None:
    """Pooling over the whole map."""
    x = call.need(0)
    rank = len(x.shape) - 2
    if rank < 1:
        raise GraphError(f"its input of shape {x.shape} has no spatial axes")
    size = (1,) * rank
    if call.node.op == "GlobalLpPool":
        call.put(call.emit("lp_pool", [x], shape=(*x.shape[:2], *size)))
        return
    kind = "avg" if call.node.op == "GlobalAveragePool" else "max"
    call.put(call.emit(f"adaptive_{kind}_pool", [x], {"size": size}))


# -- padding and resampling ---------------------------------------------------------------------

_PAD_MODES: Final = {"edge": "replicate", "wrap": "circular"}


@handles("Pad")
def padding(call: Call) -> None:
    """Padding."""
    x = call.need(0)
    rank = len(x.shape)
    pads = call.node.ints("pads", None)
    pads = call.integers(1) if pads is None else pads
    if pads is None:
        raise GraphError("it lacks pads")
    axes = call.integers(3)
    fill = call.get(2)
    value = fill.number if fill is not None else call.node.float("value", 0.0)
    begin, end = [0] * rank, [0] * rank
    places = range(rank) if axes is None else [axis_of(axis, rank) for axis in axes]
    if len(pads) != 2 * len(places):
        raise GraphError(f"pads {pads} do not fit {len(places)} axes: give two for each")
    for place, before, after in zip(places, pads[: len(places)], pads[len(places) :], strict=True):
        begin[place], end[place] = before, after
    mode = call.node.text("mode", "constant")
    mode = _PAD_MODES.get(mode, mode)
    call.put(pad(call, x, tuple(begin), tuple(end), mode, 0.0 if value is None else value))


@handles("Resize Upsample")
def resize(call: Call) -> None:
    """Resampling to another size."""
    x = call.need(0)
    shape = _resized(call, x.shape)
    if shape == x.shape:
        call.put(x)
        return
    if len(shape) < 3 or shape[:2] != x.shape[:2]:
        raise UnknownResultError
    mode = call.node.text("mode", "nearest")
    linear = {3: "linear", 4: "bilinear", 5: "trilinear"}.get(len(shape), "linear")
    align = call.node.text("coordinate_transformation_mode", "") == "align_corners"
    attrs: dict[str, Any] = {
        "size": shape[2:],
        "mode": {"linear": linear, "cubic": "bicubic"}.get(mode, mode),
        "align_corners": True if align and mode != "nearest" else None,
    }
    call.put(call.emit("interpolate", [x], attrs, shape=shape))


def _resized(call: Call, shape: Shape) -> Shape:
    """The size that a node asks for, by factors or by itself."""
    node, rank = call.node, len(shape)
    axes = node.ints("axes", None)
    places = range(rank) if axes is None else [axis_of(axis, rank) for axis in axes]
    sizes = call.integers(3) if node.op == "Resize" and len(node.inputs) > 3 else None
    out = list(shape)
    if sizes:
        if len(sizes) != len(places):
            raise GraphError(f"sizes {sizes} do not fit {len(places)} axes")
        for place, size in zip(places, sizes, strict=True):
            out[place] = size
        return tuple(out)
    scales: Any = node.attrs.get("scales")
    if not isinstance(scales, tuple):
        # The second operand before version 11, and of Upsample; since then the third.
        position = 1 if node.op == "Upsample" or len(node.inputs) == 2 else 2
        value = call.need(position)
        if value.data is None:
            raise UnknownResultError
        scales = tuple([float(scale) for scale in value.data.reshape(-1)])
    if len(scales) != len(places):
        raise GraphError(f"scales {scales} do not fit {len(places)} axes")
    for place, scale in zip(places, scales, strict=True):
        if not isinstance(scale, float) or not isfinite(scale) or not 0 < scale <= MAX_SIZE:
            raise GraphError(f"scale {scale!r:.80} is no positive number")
        out[place] = floor(shape[place] * scale)
    return tuple(out)


@handles("DepthToSpace SpaceToDepth")
def shuffle(call: Call) -> None:
    """Channels to space, or back."""
    op = "pixel_shuffle" if call.node.op == "DepthToSpace" else "pixel_unshuffle"
    x = call.need(0)
    if len(x.shape) != 4:
        raise GraphError(f"its input of shape {x.shape} is no map: four axes are needed")
    call.put(call.emit(op, [x], {"factor": call.node.int("blocksize")}))
