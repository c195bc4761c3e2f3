"""Handlers of normalisations."""

from collections.abc import Sequence
from typing import Any

from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .recorder import Recorder
from .registry import handles


def _norm(
    r: Recorder,
    call: Call,
    op: str,
    input: Tensor,
    size: tuple[int, ...],
    vectors: Sequence[Tensor | None],
    attrs: dict[str, AttrValue],
) -> Any:
    """A normalisation with learned ``vectors``; one whose vectors depend on an input is opaque."""
    if any(r.depends(v) for v in vectors):
        return r.opaque(call, call.run())
    fits = all(v is None or (tuple(v.shape) == size and v.dtype == input.dtype) for v in vectors)
    return r.apply(call, op, (input,), attrs, weight=vectors[0], fits=fits)


@handles("F.batch_norm")
def batch_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Batch normalisation."""
    shape = input.shape
    size = (shape[1],) if len(shape) > 1 else ()
    attrs: dict[str, AttrValue] = {"affine": r.is_learned(weight), "eps": float(eps)}
    return _norm(
        r, call, "batch_norm", input, size, (weight, bias, running_mean, running_var), attrs
    )


@handles("torch.batch_norm")
def aten_batch_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """The same in the argument order of ``torch.batch_norm``."""
    return batch_norm(
        r, call, input, running_mean, running_var, weight, bias, training, momentum, eps
    )


@handles("F.instance_norm")
def instance_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Instance normalisation."""
    attrs: dict[str, AttrValue] = {"affine": r.is_learned(weight), "eps": float(eps)}
    size = tuple(input.shape[1:2])
    return _norm(r, call, "instance_norm", input, size, (weight, bias), attrs)


@handles("group_norm")
def group_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """Group normalisation."""
    attrs: dict[str, AttrValue] = {
        "groups": num_groups,
        "affine": r.is_learned(weight),
        "bias": r.is_learned(bias) or not r.is_learned(weight),
        "eps": float(eps),
    }
    size = tuple(input.shape[1:2]) if input.ndim > 1 and not input.shape[1] % num_groups else ()
    return _norm(r, call, "group_norm", input, size, (weight, bias), attrs)


@handles("layer_norm")
def layer_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """Layer normalisation over the last axes."""
    size = tuple(normalized_shape)
    attrs: dict[str, AttrValue] = {
        "shape": size,
        "affine": r.is_learned(weight),
        "bias": r.is_learned(bias) or not r.is_learned(weight),
        "eps": float(eps),
    }
    if tuple(input.shape[-len(size) :]) != size:
        return call.run()  # raises torch's own error
    return _norm(r, call, "layer_norm", input, size, (weight, bias), attrs)


@handles("rms_norm")
def rms_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    """Root-mean-square normalisation over the last axes."""
    size = tuple(normalized_shape)
    attrs: dict[str, AttrValue] = {"shape": size, "affine": r.is_learned(weight), "eps": eps}
    if tuple(input.shape[-len(size) :]) != size:
        return call.run()
    return _norm(r, call, "rms_norm", input, size, (weight,), attrs)


@handles("F.local_response_norm")
def local_response_norm(
    r: Recorder, call: Call, input: Tensor, size: int, *_: Any, **__: Any
) -> Any:
    """Local response normalisation."""
    return r.apply(call, "local_response_norm", (input,), {"size": size})


@handles("F.normalize")
def normalize(
    r: Recorder,
    call: Call,
    input: Tensor,
    p: float = 2.0,
    dim: int | tuple[int, ...] = 1,
    eps: float = 1e-12,
) -> Any:
    """Division by the norm along one axis."""
    if not isinstance(dim, int):
        return r.opaque(call, call.run())
    attrs: dict[str, AttrValue] = {"p": float(p), "dim": dim % input.ndim, "eps": eps}
    return r.apply(call, "normalize", (input,), attrs)
