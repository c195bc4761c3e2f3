"""Handlers of activations, softmax and dropout."""

from typing import Final

from .ops_elementwise import elementwise
from .registry import Call, axis_of, handles, last_or_front
from .writer import Attrs

_PLAIN: Final = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSwish": "hard_swish",
    "HardSigmoid": "hard_sigmoid",
    "Selu": "selu",
    "Mish": "mish",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "Swish": "silu",
    "ThresholdedRelu": "threshold",
}


@handles(" ".join(_PLAIN))
def plain(call: Call) -> None:
    """An activation without attributes that matter."""
    call.put(call.emit(_PLAIN[call.node.op], [call.need(0)]))


@handles("Elu Celu")
def elu(call: Call) -> None:
    """ELU or CELU."""
    attrs: Attrs = {"alpha": call.node.float("alpha", 1.0)}
    call.put(call.emit(call.node.op.lower(), [call.need(0)], attrs))


@handles("LeakyRelu")
def leaky_relu(call: Call) -> None:
    """Leaky ReLU; its slope, a 32-bit number, in its shortest form."""
    attrs: Attrs = {"slope": short(call.node.float("alpha", 0.01))}
    call.put(call.emit("leaky_relu", [call.need(0)], attrs))


@handles("PRelu")
def prelu(call: Call) -> None:
    """Leaky ReLU with learned slopes."""
    x, slope = call.need(0), call.need(1)
    if call.depends(slope):
        elementwise(call, "binary", (x, slope), {"function": "prelu"})
        return
    call.put(call.emit("prelu", [x], {"parameters": slope.count}, weight=slope))


@handles("Gelu")
def gelu(call: Call) -> None:
    """GELU, exact or by tanh."""
    attrs: Attrs = {"approximate": call.node.text("approximate", "none")}
    call.put(call.emit("gelu", [call.need(0)], attrs))


@handles("Shrink")
def shrink(call: Call) -> None:
    """Zero near zero: hard without a bias, otherwise soft."""
    op = "soft_shrink" if call.node.float("bias", 0.0) else "hard_shrink"
    call.put(call.emit(op, [call.need(0)], {"alpha": short(call.node.float("lambd", 0.5))}))


@handles("Clip")
def clip(call: Call) -> None:
    """A clip; between 0 and 6 it is ReLU6, from 0 on it is ReLU."""
    x = call.need(0)
    bounds: list[float | None] = []
    for position, name in ((1, "min"), (2, "max")):
        bound = call.get(position)
        if bound is not None and bound.number is None:
            elementwise(call, "binary", call.given(), {"function": "clamp"})
            return
        number = bound.number if bound is not None else None
        if name in call.node.attrs:
            number = call.node.float(name)
        # Old versions write the greatest float where there is no bound.
        bounds.append(None if number is None or abs(number) > 3e38 else number)
    low, high = bounds
    if low is None and high is None:
        call.put(x)
    elif low == 0 and high in (6, None):
        call.put(call.emit("relu6" if high == 6 else "relu", [x]))
    else:
        call.put(call.emit("hard_tanh", [x], {"low": low, "high": high}))


@handles("Softmax LogSoftmax")
def softmax(call: Call) -> None:
    """Softmax, or its logarithm."""
    x = call.need(0)
    # Before version 13 all axes from this one on were meant together.
    axis = call.node.int("axis", -1 if call.writer.network.opset >= 13 else 1)
    op = "log_softmax" if call.node.op == "LogSoftmax" else "softmax"
    call.put(call.emit(op, [x], {"dim": last_or_front(axis, len(x.shape))}))


@handles("Dropout")
def dropout(call: Call) -> None:
    """Dropout, which passes its input on in evaluation."""
    ratio = call.get(1)
    rate = ratio.number if ratio is not None else call.node.float("ratio", 0.5)
    x = call.need(0)
    y = call.emit("dropout", [x], {"rate": 0.5 if rate is None else short(rate)})
    call.put(y)
    call.part(y, 1, x.shape, "bool")


@handles("LpNormalization")
def normalize(call: Call) -> None:
    """Division by the norm along one axis."""
    x = call.need(0)
    axis = axis_of(call.node.int("axis", -1), len(x.shape))
    attrs: Attrs = {"p": float(call.node.int("p", 2)), "dim": axis}
    call.put(call.emit("normalize", [x], attrs))


def short(number: float) -> float:
    """A 32-bit number as the decimal fraction that its writer meant: 0.2, not 0.2000000030."""
    return float(f"{number:.7g}")
