"""Handlers of reductions over axes."""

from collections.abc import Sequence
from typing import Any, Final

from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .ops_elementwise import binary
from .recorder import Recorder
from .registry import handles

_REDUCTIONS: Final = {
    "sum": "sum",
    "prod": "prod",
    "max": "amax",
    "min": "amin",
    "logsumexp": "logsumexp special.logsumexp",
    "all": "all",
    "any": "any",
    "argmax": "argmax",
    "argmin": "argmin",
    "count_nonzero": "count_nonzero",
}
#: Their results have the data type of a floating-point operand.
_SAME_TYPE: Final = frozenset({"sum", "max", "min"})


def axes_of(dim: Any, rank: int) -> tuple[int, ...]:
    """The axes of a reduction, counted from the front; all of them where none are given."""
    if dim is None or isinstance(dim, bool) or (isinstance(dim, Sequence) and not dim):
        return tuple(range(rank))
    axes = (dim,) if isinstance(dim, int) else dim
    return tuple(sorted(axis % rank for axis in axes)) if rank else ()


@handles("mean")
def mean(
    r: Recorder,
    call: Call,
    input: Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """The mean over some axes."""
    axes = axes_of(dim, input.ndim)
    attrs: dict[str, AttrValue] = {"axes": axes, "keepdim": bool(keepdim)}
    fits = dtype is None and input.is_floating_point()
    return r.apply(call, "mean", (input,), attrs, fits=fits)


def _reduction(names: str, function: str) -> None:
    @handles(names)
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
    ) -> Any:
        attrs: dict[str, AttrValue] = {
            "function": function,
            "axes": axes_of(dim, input.ndim),
            "keepdim": bool(keepdim),
        }
        fits = function in _SAME_TYPE and dtype is None and input.is_floating_point()
        return r.apply(call, "reduce", (input,), attrs, fits=fits)


for _function, _names in _REDUCTIONS.items():
    _reduction(_names, _function)


def _spread(name: str) -> None:
    @handles(name)
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: Any = None,
    ) -> Any:
        attrs: dict[str, AttrValue] = {
            "function": name,
            "axes": axes_of(dim, input.ndim),
            "keepdim": keepdim,
        }
        if "_" in name:
            return r.apply_several(call, "reduce", input, attrs)
        return r.apply(call, "reduce", (input,), attrs, fits=False)


for _name in ("std", "var", "std_mean", "var_mean"):
    _spread(_name)


@handles("Tensor.norm torch.norm linalg.norm linalg.vector_norm aten.linalg_vector_norm")
def norm(
    r: Recorder,
    call: Call,
    input: Tensor,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    **_: Any,
) -> Any:
    """A norm over some axes."""
    attrs: dict[str, AttrValue] = {
        "function": "norm",
        "axes": axes_of(dim, input.ndim),
        "keepdim": bool(keepdim),
    }
    return r.apply(call, "reduce", (input,), attrs, fits=False)


def _extreme(name: str) -> None:
    @handles(name)
    def handler(
        r: Recorder,
        call: Call,
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        other: Any = None,
    ) -> Any:
        second = dim if isinstance(dim, Tensor) else other
        if second is not None:
            return binary(r, call, f"{name}imum", input, second)
        attrs: dict[str, AttrValue] = {
            "function": name,
            "axes": axes_of(dim, input.ndim),
            "keepdim": bool(keepdim),
        }
        return r.apply_several(call, "reduce", input, attrs)


for _name in ("max", "min"):
    _extreme(_name)


@handles("median nanmedian mode")
def middle(r: Recorder, call: Call, input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The median, or the most frequent value."""
    axes = axes_of(-1 if call.name == "mode" and dim is None else dim, input.ndim)
    attrs: dict[str, AttrValue] = {"function": call.name, "axes": axes, "keepdim": keepdim}
    return r.apply_several(call, "reduce", input, attrs)


@handles("sort topk argsort kthvalue")
def ordered(r: Recorder, call: Call, input: Tensor, *_: Any, **__: Any) -> Any:
    """Values by rank, and their positions."""
    return r.apply_several(call, "gather", input, {"function": call.name})
