"""The functions that a ``.pt2`` file may call: torch's own operators, and arithmetic of sizes."""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from gennape_plugin.core.errors import CaptureError

_MAX_BITS: Final = 64


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers (or tensors): texts would be repeated, and products grow for ever."""

    def call(*args: Any) -> Any:
        for value in args:
            if not isinstance(value, _NUMERIC):
                raise ValueError(f"it takes numbers, not {type(value).__name__}")
        result = function(*args)
        if isinstance(result, int) and result.bit_length() > _MAX_BITS:
            raise ValueError(f"its result has {result.bit_length()} bits")
        return result

    return call


_NUMERIC: Final = (int, float, torch.SymInt, torch.SymFloat, torch.SymBool, torch.Tensor)
_OPERATORS: Final = "add sub mul truediv floordiv mod neg pos eq ne lt le gt ge and_ or_"
#: Functions of plain numbers.
_NUMBERS: Final[dict[str, Callable[..., Any]]] = {
    name: _bounded(function)
    for name, function in {
        **{f"_operator.{name}": getattr(operator, name) for name in _OPERATORS.split()},
        **{f"math.{name}": getattr(math, name) for name in "ceil floor trunc sqrt".split()},
        "torch.sym_int": int,
        "torch.sym_float": float,
        "torch.sym_max": max,
        "torch.sym_min": min,
        "torch.sym_not": operator.not_,
    }.items()
}
#: Texts that operators take; one that takes another is refused (``aten.from_file`` takes the
#: name of a file and opens it).
_TEXTS: Final = frozenset(
    "approximate mode reduce padding padding_mode pad_mode rounding_mode equation indexing ord "
    "norm side UPLO assert_msg msg".split()
)
#: Operators that cut a tensor to pieces of a size that an argument decides on (or of 1) ...
_CUTS: Final = {
    "split": "split_size",
    "unsafe_split": "split_size",
    "split_copy": "split_size",
    "unbind": "",
    "unbind_copy": "",
}
#: ... or to as many pieces as it says.
_COUNTED_CUTS: Final = {
    "chunk": "chunks",
    "unsafe_chunk": "chunks",
    "tensor_split": "sections",
    "hsplit": "sections",
    "vsplit": "sections",
    "dsplit": "sections",
}
_MAX_PIECES: Final = 100_000


def target_of(name: str) -> tuple[Callable[..., Any], torch._ops.OpOverload | None]:
    """The function of a name, and the operator that it is, if it is one.

    Raises:
        CaptureError: if it is none of those that a file may call.
    """
    if name in _NUMBERS:
        return _NUMBERS[name], None
    parts = name.split(".")
    if len(parts) == 5 and parts[:3] == ["torch", "ops", "aten"]:
        overload = getattr(getattr(torch.ops.aten, parts[3], None), parts[4], None)
        if isinstance(overload, torch._ops.OpOverload):
            arguments = overload._schema.arguments
            texts = {a.name for a in arguments if "str" in str(a.type)}
            if not texts - _TEXTS:
                cuts = parts[3] in _CUTS or parts[3] in _COUNTED_CUTS
                return _limited(overload) if cuts else overload, overload
    raise CaptureError(
        f"the file calls {name[:80]!r}, and only operators of this torch's own ATen library are "
        "read from files: load it yourself with torch.export.load if you trust the file, and give "
        "the ExportedProgram"
    )


def _limited(overload: torch._ops.OpOverload) -> Callable[..., Any]:
    """An operator that cuts a tensor to pieces, but not to millions of them."""
    names = [argument.name for argument in overload._schema.arguments]
    name = overload._schema.name.partition("::")[2]
    size_name, count_name = _CUTS.get(name, ""), _COUNTED_CUTS.get(name)

    def cut(*args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if count_name is not None:
            pieces = given.get(count_name)
            if isinstance(pieces, int) and pieces > _MAX_PIECES:
                raise ValueError(f"it cuts a tensor into {pieces} pieces")
            return overload(*args, **kwargs)
        each = given.get(size_name, 1)
        length = given[names[0]].shape[given.get("dim", 0)]
        if isinstance(each, int) and length > _MAX_PIECES * max(each, 1):
            raise ValueError(f"it cuts {length} into pieces of {each}")
        return overload(*args, **kwargs)

    return cut


def arguments_of(
    overload: torch._ops.OpOverload, named: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by name as an operator takes them.

    A file gives all by name, also those that Python functions of torch's take by position
    only; what follows one that is left out stays a keyword.
    """
    positional: list[Any] = []
    rest = dict(named)
    for argument in overload._schema.arguments:
        if argument.kwarg_only or argument.name not in rest:
            break
        positional.append(rest.pop(argument.name))
    return positional, rest


def returns_one(overload: torch._ops.OpOverload) -> bool:
    """Whether an operator returns one value that is no list."""
    returns = overload._schema.returns
    return len(returns) == 1 and not isinstance(returns[0].real_type, torch.ListType)
