"""The table from torch's functions and tensor methods to the handlers that record them.

A handler has the signature of the function that it stands for, after two arguments of
its own: ``handler(recorder, call, input, ...)``. Python thereby binds positional and
keyword arguments, and defaults are torch's own.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

Handler = Callable[..., Any]

#: Where a name is looked up. Newer and older releases lack some functions, so a name that
#: is found nowhere is no error.
_PLACES: Final[dict[str, Any]] = {
    "F": F,
    "torch": torch,
    "Tensor": Tensor,
    "nn": torch._C._nn,
    "C": torch._C,
    "special": torch.special,
    "linalg": torch.linalg,
    "init": torch.nn.init,
    "aten": torch.ops.aten,
    "quantized": torch.ops.quantized,
}
_ANYWHERE: Final = ("F", "torch", "Tensor", "nn")
_ATEN: Final = ("torch", "nn", "Tensor")  # order of the namesakes, by likeness of signature


@dataclass(frozen=True, slots=True)
class Entry:
    """How to record a function.

    Attributes:
        handler: The handler; ``None`` where the call is only made, not recorded.
        writes: Whether the function changes its first operand in place.
    """

    handler: Handler | None
    writes: bool = False


#: By function object, as a ``TorchFunctionMode`` receives it.
TABLE: Final[dict[Any, Entry]] = {}
#: Attributes of tensors, by ``("__get__" or "__set__", name)``.
_ACCESSORS: Final[dict[tuple[str, str], Entry]] = {}


def writes_in_place(name: str) -> bool:
    """Whether torch's naming says that a function changes its first operand."""
    if name.startswith("__"):
        return name.startswith("__i") and name not in ("__invert__", "__index__", "__int__")
    return name.endswith("_")


def _register(names: str, handler: Handler | None) -> None:
    for name in names.split():
        place, _, short = name.rpartition(".")
        for where in (place,) if place else _ANYWHERE:
            function = getattr(_PLACES[where], short, None)
            if function is not None:
                TABLE[function] = Entry(handler, writes_in_place(short))


def handles(names: str) -> Callable[[Handler], Handler]:
    """Register the decorated handler.

    Args:
        names: Function names between spaces: ``"F.relu"`` for one place, ``"relu"`` for
            ``torch.nn.functional``, ``torch``, ``Tensor`` and torch's private ``_nn``.
    """

    def register(handler: Handler) -> Handler:
        _register(names, handler)
        return handler

    return register


def handles_attributes(names: str, *, access: str = "__get__") -> Callable[[Handler], Handler]:
    """Register the decorated handler for attributes of tensors; others are not recorded."""

    def register(handler: Handler) -> Handler:
        for name in names.split():
            _ACCESSORS[access, name] = Entry(handler)
        return handler

    return register


def passes(names: str) -> None:
    """Register functions whose calls are made and not recorded."""
    _register(names, None)


@lru_cache(maxsize=4096)
def entry_of(function: Any) -> Entry:
    """What to do with a function that is not in the table itself.

    A tensor attribute has its own table; an ATen operator (exported programs call these) is
    what its namesake is; a composite Python function of torch's is run with the recorder on,
    so that the calls inside are recorded; anything else is opaque.
    """
    if isinstance(function, torch._ops.OpOverload) and function.namespace == "aten":
        packet = function.overloadpacket
        namesakes = (getattr(_PLACES[place], packet.__name__, None) for place in _ATEN)
        for namesake in (packet, *namesakes):
            if namesake in TABLE:
                return TABLE[namesake]
    name = getattr(function, "__name__", "")
    if name in ("__get__", "__set__"):
        attribute = getattr(getattr(function, "__self__", None), "__name__", "")
        return _ACCESSORS.get((name, attribute), Entry(None))
    expanded = _without_overrides(function)
    if expanded is not None:

        def expand(recorder: Any, call: Any, *_args: Any, **_kwargs: Any) -> Any:
            return recorder.expand(expanded, *call.args, **call.kwargs)

        return Entry(expand)
    return Entry(_opaque, writes_in_place(name))


def _opaque(recorder: Any, call: Any, *_args: Any, **_kwargs: Any) -> Any:
    return recorder.opaque(call, call.run())


def _without_overrides(function: Any) -> Callable[..., Any] | None:
    """A copy of a composite function of torch's that runs its body at once.

    Such functions start with ``if has_torch_function(...): return handle_torch_function(...)``
    and would come straight back to the recorder. ``None`` for all other functions.
    """
    if not isinstance(function, types.FunctionType) or not function.__module__.startswith("torch"):
        return None
    checks = [n for n in function.__code__.co_names if n.startswith("has_torch_function")]
    if not checks:
        return None
    names = {**function.__globals__, **dict.fromkeys(checks, _never)}
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _never(*_tensors: Any) -> bool:
    return False
