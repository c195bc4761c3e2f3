"""Handlers of convolutions, linear layers and embeddings."""

from collections.abc import Callable, Sequence
from typing import Any

from gennape_plugin.core.ops import AttrValue
from torch import Tensor
from torch.nn import functional as F

from .calls import Call
from .recorder import Recorder
from .registry import handles


def sizes(value: Any, rank: int) -> tuple[int, ...]:
    """An integer, or a sequence of one or ``rank`` integers, as ``rank`` integers."""
    if isinstance(value, Sequence):
        return tuple(map(int, value)) if len(value) == rank else (int(value[0]),) * rank
    return (int(value),) * rank


def _conv_padding(padding: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> AttrValue:
    if not isinstance(padding, str):
        return sizes(padding, len(kernel))
    if padding == "valid":
        return (0,) * len(kernel)
    spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    # An odd span cannot be padded evenly: only the name says where the extra pixel goes.
    return "same" if any(s % 2 for s in spans) else tuple(s // 2 for s in spans)


def _fits(vector: Tensor | None, size: int, input: Tensor) -> bool:
    return vector is None or (vector.dtype == input.dtype and tuple(vector.shape) == (size,))


@handles("torch.conv1d torch.conv2d torch.conv3d")
def conv(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """A convolution; one whose kernel is not learned reads the kernel too."""
    shape = weight.shape
    kernel = tuple(shape[2:])
    rank = len(kernel)
    if r.depends(bias):
        rest = (stride, padding, dilation, groups)
        return r.expand(_biased, getattr(F, f"conv{rank}d"), bias, rank, input, weight, *rest)
    learned = r.is_learned(weight)
    spread = sizes(dilation, rank)
    return r.apply(
        call,
        "conv",
        (input,) if learned else (input, weight),
        {
            "channels": shape[0],
            "kernel": kernel,
            "stride": sizes(stride, rank),
            "padding": _conv_padding(padding, kernel, spread),
            "dilation": spread,
            "groups": groups,
            "bias": r.is_learned(bias),
        },
        weight=weight if learned else None,
        fits=(
            input.ndim == rank + 2
            and input.shape[1] == shape[1] * groups
            and input.dtype == weight.dtype
            and _fits(bias, shape[0], input)
        ),
    )


def _biased(
    function: Callable[..., Tensor],
    bias: Tensor,
    rank: int,
    input: Tensor,
    weight: Tensor,
    *rest: Any,
) -> Tensor:
    """A convolution and, apart from it, the addition of a bias that depends on an input."""
    return function(input, weight, None, *rest) + bias.view(-1, *[1] * rank)


@handles("torch.conv_transpose1d torch.conv_transpose2d torch.conv_transpose3d")
def conv_transpose(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """A transposed convolution; its weight is ``(channels in, channels out / groups, ...)``."""
    kernel = tuple(weight.shape[2:])
    rank = len(kernel)
    if r.depends(bias):
        rest = (stride, padding, output_padding, groups, dilation)
        return r.expand(
            _biased, getattr(F, f"conv_transpose{rank}d"), bias, rank, input, weight, *rest
        )
    learned = r.is_learned(weight)
    return r.apply(
        call,
        "conv_transpose",
        (input,) if learned else (input, weight),
        {
            "channels": weight.shape[1] * groups,
            "kernel": kernel,
            "stride": sizes(stride, rank),
            "padding": sizes(padding, rank),
            "output_padding": sizes(output_padding, rank),
            "dilation": sizes(dilation, rank),
            "groups": groups,
            "bias": r.is_learned(bias),
        },
        weight=weight if learned else None,
        fits=False,
    )


@handles("nn.linear")
def linear(
    r: Recorder, call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Any:
    """A fully connected layer; a product where its weight is not learned."""
    if weight.ndim != 2 or not r.is_learned(weight) or r.depends(bias):
        return r.expand(_product, input, weight, bias)
    features = weight.shape[0]
    return r.apply(
        call,
        "linear",
        (input,),
        {"features": features, "bias": r.is_learned(bias)},
        weight=weight,
        fits=(
            input.ndim > 0
            and input.shape[-1] == weight.shape[1]
            and input.dtype == weight.dtype
            and _fits(bias, features, input)
        ),
    )


def _product(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = input @ weight.t()
    return product if bias is None else product + bias


@handles("torch.bilinear F.bilinear")
def bilinear(
    r: Recorder,
    call: Call,
    input1: Tensor,
    input2: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
) -> Any:
    """A bilinear layer; another operation where its weights are not learned."""
    if not r.is_learned(weight) or r.depends(bias):
        return r.opaque(call, call.run())
    attrs: dict[str, AttrValue] = {"features": weight.shape[0], "bias": r.is_learned(bias)}
    return r.apply(call, "bilinear", (input1, input2), attrs, weight=weight, fits=False)


@handles("F.embedding")
def embedding(
    r: Recorder, call: Call, input: Tensor, weight: Tensor, *_: Any, mode: Any = None, **__: Any
) -> Any:
    """A table of vectors, one for each entry or, with a mode, for each bag of entries.

    Looking up what is not learned is another operation.
    """
    if not r.is_learned(weight):
        return r.opaque(call, call.run())
    attrs: dict[str, AttrValue] = {
        "entries": weight.shape[0],
        "features": weight.shape[1],
        "mode": mode,
    }
    return r.apply(call, "embedding", (input,), attrs, weight=weight, fits=False)


@handles("torch.embedding")
def aten_embedding(
    r: Recorder, call: Call, weight: Tensor, indices: Tensor, *_: Any, **__: Any
) -> Any:
    """The same in the argument order of ``torch.embedding``."""
    return embedding(r, call, indices, weight)


@handles("F.embedding_bag")
def embedding_bag(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    *_: Any,
    **__: Any,
) -> Any:
    """A table whose vectors are summed or averaged over each bag, without weights of their own."""
    if per_sample_weights is not None:
        return r.opaque(call, call.run())
    return embedding(r, call, input, weight, mode=mode)
