"""Handlers of copies, data types and devices."""

from typing import Any

import torch
from gennape_plugin.core.errors import CaptureError
from torch import Tensor

from .calls import Call
from .recorder import Recorder
from .registry import handles, handles_attributes
from .values import Value, set_value


@handles("contiguous clone detach detach_ alias positive")
@handles_attributes("data")
def same(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """The same values, perhaps in new memory."""
    return r.alias(call.run(), input)


@handles_attributes("real imag")
def part(r: Recorder, call: Call, input: Tensor, *_: Any) -> Any:
    """One part of complex numbers; the whole of real ones."""
    out = call.run()
    return r.alias(out, input) if out is input else r.opaque(call, out)


@handles_attributes("data", access="__set__")
def set_data(r: Recorder, call: Call, input: Tensor, other: Tensor) -> None:
    """``x.data = y``."""
    call.run()
    value = r.value(other)
    if value is not None:
        set_value(input, Value(r, value.refresh()))


@handles("float double half bfloat16 long int short char byte bool Tensor.type type_as")
def cast(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Another data type; nothing where the tensor has it already."""
    return recast(r, call.run(), input)


def recast(r: Recorder, out: Any, input: Tensor) -> Any:
    """Record a change of the data type."""
    if not isinstance(out, Tensor):
        return out
    if out.dtype == input.dtype:
        return r.alias(out, input)
    node = r.node(input)
    if node is not None:
        dtype = str(out.dtype).removeprefix("torch.")
        set_value(out, Value(r, r.emit("cast", (node,), {"dtype": dtype})))
    return out


# -- devices --------------------------------------------------------------------------------


def on_this_machine(device: Any) -> None:
    """Refuse a device that a forward asks for by name and this machine does not have.

    Raises:
        CaptureError: naming the device.
    """
    wanted = device if isinstance(device, torch.device) else torch.device(device)
    if wanted.type in ("cpu", "meta"):
        return
    available = getattr(getattr(torch, wanted.type, None), "is_available", None)
    if available is None or not available():
        raise CaptureError(
            f"forward asks for device {str(wanted)!r} by name, and this machine has none: take the "
            "device of a tensor instead (x.device), or capture on a machine that has one"
        )


@handles("Tensor.cuda Tensor.xpu Tensor.cpu")
def to_device(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Another device, which is no operation of the network."""
    on_this_machine(call.name)
    # Data cannot leave the meta device, and need not.
    return input if r.on_meta else r.alias(call.run(), input)


@handles("Tensor.to")
def to(r: Recorder, call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Another data type or device, or those of another tensor."""
    dtype: torch.dtype | None = None
    for argument in (*args[:2], *(kwargs.get(name) for name in ("device", "dtype", "other"))):
        if isinstance(argument, torch.dtype):
            dtype = argument
        elif isinstance(argument, Tensor):
            dtype = argument.dtype
        elif isinstance(argument, str | torch.device):
            on_this_machine(argument)
    if not r.on_meta:
        return recast(r, call.run(), input)
    return input if dtype is None else recast(r, input.to(dtype), input)
