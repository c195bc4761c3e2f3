"""Handlers of convolutions, linear layers, matrix products and embeddings."""

from typing import Any

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.shapes import broadcast

from .folded_norm import holds_batch_norm
from .registry import Call, UnknownResultError, axis_of, handles
from .tensors import is_float
from .values import Value
from .windows import padded, window_of

# -- convolutions -------------------------------------------------------------------------------


@handles("Conv")
def conv(call: Call) -> None:
    """A convolution; one whose kernel is computed from an input reads the kernel too."""
    _convolution(call, call.need(0), call.need(1), call.get(2), transposed=False)


@handles("ConvTranspose")
def conv_transpose(call: Call) -> None:
    """A transposed convolution; its weight is ``(channels in, channels out / groups, ...)``."""
    _convolution(call, call.need(0), call.need(1), call.get(2), transposed=True)


@handles("ConvInteger")
def conv_integer(call: Call) -> None:
    """A convolution of quantised numbers."""
    _convolution(call, call.need(0), call.need(1), None, transposed=False, dtype="int32")


@handles("QLinearConv")
def quantised_conv(call: Call) -> None:
    """A convolution with scales and zero points, which are no part of the graph."""
    zero = call.get(7)
    dtype = zero.dtype if zero is not None else "uint8"
    _convolution(call, call.need(0), call.need(3), call.get(8), transposed=False, dtype=dtype)


def _convolution(
    call: Call, x: Value, w: Value, bias: Value | None, *, transposed: bool, dtype: str = ""
) -> None:
    groups = call.node.int("group", 1)
    if len(w.shape) != len(x.shape) or len(x.shape) < 3 or groups < 1:
        raise GraphError(
            f"a kernel of shape {w.shape} in {groups} groups cannot slide over an input of shape "
            f"{x.shape}"
        )
    reads = w.shape[0] if transposed else w.shape[1] * groups
    if reads != x.shape[1]:
        raise GraphError(
            f"its kernel of shape {w.shape} in {groups} groups reads {reads} channels, but its "
            f"input of shape {x.shape} has {x.shape[1]}"
        )
    if bias is not None and call.depends(bias):
        raise UnknownResultError
    channels = w.shape[1] * groups if transposed else w.shape[0]
    learned = not call.depends(w)
    folded = holds_batch_norm(call)
    window = window_of(call.node, x.shape, w.shape[2:], transposed=transposed)
    x, padding = padded(call, x, window, 0.0)
    attrs: dict[str, Any] = {
        "channels": channels,
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": padding,
        "dilation": window.dilation,
        "groups": groups,
        "bias": bias is not None and not folded,
    }
    if transposed:
        attrs["output_padding"] = window.output_padding
    y = call.emit(
        "conv_transpose" if transposed else "conv",
        [x] if learned else [x, w],
        attrs,
        weight=w if learned else None,
        dtype=dtype or None,
    )
    if folded:
        y = call.emit("batch_norm", [y])
    call.put(y)


# -- linear layers ------------------------------------------------------------------------------


@handles("Gemm")
def gemm(call: Call) -> None:
    """A linear layer where the second matrix is a weight, otherwise a product and a sum."""
    a, b, c = call.need(0), call.need(1), call.get(2)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise GraphError(f"it multiplies matrices, but got shapes {a.shape} and {b.shape}")
    if call.node.int("transA", 0):
        a = call.emit("permute", [a], {"dims": (1, 0)})
    flipped = bool(call.node.int("transB", 0))
    reads, features = (b.shape[1], b.shape[0]) if flipped else b.shape
    if reads != a.shape[1]:
        raise GraphError(f"matrices of shapes {a.shape} and {b.shape} cannot be multiplied")
    learned_bias = c is not None and not call.depends(c) and c.count == features
    if call.depends(a) and not call.depends(b):
        folded = learned_bias and holds_batch_norm(call)
        attrs: dict[str, Any] = {"features": features, "bias": learned_bias and not folded}
        y = call.emit("linear", [a], attrs, weight=b)
        if folded:
            y = call.emit("batch_norm", [y])
        elif c is not None and not learned_bias:
            y = call.emit("add", [y, c])
    else:
        if flipped:
            b = call.emit("permute", [b], {"dims": (1, 0)})
        y = call.emit("matmul", [a, b])
        if c is not None:
            y = call.emit("add", [y, c])
    call.put(y)


@handles("MatMul")
def matmul(call: Call) -> None:
    """A matrix product; one with a stored matrix is a linear layer, with the sum that follows."""
    _product(call, call.need(0), call.need(1))


@handles("MatMulInteger")
def matmul_integer(call: Call) -> None:
    """A product of quantised matrices."""
    _product(call, call.need(0), call.need(1), dtype="int32")


