"""Handlers of matrix products and attention."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

import torch
from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .recorder import Recorder
from .registry import handles


@handles("matmul mm bmm mv linalg.matmul __matmul__")
def matmul(
    r: Recorder,
    call: Call,
    input: Tensor,
    other: Any = None,
    *,
    mat2: Any = None,
    vec: Any = None,
    tensor2: Any = None,
) -> Any:
    """A matrix product; one with a learned matrix is a linear layer without bias."""
    right: Tensor = next(t for t in (other, mat2, vec, tensor2) if t is not None)
    if right.ndim == 2 and r.is_learned(right) and r.depends(input):
        attrs: dict[str, AttrValue] = {"features": right.shape[1], "bias": False}
        fits = input.shape[-1] == right.shape[0] and input.dtype == right.dtype
        return r.apply(call, "linear", (input,), attrs, weight=right, fits=fits)
    return r.apply(call, "matmul", (input, right), {}, fits=input.ndim > 1 and right.ndim > 1)


@handles("Tensor.__rmatmul__")
def rmatmul(r: Recorder, call: Call, input: Tensor, other: Any) -> Any:
    """``other @ input``."""
    return r.expand(torch.matmul, other, input)


@handles("dot inner vdot linalg.vecdot")
def dot(r: Recorder, call: Call, input: Tensor, other: Tensor, *_: Any, **__: Any) -> Any:
    """An inner product of two vectors, or of the last axes of two tensors."""
    if input.ndim == other.ndim == 1:
        return r.apply(call, "matmul", (input, other), {}, fits=False)
    if call.name == "inner" and input.ndim and other.ndim:
        return r.expand(_contracted, input, other, ([-1], [-1]))
    return r.opaque(call, call.run())


@handles("torch.tensordot")
def tensordot(r: Recorder, call: Call, a: Tensor, b: Tensor, dims: Any = 2) -> Any:
    """A product over several axes: a matrix product between two reshapes."""
    if call.kwargs.get("out") is not None:
        return r.opaque(call, call.run())
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        dims = (list(range(-dims, 0)), list(range(dims)))
    return r.expand(_contracted, a, b, dims)


def _contracted(a: Tensor, b: Tensor, dims: Sequence[Sequence[int]]) -> Tensor:
    """The sum of products over ``dims[0]`` of ``a`` and ``dims[1]`` of ``b``."""
    over, under = ([d % t.ndim for d in some] for t, some in zip((a, b), dims, strict=True))
    kept = [d for d in range(a.ndim) if d not in over]
    rest = [d for d in range(b.ndim) if d not in under]
    shape = [a.shape[d] for d in kept] + [b.shape[d] for d in rest]
    size = math.prod(a.shape[d] for d in over)
    left = a.permute(*kept, *over).reshape(-1, size)
    return (left @ b.permute(*under, *rest).reshape(size, -1)).reshape(shape)


@handles("linalg.multi_dot chain_matmul")
def multi_dot(r: Recorder, call: Call, *tensors: Any, **__: Any) -> Any:
    """Several matrices multiplied, here from the left on."""
    if call.writes:
        return r.opaque(call, call.run())
    matrices = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    return r.expand(reduce, torch.matmul, matrices)


@handles("addbmm")
def addbmm(
    r: Recorder,
    call: Call,
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Any:
    """``beta * input + alpha * sum(batch1 @ batch2)``."""
    if call.writes:
        return r.opaque(call, call.run())
    return r.expand(lambda: _blended(input, torch.matmul(batch1, batch2).sum(dim=0), beta, alpha))


def _blended(input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """``beta * input + alpha * product``, without factors of 1, or an input that does not count."""
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


#: Names of the two factors in the three functions.
_FACTORS: Final = (("mat1", "mat2"), ("batch1", "batch2"), ("mat", "vec"))


@handles("addmm baddbmm addmv")
def addmm(
    r: Recorder,
    call: Call,
    input: Tensor,
    *factors: Tensor,
    beta: float = 1,
    alpha: float = 1,
    **named: Tensor,
) -> Any:
    """``beta * input + alpha * (left @ right)``; a linear layer where the rest is learned."""
    if call.writes:
        return r.opaque(call, call.run())
    left, right = *factors, *(named[name] for pair in _FACTORS for name in pair if name in named)
    is_linear = (
        beta == alpha == 1
        and not r.is_learned(left)
        and right.ndim == 2
        and r.is_learned(right)
        and not r.depends(input)
        and tuple(input.shape) == (right.shape[1],)
    )
    if is_linear:
        attrs: dict[str, AttrValue] = {"features": right.shape[1], "bias": True}
        fits = left.shape[-1] == right.shape[0] and left.dtype == right.dtype == input.dtype
        return r.apply(call, "linear", (left,), attrs, weight=right, fits=fits)

    return r.expand(lambda: _blended(input, torch.matmul(left, right), beta, alpha))


@handles("torch.einsum")
def einsum(r: Recorder, call: Call, *args: Any) -> Any:
    """Einstein summation, over its equation."""
    if not isinstance(args[0], str):
        return r.opaque(call, call.run())
    operands = args[1:]
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    attrs: dict[str, AttrValue] = {"equation": args[0].replace(" ", "")}
    return r.apply(call, "einsum", operands, attrs, fits=False)


@handles("nn.scaled_dot_product_attention")
def attention(
    r: Recorder,
    call: Call,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Scaled dot-product attention; a constant mask is no operand."""
    tensors = [query, key, value]
    fits = (
        query.ndim > 2
        and query.ndim == key.ndim == value.ndim
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and query.shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2]
    )
    if attn_mask is not None:
        fits = fits and attn_mask.shape[-2:] == (query.shape[-2], key.shape[-2])
        if r.node(attn_mask) is not None:
            tensors.append(attn_mask)
    attrs: dict[str, AttrValue] = {
        "causal": is_causal,
        "scale": None if scale is None else float(scale),
        "grouped": enable_gqa,
    }
    return r.apply(call, "attention", tensors, attrs, fits=fits)
