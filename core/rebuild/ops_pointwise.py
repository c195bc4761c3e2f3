"""Rules of activations, arithmetic and other functions of single elements."""

from typing import Any, Final

from .expressions import Call, DType, Layer, Operand, layer_of
from .registry import Built, Site, X, called, layered, rule

# -- activations ----------------------------------------------------------------------------

#: Function and module of the activations without attributes.
_PLAIN: Final = {
    "relu": ("F.relu", "ReLU"),
    "relu6": ("F.relu6", "ReLU6"),
    "sigmoid": ("torch.sigmoid", "Sigmoid"),
    "tanh": ("torch.tanh", "Tanh"),
    "silu": ("F.silu", "SiLU"),
    "hard_swish": ("F.hardswish", "Hardswish"),
    "hard_sigmoid": ("F.hardsigmoid", "Hardsigmoid"),
    "selu": ("F.selu", "SELU"),
    "mish": ("F.mish", "Mish"),
    "softsign": ("F.softsign", "Softsign"),
    "log_sigmoid": ("F.logsigmoid", "LogSigmoid"),
}


@rule(" ".join(_PLAIN))
def activation(site: Site) -> Built:
    """An activation without attributes."""
    function, kind = _PLAIN[site.node.op]
    return called(function, X, plain=Layer(kind))


#: Op -> function, module, the op's attribute, the argument's name and its default.
_ONE_NUMBER: Final = {
    "gelu": ("F.gelu", "GELU", "approximate", "approximate", "none"),
    "leaky_relu": ("F.leaky_relu", "LeakyReLU", "slope", "negative_slope", 0.01),
    "elu": ("F.elu", "ELU", "alpha", "alpha", 1.0),
    "celu": ("F.celu", "CELU", "alpha", "alpha", 1.0),
    "softplus": ("F.softplus", "Softplus", "alpha", "beta", 1.0),
    "hard_shrink": ("F.hardshrink", "Hardshrink", "alpha", "lambd", 0.5),
    "soft_shrink": ("F.softshrink", "Softshrink", "alpha", "lambd", 0.5),
    "glu": ("F.glu", "GLU", "dim", "dim", -1),
    "pixel_shuffle": ("F.pixel_shuffle", "PixelShuffle", "factor", "upscale_factor", None),
    "pixel_unshuffle": ("F.pixel_unshuffle", "PixelUnshuffle", "factor", "downscale_factor", None),
    "channel_shuffle": ("F.channel_shuffle", "ChannelShuffle", "groups", "groups", None),
}


@rule(" ".join(_ONE_NUMBER))
def one_number(site: Site) -> Built:
    """A function with one attribute."""
    function, kind, attribute, name, default = _ONE_NUMBER[site.node.op]
    value = site[attribute]
    if value == default:
        return called(function, X, plain=Layer(kind))
    if default is None:
        return called(function, X, value, plain=layer_of(kind, {name: value}))
    return called(function, X, plain=layer_of(kind, {}, {name: (value, default)}), **{name: value})


@rule("softmax log_softmax")
def softmax(site: Site) -> Built:
    """Softmax, or its logarithm."""
    op, dim = site.node.op, site["dim"]
    kind = "Softmax" if op == "softmax" else "LogSoftmax"
    return called(f"F.{op}", X, dim=dim, plain=layer_of(kind, {}, {"dim": (dim, None)}))


@rule("hard_tanh")
def hard_tanh(site: Site) -> Built:
    """A clip."""
    bounds = {"min": site["low"], "max": site["high"]}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if not given:
        site.refuse("it clips without bounds")
    return called("torch.clamp", X, **given)


@rule("prelu")
def prelu(site: Site) -> Built:
    """Leaky ReLU with learned slopes."""
    return layered(site, layer_of("PReLU", {}, {"num_parameters": (site["parameters"], 1)}))


@rule("dropout")
def dropout(site: Site) -> Built:
    """Dropout of single elements: which kind of dropout it was is not kept."""
    if not isinstance(site["rate"], int | float) or not 0 <= site["rate"] <= 1:
        site.refuse(f"its rate is {site['rate']!r:.40}, which is no probability")
    return layered(site, layer_of("Dropout", {"p": site["rate"]}))


