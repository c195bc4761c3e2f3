"""Handlers of slices, gathers and writes into parts of a tensor."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from .calls import Call, leaves
from .recorder import Recorder
from .registry import handles

#: ``(axis, start, stop, step)``; ``(axis, index, None, 0)`` removes the axis.
Cut = tuple[int, int, int | None, int]


def cut(r: Recorder, out: Tensor, source: Tensor, spec: Sequence[Cut]) -> Tensor:
    """Record ``out``, the part of ``source`` that ``spec`` describes.

    Args:
        r: The recorder.
        out: The part.
        source: The whole.
        spec: ``(axis, start, stop, step)`` of the axes that change; ``(axis, i, None, 0)``
            for an index, which removes the axis.
    """
    if not spec:
        return r.alias(out, source)
    return r.view(out, source, "slice", {"spec": tuple(spec)})


def pieces(r: Recorder, call: Call, source: Tensor, dim: int) -> Any:
    """Record the pieces that a call has cut ``source`` into along one axis."""
    outs = call.run()
    if r.value(source) is None:
        return outs
    axis, start, results = dim % source.ndim, 0, []
    for out in outs:
        stop = start + out.shape[axis]
        whole = stop - start == source.shape[axis]
        results.append(cut(r, out, source, [] if whole else [(axis, start, stop, 1)]))
        start = stop
    return type(outs)(results) if isinstance(outs, list) else tuple(results)


@handles("split split_with_sizes chunk tensor_split unsafe_chunk unsafe_split")
def split(
    r: Recorder, call: Call, input: Tensor, _sections: Any = None, dim: int = 0, **_: Any
) -> Any:
    """Consecutive pieces along one axis."""
    return pieces(r, call, input, dim)


@handles("unbind")
def unbind(r: Recorder, call: Call, input: Tensor, dim: int = 0) -> Any:
    """Every position of one axis."""
    outs = call.run()
    if r.value(input) is None:
        return outs
    axis = dim % input.ndim
    return tuple(cut(r, out, input, [(axis, i, None, 0)]) for i, out in enumerate(outs))


@handles("narrow")
def narrow(r: Recorder, call: Call, input: Tensor, dim: int, start: Any, length: int) -> Any:
    """A range along one axis."""
    out = call.run()
    axis = dim % input.ndim
    if isinstance(start, Tensor):
        return r.opaque(call, out)
    start = start % input.shape[axis] if start < 0 else start
    whole = length == input.shape[axis]
    return cut(r, out, input, [] if whole else [(axis, start, start + length, 1)])


@handles("aten.slice")
def aten_slice(
    r: Recorder,
    call: Call,
    input: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    """``x[start:end:step]`` along one axis, as exported programs write it."""
    axis = dim % input.ndim
    basic = basic_spec(input, (*(slice(None),) * axis, slice(start, end, step)))
    return cut(r, call.run(), input, basic[0] if basic is not None else [])


@handles("select")
def select(r: Recorder, call: Call, input: Tensor, dim: int, index: int) -> Any:
    """One position of one axis."""
    out = call.run()
    axis = dim % input.ndim
    return cut(r, out, input, [(axis, index % input.shape[axis], None, 0)])


def basic_spec(source: Tensor, items: tuple[Any, ...]) -> tuple[list[Cut], bool] | None:
    """The cuts of an index and whether it adds axes; ``None`` where it reads tensors or lists."""
    used = sum(1 for item in items if item is not None and item is not Ellipsis)
    spec: list[Cut] = []
    axis, adds_axes = 0, False
    for item in items:
        if item is None:
            adds_axes = True
        elif item is Ellipsis:
            axis += source.ndim - used
        elif isinstance(item, slice):
            size = source.shape[axis]
            try:
                start, stop, step = item.indices(size)
            except TypeError:  # bounds that are tensors
                return None
            stop = max(start, stop)
            if (start, stop, step) != (0, size, 1):
                spec.append((axis, start, stop, step))
            axis += 1
        elif isinstance(item, int) and not isinstance(item, bool):
            spec.append((axis, item % source.shape[axis], None, 0))
            axis += 1
        else:
            return None
    return spec, adds_axes


@handles("Tensor.__getitem__")
def getitem(r: Recorder, call: Call, input: Tensor, index: Any) -> Any:
    """``x[...]``: a slice, a reshape for new axes, or a gather by other tensors."""
    out = call.run()
    items = index if isinstance(index, tuple) else (index,)
    basic = basic_spec(input, items) if r.value(input) is not None else None
    if basic is None:
        flat = [input, *leaves(items)]
        if any(isinstance(t, Tensor) and t.dtype == torch.bool for t in flat[1:]):
            r.warn_of_data(call, flat[1:])  # a mask decides on the shape
        return gather(r, call, "index", out, flat)
    spec, adds_axes = basic
    if not adds_axes:
        return cut(r, out, input, spec)
    part = input
    if spec:
        part = cut(r, input[tuple(item for item in items if item is not None)], input, spec)
    return r.view(out, part, "reshape", {"shape": tuple(out.shape)})


@handles("Tensor.__setitem__")
def setitem(r: Recorder, call: Call, input: Tensor, index: Any, value: Any) -> None:
    """``x[...] = y``: the old content with the new part in it."""
    nodes = tuple(node for t in (input, value) if (node := r.node(t)) is not None)
    call.run()
    if nodes:
        basic = basic_spec(input, index if isinstance(index, tuple) else (index,))
        spec = None if basic is None else tuple(basic[0])
        node = r.emit("scatter", nodes, {"spec": spec}, tuple(input.shape))
        r.bind(call, input, node, writes=True)


@handles("copy_")
def copy_(r: Recorder, call: Call, input: Tensor, other: Any, non_blocking: bool = False) -> Any:
    """Overwrite a tensor with another one."""
    node = r.node(other)
    call.run()
    if node is None:
        return _overwritten(r, call, input)
    shape = tuple(input.shape)
    if r.node_shape(node) != shape:
        node = r.emit("expand", (node,), {"shape": shape}, shape)
    return r.bind(call, input, node, writes=True)


@handles("fill_ zero_ uniform_ normal_ random_ bernoulli_ exponential_ Tensor.set_")
def refill(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Overwrite a tensor with constants."""
    call.run()
    return _overwritten(r, call, input)


