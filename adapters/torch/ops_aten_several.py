"""Handlers of ATen operators that return statistics beside their result.

Decomposed programs call them, and use the result alone.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .calls import Call
from .ops_activations import activation, dropout
from .ops_norms import batch_norm, group_norm, layer_norm, rms_norm
from .ops_products import attention
from .ops_weighted import embedding
from .recorder import Recorder
from .registry import handles


class _First(Call):
    """A call of which only the first of several results is wanted.

    The recorder takes it for one that returns a single tensor; afterwards :meth:`whole` has
    all results in their places.
    """

    __slots__ = ("others",)

    def __init__(self, call: Call) -> None:
        super().__init__(call.function, call.args, call.kwargs, call.writes)
        self.others: tuple[Any, ...] | None = None

    def run(self) -> Any:
        """Make the call; returns its first result."""
        first, *others = super().run()
        self.others = tuple(others)
        return first

    def whole(self, first: Any) -> tuple[Any, ...]:
        """All results, ``first`` among them; statistics for training are left out."""
        if self.others is None:  # the recorder knew the first without making the call
            self.others = (None,) * (len(self.function._schema.returns) - 1)
        return (first, *self.others)


@handles("aten.embedding_bag aten._embedding_bag aten._embedding_bag_forward_only")
def embedding_bag(
    r: Recorder,
    call: Call,
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    *_: Any,
    **__: Any,
) -> Any:
    """A table whose vectors are summed or averaged over each bag."""
    first = _First(call)
    name = ("sum", "mean", "max")[mode]
    return first.whole(embedding(r, first, indices, weight, mode=name))


@handles("aten._native_batch_norm_legit_no_training")
def batch_norm_no_training(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    momentum: float,
    eps: float,
) -> Any:
    """Batch normalisation of a decomposed program."""
    first = _First(call)
    out = batch_norm(r, first, input, running_mean, running_var, weight, bias, eps=eps)
    return first.whole(out)


@handles(
    "aten.native_batch_norm aten._native_batch_norm_legit aten._native_batch_norm_legit_functional "
    "aten._batch_norm_no_update aten._batch_norm_with_update "
    "aten._batch_norm_with_update_functional aten.cudnn_batch_norm"
)
def native_batch_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    *rest: Any,
) -> Any:
    """Batch normalisation of a program exported in training mode."""
    first = _First(call)
    means: list[Any] = [t for t in rest if isinstance(t, Tensor)] or [None, None]
    out = batch_norm(r, first, input, means[0], means[1], weight, bias, eps=rest[-1])
    if isinstance(out, Tensor) and first.others is None:
        first.run()  # its new statistics are results as well
    return first.whole(out)


@handles("aten.native_layer_norm")
def native_layer_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Any:
    """Layer normalisation of a decomposed program."""
    first = _First(call)
    return first.whole(layer_norm(r, first, input, normalized_shape, weight, bias, eps))


@handles("aten.native_group_norm")
def native_group_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    n: int,
    c: int,
    hw: int,
    group: int,
    eps: float,
) -> Any:
    """Group normalisation of a decomposed program."""
    first = _First(call)
    return first.whole(group_norm(r, first, input, group, weight, bias, eps))


@handles("aten._fused_rms_norm")
def fused_rms_norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    eps: float | None,
) -> Any:
    """Root-mean-square normalisation of a decomposed program."""
    first = _First(call)
    return first.whole(rms_norm(r, first, input, normalized_shape, weight, eps))


@handles("aten._scaled_dot_product_flash_attention_for_cpu")
def cpu_attention(
    r: Recorder,
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> Any:
    """Attention by the kernel of CPUs."""
    first = _First(call)
    return first.whole(
        attention(r, first, query, key, value, attn_mask, is_causal=is_causal, scale=scale)
    )


@handles("aten._scaled_dot_product_flash_attention")
def flash_attention(
    r: Recorder,
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *_: Any,
    scale: float | None = None,
    **__: Any,
) -> Any:
    """Attention by the flash kernel."""
    first = _First(call)
    return first.whole(attention(r, first, query, key, value, is_causal=is_causal, scale=scale))


@handles("aten._scaled_dot_product_efficient_attention aten._scaled_dot_product_cudnn_attention")
def efficient_attention(
    r: Recorder,
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: Tensor | None,
    compute_log_sumexp: bool,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *_: Any,
    scale: float | None = None,
) -> Any:
    """Attention by the kernels that save memory."""
    first = _First(call)
    return first.whole(
        attention(r, first, query, key, value, attn_bias, is_causal=is_causal, scale=scale)
    )


@handles("aten.log_sigmoid_forward")
def log_sigmoid(r: Recorder, call: Call, input: Tensor) -> Any:
    """Logarithm of the sigmoid."""
    first = _First(call)
    return first.whole(activation(r, first, "log_sigmoid", input))


@handles("aten.native_dropout")
def native_dropout(r: Recorder, call: Call, input: Tensor, p: float, train: bool | None) -> Any:
    """Dropout with its mask."""
    first = _First(call)
    return first.whole(dropout(r, first, input, p))
