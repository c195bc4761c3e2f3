"""Handlers of pools and of resampling."""

from collections.abc import Sequence
from typing import Any

from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .ops_weighted import sizes
from .recorder import Recorder
from .registry import handles


def _windows(
    rank: int, kernel: Any, stride: Any, padding: Any, ceil_mode: bool
) -> dict[str, AttrValue]:
    size = sizes(kernel, rank)
    given = stride is not None and stride != () and stride != []
    return {
        "kernel": size,
        "stride": sizes(stride, rank) if given else size,
        "padding": sizes(padding, rank),
        "ceil_mode": bool(ceil_mode),
    }


def _max_pool(rank: int) -> None:
    @handles(f"max_pool{rank}d F.max_pool{rank}d_with_indices aten.max_pool{rank}d_with_indices")
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        attrs = _windows(rank, kernel_size, stride, padding, ceil_mode)
        attrs["dilation"] = sizes(dilation, rank)
        if return_indices or "indices" in call.name:
            return r.apply_several(call, "max_pool", input, attrs)
        return r.apply(call, "max_pool", (input,), attrs)


def _avg_pool(rank: int) -> None:
    @handles(f"avg_pool{rank}d")
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if divisor_override is not None:
            return r.opaque(call, call.run())
        attrs = _windows(rank, kernel_size, stride, padding, ceil_mode)
        attrs["count_include_pad"] = bool(count_include_pad)
        return r.apply(call, "avg_pool", (input,), attrs)


def _adaptive(rank: int) -> None:
    def size_of(input: Tensor, output_size: Any) -> tuple[int, ...]:
        given = (output_size,) * rank if isinstance(output_size, int | None) else output_size
        if len(given) == 1:
            given = tuple(given) * rank
        spatial = input.shape[input.ndim - rank :]
        return tuple(s if g is None else int(g) for g, s in zip(given, spatial, strict=True))

    @handles(f"adaptive_avg_pool{rank}d aten._adaptive_avg_pool{rank}d")
    def average(r: Recorder, call: Call, input: Tensor, output_size: Any) -> Any:
        size = size_of(input, output_size)
        return r.apply(call, "adaptive_avg_pool", (input,), {"size": size})

    @handles(f"adaptive_max_pool{rank}d F.adaptive_max_pool{rank}d_with_indices")
    def maximum(
        r: Recorder, call: Call, input: Tensor, output_size: Any, return_indices: bool = False
    ) -> Any:
        attrs: dict[str, AttrValue] = {"size": size_of(input, output_size)}
        if return_indices or "indices" in call.name:
            return r.apply_several(call, "adaptive_max_pool", input, attrs)
        return r.apply(call, "adaptive_max_pool", (input,), attrs)

    @handles(f"aten.adaptive_max_pool{rank}d")
    def aten_maximum(r: Recorder, call: Call, input: Tensor, output_size: Any) -> Any:
        attrs: dict[str, AttrValue] = {"size": size_of(input, output_size)}
        return r.apply_several(call, "adaptive_max_pool", input, attrs)


def _lp_pool(rank: int) -> None:
    @handles(f"F.lp_pool{rank}d")
    def handler(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
        return r.apply(call, "lp_pool", (input,), {}, fits=False)


for _rank in (1, 2, 3):
    _max_pool(_rank)
    _avg_pool(_rank)
    _adaptive(_rank)
    _lp_pool(_rank)


def _factors(given: Any, rank: int) -> tuple[float, ...]:
    if given is None:
        return ()
    return tuple(map(float, given)) if isinstance(given, Sequence) else (float(given),) * rank


@handles("F.interpolate F.upsample")
def interpolate(
    r: Recorder,
    call: Call,
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resampling to another size, which is read off the result.

    A size says less than a factor that leads to a fraction of a pixel, and than smoothing: they
    are a part of the mode's name, which then is none that is rebuilt.
    """
    node = r.node(input)
    out = call.run()
    if node is None:
        return out
    if out is input or tuple(out.shape) == tuple(input.shape):
        return r.alias(out, input)
    factors = _factors(scale_factor, input.ndim - 2)
    exact = all(
        n * factor == m
        for n, m, factor in zip(input.shape[2:], out.shape[2:], factors, strict=False)
    )
    if antialias:
        mode += ", antialiased"
    if not exact and not recompute_scale_factor:
        mode += ", scaled"
    attrs: dict[str, AttrValue] = {
        "size": tuple(out.shape[2:]),
        "mode": mode,
        "align_corners": align_corners,
    }
    return r.bind(call, out, r.emit("interpolate", (node,), attrs, tuple(out.shape)))


@handles("pixel_shuffle")
def pixel_shuffle(r: Recorder, call: Call, input: Tensor, upscale_factor: int) -> Any:
    """Channels to space."""
    return r.apply(call, "pixel_shuffle", (input,), {"factor": upscale_factor}, fits=False)


@handles("pixel_unshuffle")
def pixel_unshuffle(r: Recorder, call: Call, input: Tensor, downscale_factor: int) -> Any:
    """Space to channels."""
    return r.apply(call, "pixel_unshuffle", (input,), {"factor": downscale_factor}, fits=False)


@handles("channel_shuffle nn.channel_shuffle")
def channel_shuffle(r: Recorder, call: Call, input: Tensor, groups: int) -> Any:
    """Channels of all groups interleaved."""
    return r.apply(call, "channel_shuffle", (input,), {"groups": groups}, fits=False)
