"""Handlers of activations, softmax and dropout."""

from typing import Any, Final

from gennape_plugin.core.ops import AttrValue
from torch import Tensor

from .calls import Call
from .ops_elementwise import binary
from .recorder import Recorder
from .registry import handles


def last_or_front(dim: int, rank: int) -> int:
    """An axis in its one written form: ``-1`` for the last, otherwise counted from the front."""
    dim = dim % rank if rank else 0
    return -1 if dim == rank - 1 else dim


def activation(
    r: Recorder, call: Call, op: str, input: Tensor, inplace: bool = False, **attrs: AttrValue
) -> Any:
    """Record an activation of one operand."""
    # Integers become floating-point numbers: only the kernel knows of which width.
    fits = input.is_floating_point()
    return r.apply(call, op, (input,), attrs, writes=inplace, fits=fits)


_PLAIN: Final = {
    "relu": "relu relu_",
    "relu6": "relu6 nn.relu6_",
    "sigmoid": "sigmoid sigmoid_ special.expit",
    "tanh": "tanh tanh_",
    "silu": "silu silu_",
    "hard_swish": "hardswish hardswish_",
    "hard_sigmoid": "hardsigmoid hardsigmoid_",
    "selu": "selu selu_",
    "mish": "mish mish_",
    "softsign": "F.softsign",
    "log_sigmoid": "nn.log_sigmoid",
}


def _plain(op: str, names: str) -> None:
    @handles(names)
    def handler(r: Recorder, call: Call, input: Tensor, inplace: bool = False) -> Any:
        return activation(r, call, op, input, inplace)


for _op, _names in _PLAIN.items():
    _plain(_op, _names)


@handles("F.elu F.elu_ celu celu_")
def elu(r: Recorder, call: Call, input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Any:
    """ELU or CELU."""
    return activation(r, call, call.name.rstrip("_"), input, inplace, alpha=float(alpha))


@handles("hardshrink softshrink")
def shrink(r: Recorder, call: Call, input: Tensor, lambd: float = 0.5) -> Any:
    """Zero near zero, hard or soft."""
    return activation(r, call, f"{call.name[:4]}_shrink", input, alpha=float(lambd))


@handles("softplus")
def softplus(
    r: Recorder, call: Call, input: Tensor, beta: float = 1.0, threshold: float = 20.0
) -> Any:
    """``log(1 + exp(beta x)) / beta``, straight from the usual threshold on."""
    if threshold != 20:
        return r.opaque(call, call.run())
    return activation(r, call, "softplus", input, alpha=float(beta))


@handles("gelu")
def gelu(r: Recorder, call: Call, input: Tensor, approximate: str = "none") -> Any:
    """GELU, exact or by tanh."""
    return activation(r, call, "gelu", input, approximate=approximate)


@handles("hardtanh hardtanh_")
def hardtanh(
    r: Recorder,
    call: Call,
    input: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> Any:
    """A clip; between 0 and 6 it is ReLU6."""
    return clip(r, call, input, min_val, max_val, inplace)


@handles("clamp clamp_ clip clip_")
def clamp(r: Recorder, call: Call, input: Tensor, min: Any = None, max: Any = None) -> Any:
    """A clip; between 0 and 6 it is ReLU6, from 0 on it is ReLU."""
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return binary(r, call, "clamp", *(x for x in (input, min, max) if x is not None))
    return clip(r, call, input, min, max)


@handles("clamp_min clamp_min_")
def clamp_min(r: Recorder, call: Call, input: Tensor, min: Any) -> Any:
    """A clip from below."""
    return clamp(r, call, input, min, None)


@handles("clamp_max clamp_max_")
def clamp_max(r: Recorder, call: Call, input: Tensor, max: Any) -> Any:
    """A clip from above."""
    return clamp(r, call, input, None, max)


def clip(
    r: Recorder,
    call: Call,
    input: Tensor,
    low: float | None,
    high: float | None,
    inplace: bool = False,
) -> Any:
    """A clip under its commonest name."""
    if low == 0 and high in (6, None):
        return activation(r, call, "relu6" if high == 6 else "relu", input, inplace)
    low = None if low is None else float(low)
    high = None if high is None else float(high)
    return activation(r, call, "hard_tanh", input, inplace, low=low, high=high)


@handles("leaky_relu leaky_relu_")
def leaky_relu(
    r: Recorder, call: Call, input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Any:
    """Leaky ReLU."""
    return activation(r, call, "leaky_relu", input, inplace, slope=float(negative_slope))


@handles("rrelu rrelu_")
def rrelu(
    r: Recorder,
    call: Call,
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    **_: Any,
) -> Any:
    """Randomised leaky ReLU; in evaluation its slope is the middle of its range."""
    return activation(r, call, "leaky_relu", input, inplace, slope=(lower + upper) / 2)


@handles("prelu")
def prelu(r: Recorder, call: Call, input: Tensor, weight: Tensor) -> Any:
    """Leaky ReLU with learned slopes; another operation where they are not."""
    if not r.is_learned(weight):
        return r.opaque(call, call.run())
    attrs: dict[str, AttrValue] = {"parameters": weight.numel()}
    fits = weight.numel() == 1 or (input.ndim > 1 and weight.numel() == input.shape[1])
    return r.apply(call, "prelu", (input,), attrs, weight=weight, fits=fits)


@handles("threshold threshold_")
def threshold(
    r: Recorder, call: Call, input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Any:
    """``x`` above a threshold, a constant below."""
    return activation(r, call, "threshold", input, inplace)


@handles("glu")
def glu(r: Recorder, call: Call, input: Tensor, dim: int = -1) -> Any:
    """One half of the channels gated by the sigmoid of the other."""
    return r.apply(call, "glu", (input,), {"dim": last_or_front(dim, input.ndim)}, fits=False)


@handles("softmax log_softmax special.softmax special.log_softmax")
def softmax(
    r: Recorder,
    call: Call,
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: Any = None,
) -> Any:
    """Softmax, or its logarithm."""
    op = "log_softmax" if "log" in call.name else "softmax"
    if dim is None:
        dim = 0 if input.ndim in (0, 1, 3) else 1  # torch's own implicit choice
    fits = dtype is None and isinstance(_stacklevel, int) and input.is_floating_point()
    return r.apply(call, op, (input,), {"dim": last_or_front(dim, input.ndim)}, fits=fits)


@handles("dropout F.dropout1d F.dropout2d F.dropout3d F.alpha_dropout F.feature_alpha_dropout")
def dropout(
    r: Recorder,
    call: Call,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    **kwargs: Any,
) -> Any:
    """Dropout, which passes its input on in evaluation."""
    node = r.node(input)
    if node is None:
        return call.run()
    index = r.emit("dropout", (node,), {"rate": float(p)})
    out = input if r.on_meta else call.run()
    return r.bind(call, out, index)
