"""Handlers of quantised layers, which keep weight and bias packed; scales are no part of a graph.

A quantised layer is recorded as the layer that it computes, with as many parameters.
"""

from collections.abc import Sequence
from typing import Any

import torch
from gennape_plugin.core.ops import AttrValue
from torch import Tensor, nn

from .calls import Call
from .ops_casts import recast
from .recorder import Recorder
from .registry import Handler, handles
from .values import Value, set_value


@handles(
    "torch.quantize_per_tensor torch.quantize_per_tensor_dynamic torch.quantize_per_channel "
    "torch.dequantize Tensor.dequantize"
)
def requantise(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Real numbers as small integers, or back."""
    out = call.run()
    if isinstance(out, Tensor) and out.dtype == input.dtype:  # torch keeps no quantised meta
        return r.alias(out, input)
    return recast(r, out, input)


def _unpacked(r: Recorder, packed: Any, unpack: Any) -> tuple[Tensor, bool]:
    """A weight of the shape of a packed one, the same at each use, and whether it has a bias."""
    known = r.packed.get(id(packed))
    if known is None:
        weight, bias = unpack(packed)
        shaped = nn.Parameter(torch.empty(weight.shape, device="meta"), requires_grad=False)
        known = r.packed[id(packed)] = packed, shaped, bias is not None
    return known[1], known[2]


def _then_relu(r: Recorder, out: Any, fused: bool) -> Any:
    node = r.node(out) if fused else None
    if node is not None:
        set_value(out, Value(r, r.emit("relu", (node,), {})))
    return out


def _conv(rank: int, fused: bool) -> Handler:
    unpack = getattr(torch.ops.quantized, f"conv{rank}d_unpack")

    def handler(r: Recorder, call: Call, qx: Tensor, packed: Any, *_: Any, **__: Any) -> Any:
        weight, bias = _unpacked(r, packed, unpack)
        settings = {
            name: tuple(getattr(packed, name)()[-rank:])
            for name in ("stride", "padding", "dilation")
        }
        attrs = {
            "channels": weight.shape[0],
            "kernel": tuple(weight.shape[2:]),
            **settings,
            "groups": packed.groups(),
            "bias": bias,
        }
        out = r.apply(call, "conv", (qx,), attrs, weight=weight, fits=False)
        return _then_relu(r, out, fused)

    return handler


def _linear(fused: bool) -> Handler:
    def handler(r: Recorder, call: Call, x: Tensor, packed: Any, *_: Any, **__: Any) -> Any:
        weight, bias = _unpacked(r, packed, torch.ops.quantized.linear_unpack)
        attrs: dict[str, AttrValue] = {"features": weight.shape[0], "bias": bias}
        out = r.apply(call, "linear", (x,), attrs, weight=weight, fits=False)
        return _then_relu(r, out, fused)

    return handler


def _binary(op: str, fused: bool) -> Handler:
    def handler(r: Recorder, call: Call, qa: Tensor, qb: Tensor, *_: Any, **__: Any) -> Any:
        return _then_relu(r, r.apply(call, op, (qa, qb), {}, fits=False), fused)

    return handler


@handles("quantized.cat")
def cat(r: Recorder, call: Call, qx: Sequence[Tensor], dim: int, *_: Any, **__: Any) -> Any:
    """Concatenation, with a scale of its own."""
    return r.apply(call, "concat", tuple(qx), {"dim": dim % qx[0].ndim}, fits=False)


for _relu in (False, True):
    _end = "_relu" if _relu else ""
    for _rank in (1, 2, 3):
        handles(f"quantized.conv{_rank}d{_end}")(_conv(_rank, _relu))
    handles(f"quantized.linear{_end} quantized.linear{_end}_dynamic")(_linear(_relu))
    for _op in ("add", "mul"):
        handles(f"quantized.{_op}{_end}")(_binary(_op, _relu))