@rule("identity")
def identity(site: Site) -> Built:
    """An identity."""
    return layered(site, Layer("Identity"))


@rule("zero")
def zero(site: Site) -> Built:
    """Zeros in the shape of the operand, still connected to it."""
    return called("*", X, 0)


# -- arithmetic -----------------------------------------------------------------------------

_SIGNS: Final = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


@rule("add sub mul div")
def arithmetic(site: Site) -> Built:
    """Arithmetic of tensors, or of a tensor and a number."""
    op, sign, operands = site.node.op, _SIGNS[site.node.op], site.operands
    if len(operands) == 1:
        number = _number(site)
        swapped = op in ("sub", "div") and site["reverse"]
        return called(sign, number, X) if swapped else called(sign, X, number)
    if len(operands) > 2 and op == "add":
        return called("sum", list(operands))
    whole: Any = X
    for operand in operands[1:]:
        whole = Call(sign, (whole, operand))
    return Built(whole)


def _number(site: Site) -> int | float:
    number = site["scalar"]
    if isinstance(number, bool) or not isinstance(number, int | float):
        site.refuse("its other operand is a constant tensor, and a graph does not keep values")
    return number


#: Functions of two operands: a sign, or torch's name.
_BINARY: Final = {
    "maximum": "torch.maximum",
    "minimum": "torch.minimum",
    "pow": "**",
    "atan2": "torch.atan2",
    "logaddexp": "torch.logaddexp",
    "copysign": "torch.copysign",
    "hypot": "torch.hypot",
    "xlogy": "torch.xlogy",
    "heaviside": "torch.heaviside",
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
}
#: Those of them that also take a number, on the right.
_WITH_NUMBER: Final = frozenset({"pow", "eq", "ne", "gt", "ge", "lt", "le"})


@rule("binary")
def binary(site: Site) -> Built:
    """A function of two tensors, or of a tensor and a number."""
    function, operands = site["function"], site.operands
    name = _BINARY.get("pow" if function == "rpow" else function)
    if name is None or (function == "rpow" and len(operands) > 1):
        site.refuse(f"the graph does not keep what {function!r:.40} does exactly")
    if len(operands) == 1:
        number = _number(site)
        if function == "rpow":
            return called("**", number, X)
        if function not in _WITH_NUMBER:
            site.refuse(f"{function!r} of a tensor and a number is not known")
        return called(name, X, number)
    if len(operands) > 2:
        site.refuse(f"{function!r} takes two operands, and it has {len(operands)}")
    return called(name, X, Operand(1))


#: Functions of one operand that need nothing else.
_UNARY: Final = frozenset(
    "neg abs exp expm1 exp2 log log2 log10 log1p sqrt rsqrt reciprocal sign floor ceil round trunc "
    "frac sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc erfinv lgamma digamma "
    "sinc logit nan_to_num logical_not isnan isinf isfinite isposinf isneginf signbit".split()
)


@rule("unary")
def unary(site: Site) -> Built:
    """A function of single elements."""
    function = site["function"]
    if function == "tanhshrink":
        return called("F.tanhshrink", X, plain=Layer("Tanhshrink"))
    if function not in _UNARY:
        site.refuse(f"the graph does not keep what {function!r:.40} does exactly")
    return called(f"torch.{function}", X)


@rule("where")
def where(site: Site) -> Built:
    """A choice between two tensors."""
    if len(site.shapes) != 3 or not site.shapes[2]:
        site.refuse("it chooses between a tensor and constants, which a graph does not keep")
    return called("torch.where", *site.operands)


@rule("cast")
def cast(site: Site) -> Built:
    """Another data type."""
    if site["dtype"] not in _DTYPES:
        site.refuse(f"{site['dtype']!r:.40} is no data type of torch")
    return called(".to", X, DType(site["dtype"]))


_DTYPES: Final = frozenset(
    "float16 bfloat16 float32 float64 uint8 int8 int16 int32 int64 bool".split()
)
