"""Handlers of comparisons, choices and functions of single elements."""

from numbers import Real
from typing import Any, Final

from gennape_plugin.core.ops import EXCHANGED, AttrValue
from torch import Tensor

from .calls import Call
from .ops_arithmetic import elementwise
from .recorder import Recorder
from .registry import handles

# -- two or three operands ------------------------------------------------------------------

#: Their results have the data type of their operands.
_SAME_TYPE: Final = frozenset({"maximum", "minimum", "pow", "rpow"})

_BINARY: Final = {
    "maximum": "maximum fmax",
    "minimum": "minimum fmin",
    "pow": "pow pow_ float_power __pow__ __ipow__",
    "remainder": "remainder remainder_ fmod fmod_ __mod__ __imod__",
    "floor_div": "floor_divide floor_divide_ Tensor.__floordiv__ Tensor.__ifloordiv__",
    "atan2": "atan2 arctan2",
    "logaddexp": "logaddexp",
    "copysign": "copysign copysign_",
    "hypot": "hypot",
    "xlogy": "xlogy special.xlogy",
    "heaviside": "heaviside",
    "eq": "eq eq_ __eq__",
    "ne": "ne ne_ not_equal __ne__",
    "gt": "gt gt_ greater __gt__",
    "ge": "ge ge_ greater_equal __ge__",
    "lt": "lt lt_ less __lt__",
    "le": "le le_ less_equal __le__",
    "and": "logical_and logical_and_ bitwise_and bitwise_and_ __and__ __rand__ __iand__",
    "or": "logical_or logical_or_ bitwise_or bitwise_or_ __or__ __ror__ __ior__",
    "xor": "logical_xor logical_xor_ bitwise_xor bitwise_xor_ __xor__ __rxor__ __ixor__",
}
_REVERSED: Final = {
    "pow": "Tensor.__rpow__",
    "floor_div": "Tensor.__rfloordiv__",
    "remainder": "Tensor.__rmod__",
}


def binary(r: Recorder, call: Call, function: str, *operands: Any) -> Any:
    """Record a function of tensors and numbers that the vocabulary has no op for."""
    numbers = [x for x in operands if isinstance(x, Real)]
    if isinstance(operands[0], Real):
        function = EXCHANGED.get(function, function)
    attrs: dict[str, AttrValue] = {
        "function": function,
        "scalar": float(numbers[0]) if numbers else None,
    }
    return elementwise(r, call, "binary", operands, attrs, fits=function in _SAME_TYPE)


def _binary(names: str, function: str, *, swap: bool = False) -> None:
    @handles(names)
    def handler(r: Recorder, call: Call, input: Any, other: Any, *_: Any, **__: Any) -> Any:
        operands = (other, input) if swap else (input, other)
        return binary(r, call, function, *operands)


for _function, _names in _BINARY.items():
    _binary(_names, _function)
for _function, _names in _REVERSED.items():
    _binary(_names, _function, swap=True)


@handles("square square_")
def square(r: Recorder, call: Call, input: Tensor) -> Any:
    """``x ** 2``."""
    return binary(r, call, "pow", input, 2)


@handles("lerp lerp_")
def lerp(r: Recorder, call: Call, input: Tensor, end: Any, weight: Any) -> Any:
    """Linear interpolation between two tensors."""
    return binary(r, call, "lerp", input, end, weight)


@handles("addcmul addcdiv")
def addcmul(
    r: Recorder, call: Call, input: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1
) -> Any:
    """``input + value * tensor1 * tensor2``, or with a quotient."""
    if call.writes:
        return r.opaque(call, call.run())
    divide = call.name == "addcdiv"

    def parts() -> Any:
        product = tensor1 / tensor2 if divide else tensor1 * tensor2
        return input + (product if value == 1 else product * value)

    return r.expand(parts)


@handles("torch.where")
def where(r: Recorder, call: Call, condition: Any, input: Any = None, other: Any = None) -> Any:
    """A choice between two tensors, element by element."""
    if input is None:  # the positions where the condition holds
        r.warn_of_data(call, (condition,))
        return r.opaque(call, call.run())
    return elementwise(r, call, "where", (condition, input, other), {}, fits=False)


@handles("Tensor.where")
def where_method(r: Recorder, call: Call, input: Any, condition: Any, other: Any) -> Any:
    """``input.where(condition, other)``."""
    return elementwise(r, call, "where", (condition, input, other), {}, fits=False)


@handles("masked_fill masked_fill_")
def masked_fill(r: Recorder, call: Call, input: Tensor, mask: Tensor, value: Any) -> Any:
    """A constant in the places of a mask."""
    return elementwise(r, call, "where", (input, mask, value), {}, fits=False)


@handles("tril tril_ triu triu_")
def triangle(r: Recorder, call: Call, input: Tensor, diagonal: int = 0) -> Any:
    """One triangle of a matrix."""
    return elementwise(r, call, "where", (input,), {})


# -- one operand ------------------------------------------------------------------------------

_UNARY: Final = (
    "neg abs exp expm1 exp2 log log2 log10 log1p sqrt rsqrt reciprocal sign floor ceil round trunc "
    "frac sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc erfinv lgamma digamma "
    "sinc logit nan_to_num tanhshrink cumsum cumprod"
).split()
#: Results of type bool, whatever the operand.
_PREDICATES: Final = (
    "logical_not bitwise_not isnan isinf isfinite isposinf isneginf signbit isreal".split()
)
_OTHER_NAMES: Final = {
    "neg": "negative negative_",
    "abs": "absolute absolute_ __abs__",
    "trunc": "fix fix_",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "erf": "special.erf",
    "erfc": "special.erfc",
    "logit": "special.logit",
    "bitwise_not": "__invert__",
}


def _unary(function: str, *, same_type: bool) -> None:
    @handles(f"{function} {function}_ {_OTHER_NAMES.get(function, '')}")
    def handler(r: Recorder, call: Call, input: Tensor, *options: Any, **named: Any) -> Any:
        # Under another name, it is not rebuilt as the plain function.
        plain = not any((*options, *named.values()))
        attrs: dict[str, AttrValue] = {"function": function if plain else f"{function}, options"}
        fits = same_type and input.is_floating_point()
        return r.apply(call, "unary", (input,), attrs, fits=fits)


for _function in _UNARY:
    _unary(_function, same_type=True)
for _function in _PREDICATES:
    _unary(_function, same_type=False)