@handles("QLinearMatMul")
def quantised_matmul(call: Call) -> None:
    """A product with scales and zero points, which are no part of the graph."""
    zero = call.get(7)
    _product(call, call.need(0), call.need(3), dtype=zero.dtype if zero is not None else "uint8")


def _product(call: Call, a: Value, b: Value, dtype: str | None = None) -> None:
    if len(b.shape) != 2 or call.depends(b) or not call.depends(a):
        call.put(call.emit("matmul", [a, b], dtype=dtype))
        return
    if not a.shape or a.shape[-1] != b.shape[0]:
        raise GraphError(f"matrices of shapes {a.shape} and {b.shape} cannot be multiplied")
    features = b.shape[1]
    total = _sum_with_bias(call, features)
    attrs: dict[str, Any] = {"features": features, "bias": total is not None}
    y = call.emit("linear", [a], attrs, weight=b, dtype=dtype)
    call.put(y)
    if total is not None:
        total.put(y)
        call.writer.merged.add(id(total.node))


def _sum_with_bias(call: Call, features: int) -> Call | None:
    """The addition of a bias that alone reads the result of a product."""
    writer = call.writer
    out = call.node.outputs[0]
    reader = writer.only_reader(out)
    if reader is None or reader.op != "Add" or reader.domain or len(reader.inputs) != 2:
        return None
    bias = writer.values.get(reader.inputs[0 if reader.inputs[1] == out else 1])
    if bias is None or writer.depends(bias) or not bias.shape or not reader.outputs:
        return None
    fits = bias.shape[-1] == features == bias.count and is_float(bias.dtype)
    return Call(writer, reader) if fits and len(bias.shape) == 1 else None


# -- by position --------------------------------------------------------------------------------


@handles("Gather")
def gather(call: Call) -> None:
    """A choice along one axis: an embedding, an index, or a selection."""
    data, indices = call.need(0), call.need(1)
    rank = len(data.shape)
    axis = axis_of(call.node.int("axis", 0), rank)
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    if call.depends(indices) and not call.depends(data) and rank == 2 and not axis:
        attrs: dict[str, Any] = {"entries": data.shape[0], "features": data.shape[1]}
        call.put(call.emit("embedding", [indices], attrs, weight=data, dtype=data.dtype))
        return
    number = indices.number
    if number is not None and not indices.shape:
        index = int(number)
        if not -data.shape[axis] <= index < data.shape[axis]:
            raise GraphError(f"index {index} lies outside an axis of size {data.shape[axis]}")
        spec = ((axis, index % data.shape[axis], None, 0),)
        call.put(call.emit("slice", [data], {"spec": spec}, shape=shape))
        return
    operands = [data, indices] if call.depends(indices) else [data]
    call.put(call.emit("gather", operands, {"function": "index_select"}, shape=shape))


@handles("Einsum")
def einsum(call: Call) -> None:
    """Einstein summation."""
    operands = call.given()
    equation = call.node.text("equation").replace(" ", "")
    shape = einsum_shape(equation, [value.shape for value in operands])
    call.put(call.emit("einsum", operands, {"equation": equation}, shape=shape))


def einsum_shape(equation: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a summation's result.

    Raises:
        GraphError: if equation and operands do not fit each other.
    """
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes) or len(equation) > 1000:
        raise GraphError(f"equation {equation!r:.200} does not fit {len(shapes)} operands")
    sizes: dict[str, int] = {}
    lead: tuple[int, ...] = ()
    for term, shape in zip(terms, shapes, strict=True):
        before, dots, after = term.partition("...")
        spare = len(shape) - len(before) - len(after)
        if spare < 0 or (spare and not dots):
            raise GraphError(f"equation {equation!r:.200} does not fit an operand of {shape}")
        wide = shape[len(before) : len(before) + spare]
        lead = _wider(lead, wide)
        letters = zip(
            before + after, shape[: len(before)] + shape[len(before) + spare :], strict=True
        )
        for letter, size in letters:
            if sizes.setdefault(letter, size) != size and 1 not in (size, sizes[letter]):
                raise GraphError(f"index {letter!r} of {equation!r:.200} has two sizes")
            sizes[letter] = max(size, sizes[letter])
    if not arrow:
        right = "..." + "".join(sorted(x for x in sizes if left.count(x) == 1))
    head, dots, tail = right.partition("...")
    if any(letter not in sizes for letter in head + tail):
        raise GraphError(f"the result of equation {equation!r:.200} has an index that is not read")
    middle = lead if dots else ()
    return (*(sizes[x] for x in head), *middle, *(sizes[x] for x in tail))


def _wider(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return broadcast(a, b) if a and b else a or b