def _overwritten(r: Recorder, call: Call, input: Tensor) -> Tensor:
    if r.depends(input):
        r.bind(call, input, r.constant(input.detach()), writes=True)
    return input


# -- by position ----------------------------------------------------------------------------

_GATHERS: Final = {
    "gather": "gather take_along_dim take",
    "index_select": "index_select",
    "scatter": (
        "scatter scatter_ scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_add "
        "index_add_ index_copy index_copy_ index_fill index_fill_ index_put index_put_ "
        "masked_scatter masked_scatter_ put_ select_scatter slice_scatter diagonal_scatter"
    ),
    "repeat_interleave": "repeat_interleave",
    "flip": "flip fliplr flipud",
    "rot90": "rot90",
    "unfold": "F.unfold nn.im2col",
    "fold": "F.fold nn.col2im",
    "windows": "Tensor.unfold",
    "diagonal": "diagonal diag diag_embed",
    "one_hot": "F.one_hot",
}


def gather(r: Recorder, call: Call, function: str, out: Any, operands: Sequence[Any]) -> Any:
    """Record a choice of elements by position; constant positions are no operands."""
    nodes = tuple(node for t in operands if (node := r.node(t)) is not None)
    if not nodes:
        return out
    index = r.emit("gather", nodes, {"function": function}, tuple(out.shape))
    return r.bind(call, out, index)


def _gathers(names: str, function: str) -> None:
    @handles(names)
    def handler(r: Recorder, call: Call, *args: Any, **kwargs: Any) -> Any:
        return gather(r, call, function, call.run(), leaves((args, kwargs)))


for _function, _names in _GATHERS.items():
    _gathers(_names, _function)


@handles("F.grid_sample aten.grid_sampler aten.grid_sampler_2d aten.grid_sampler_3d")
def grid_sample(r: Recorder, call: Call, input: Tensor, grid: Tensor, *_: Any, **__: Any) -> Any:
    """Sampling at given positions."""
    rank = input.ndim - 2
    fits = rank in (2, 3) and grid.ndim == rank + 2 and grid.shape[-1] == rank
    if r.on_meta and fits and grid.shape[0] == input.shape[0] and grid.dtype == input.dtype:
        # The kernel for tensors without data takes a tenth of a second.
        out = input.new_empty((*input.shape[:2], *grid.shape[1:-1]))
    else:
        out = call.run()
    return gather(r, call, "grid_sample", out, [input, grid])


@handles("masked_select nonzero argwhere unique torch.unique_consecutive")
def by_data(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Elements whose number the data decide on."""
    r.warn_of_data(call, call.args)
    return r.apply_several(call, "gather", input, {"function": call.name})
