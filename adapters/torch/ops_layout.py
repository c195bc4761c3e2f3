"""Handlers of joining, reshaping, permuting, repeating and padding."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from .calls import Call
from .recorder import Recorder
from .registry import handles, handles_attributes
from .values import Value, set_value
from .writer import Attrs

# -- joining --------------------------------------------------------------------------------


def join(r: Recorder, call: Call, op: str, tensors: Sequence[Tensor], dim: int) -> Any:
    """Record a concatenation; a single tensor is only copied."""
    if all(r.value(t) is None for t in tensors):
        return call.run()
    # A tensor of shape (0,) is what torch lets a concatenation start from.
    parts = [t for t in tensors if tuple(t.shape) != (0,)] if op == "concat" else list(tensors)
    if op == "concat" and len(parts) < 2:
        out = call.run()
        value = next((v for t in parts or tensors if (v := r.value(t)) is not None), None)
        if value is not None:
            set_value(out, Value(r, value.refresh()))
        return out
    rank = parts[0].ndim + (op == "stack")
    return r.apply(call, op, parts, {"dim": dim % rank if rank else 0}, fits=rank > 0)


@handles("torch.cat torch.concat torch.concatenate")
def cat(r: Recorder, call: Call, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Concatenation."""
    return join(r, call, "concat", list(tensors), dim)


@handles("torch.stack")
def stack(r: Recorder, call: Call, tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Concatenation on a new axis."""
    return join(r, call, "stack", list(tensors), dim)


@handles("torch.hstack torch.vstack torch.dstack")
def stacks(r: Recorder, call: Call, tensors: Sequence[Tensor]) -> Any:
    """Concatenation on the axis that the name stands for."""
    dim = {"hstack": 1, "vstack": 0, "dstack": 2}[call.name]
    if any(t.ndim <= max(dim, 1) for t in tensors):
        return r.opaque(call, call.run())
    return join(r, call, "concat", list(tensors), dim)


# -- reshaping ------------------------------------------------------------------------------


def reshaped(r: Recorder, call: Call, input: Tensor) -> Any:
    """Record a call that keeps the elements and their order."""
    out = call.run()
    if not isinstance(out, Tensor):
        return r.opaque(call, out)
    shape = tuple(out.shape)
    if shape == tuple(input.shape) and out.dtype == input.dtype:
        return r.alias(out, input)
    if out.dtype != input.dtype or prod(shape) != prod(input.shape):
        return r.opaque(call, out)
    return r.view(out, input, "reshape", {"shape": shape})


@handles(
    "reshape reshape_as view_as flatten unflatten squeeze squeeze_ unsqueeze unsqueeze_ ravel "
    "atleast_1d atleast_2d atleast_3d"
)
def reshape(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Another shape for the same elements."""
    if call.writes:
        node = r.node(input)
        out = call.run()
        if node is None:
            return out
        shape = tuple(out.shape)
        set_value(out, Value(r, r.emit("reshape", (node,), {"shape": shape}, shape)))
        return out
    return reshaped(r, call, input)


@handles("Tensor.view")
def view(r: Recorder, call: Call, input: Tensor, *size: Any, **kwargs: Any) -> Any:
    """Another shape, or another data type of the same width."""
    if kwargs.get("dtype") is not None or (size and isinstance(size[0], torch.dtype)):
        return r.opaque(call, call.run())
    return reshaped(r, call, input)


def permuted(r: Recorder, out: Tensor, source: Tensor, dims: Sequence[int]) -> Tensor:
    """Record a change of the order of the axes."""
    order = tuple(d % source.ndim for d in dims)
    if order == tuple(range(source.ndim)):
        return r.alias(out, source)
    return r.view(out, source, "permute", {"dims": order})


@handles("permute")
def permute(r: Recorder, call: Call, input: Tensor, *dims: Any, **kwargs: Any) -> Any:
    """The axes in another order."""
    given = kwargs.get("dims", dims)
    order = given[0] if len(given) == 1 and isinstance(given[0], Sequence) else given
    return permuted(r, call.run(), input, order)


@handles("transpose swapaxes swapdims")
def transpose(
    r: Recorder, call: Call, input: Tensor, dim0: Any = 0, dim1: Any = 1, **kw: Any
) -> Any:
    """Two axes exchanged."""
    out = call.run()
    order = list(range(input.ndim))
    a, b = kw.get("axis0", dim0), kw.get("axis1", dim1)
    order[a], order[b] = order[b], order[a]
    return permuted(r, out, input, order)


@handles("t adjoint")
@handles_attributes("mT H mH")
def transpose_last(r: Recorder, call: Call, input: Tensor, *_: Any) -> Any:
    """The transposed matrix, or matrices."""
    out = call.run()
    order = list(range(input.ndim))
    return permuted(r, out, input, [*order[:-2], *reversed(order[-2:])])


@handles_attributes("T")
def transpose_all(r: Recorder, call: Call, input: Tensor, *_: Any) -> Any:
    """All axes in reverse order."""
    return permuted(r, call.run(), input, range(input.ndim)[::-1])


@handles("movedim moveaxis")
def movedim(r: Recorder, call: Call, input: Tensor, source: Any, destination: Any) -> Any:
    """Some axes moved to other places."""
    out, rank = call.run(), input.ndim
    origins = [d % rank for d in ((source,) if isinstance(source, int) else source)]
    targets = [d % rank for d in ((destination,) if isinstance(destination, int) else destination)]
    order: list[int | None] = [None] * rank
    for origin, target in zip(origins, targets, strict=True):
        order[target] = origin
    rest = iter(d for d in range(rank) if d not in origins)
    return permuted(r, out, input, [next(rest) if d is None else d for d in order])


@handles("expand expand_as broadcast_to")
def expand(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Axes of size one repeated without copying."""
    out = call.run()
    shape = tuple(out.shape)
    if shape == tuple(input.shape):
        return r.alias(out, input)
    return r.view(out, input, "expand", {"shape": shape})


@handles("Tensor.repeat tile")
def repeat(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Copies along some axes, read off the result."""
    node = r.node(input)
    out = call.run()
    if node is None:
        return out
    before = (1,) * (out.ndim - input.ndim) + tuple(input.shape)
    repeats = tuple(a // b if b else 1 for a, b in zip(out.shape, before, strict=True))
    index = r.emit("repeat", (node,), {"repeats": repeats}, tuple(out.shape))
    return r.bind(call, out, index)


@handles("roll")
def roll(r: Recorder, call: Call, input: Tensor, shifts: Any, dims: Any = ()) -> Any:
    """A cyclic shift."""
    attrs: Attrs = {
        "shifts": (shifts,) if isinstance(shifts, int) else tuple(shifts),
        "dims": tuple(d % input.ndim for d in ((dims,) if isinstance(dims, int) else dims)),
    }
    return r.apply(call, "roll", (input,), attrs)


@handles("nn.pad F.pad")
def pad(
    r: Recorder,
    call: Call,
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> Any:
    """Padding, last axis first as in torch."""
    out = call.run()
    node = r.node(input)
    if node is None:
        return out
    if not any(pad):
        set_value(out, Value(r, node))
        return out
    attrs: Attrs = {
        "padding": tuple(map(int, pad)),
        "mode": mode,
        "value": 0.0 if value is None else float(value),
    }
    return r.bind(call, out, r.emit("pad", (node,), attrs, tuple(out.shape)))
