"""A copy of a module to run in its place, with other tensors and no other change.

The user's module is only read. Its submodules, containers, bound methods and closures are
copied, tensors are converted one by one and stay shared where they were shared; objects
that cannot be copied (locks, open files, generators) are used as they are.
"""

import copy
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from .dispatch import copied_script

#: Values of these types never change, so the copy may hold the very same object.
_ATOMIC: Final = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        range,
        type,
        type(...),
        type(NotImplemented),
        types.BuiltinFunctionType,
        types.ModuleType,
        torch.dtype,
        torch.device,
        torch.layout,
        torch.memory_format,
        torch.Size,
    }
)
_WRAPPERS: Final = ("DataParallel", "DistributedDataParallel")


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside ``torch.compile`` and data-parallel wrappers."""
    while True:
        inner = module.__dict__.get("_modules", {})
        name = type(module).__name__
        if name == "OptimizedModule" and "_orig_mod" in inner:
            module = inner["_orig_mod"]
        elif name in _WRAPPERS and "module" in inner:
            module = inner["module"]
        else:
            return module


@lru_cache(maxsize=1024)
def _slots(cls: Any) -> tuple[str, ...]:
    names: list[str] = []
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.extend([slots] if isinstance(slots, str) else slots)
    return tuple(n for n in names if n not in ("__dict__", "__weakref__"))


class ModuleCopier:
    """Copies one tree of modules.

    Attributes:
        kept: Descriptions of the attributes that could not be copied.
    """

    def __init__(
        self,
        convert: Callable[[Tensor], Tensor],
        wrap: Callable[[nn.Module, str], Callable[..., Any] | None],
    ) -> None:
        """Set the copier up.

        Args:
            convert: Makes the counterpart of a plain tensor (no ``nn.Parameter``).
            wrap: Given the copy of a submodule and its path, the forward that takes the
                place of its own; ``None`` leaves it alone.
        """
        self.kept: list[str] = []
        self._convert = convert
        self._wrap = wrap
        self._memo: dict[int, Any] = {}
        self._alive: list[Any] = []  # objects made on the way must keep their id
        self._tensors = _Tensors(self)
        self._path = ""

    def module(self, module: nn.Module, path: str = "") -> nn.Module:
        """The copy of a module and all it holds, in evaluation mode."""
        known: nn.Module | None = self._memo.get(id(module))
        if known is not None:
            return known
        inner = unwrapped(module)
        if inner is not module:
            self._memo[id(module)] = copied = self.module(inner, path)
            return copied
        if isinstance(module, torch.jit.ScriptModule):
            self._memo[id(module)] = scripted = copied_script(module, self.tensor)
            return scripted
        cls: Any = type(module)
        made: nn.Module = object.__new__(cls)
        self._memo[id(module)] = made
        state = made.__dict__
        before, self._path = self._path, path
        for name, value in module.__dict__.items():
            if name == "_modules":
                state[name] = children = type(value)()
                prefix = f"{path}." if path else ""
                for key, child in value.items():
                    children[key] = None if child is None else self.module(child, prefix + key)
                self._path = path
            elif name == "_compiled_call_impl":
                state[name] = None
            else:
                state[name] = value if type(value) in _ATOMIC else self.value(value)
        for name in _slots(cls):
            if hasattr(module, name):
                object.__setattr__(made, name, self.value(getattr(module, name)))
        if "training" in state:
            state["training"] = False
        self._path = before
        forward = self._wrap(made, path)
        if forward is not None:
            state["forward"] = forward
        return made

    def tensor(self, tensor: Tensor) -> Tensor:
        """The counterpart of a tensor; the same one for the same tensor."""
        known: Tensor | None = self._memo.get(id(tensor))
        if known is not None:
            return known
        made: Tensor
        if is_lazy(tensor):
            device = self._convert(torch.empty(0)).device
            lazy: Any = type(tensor)  # UninitializedParameter, UninitializedBuffer
            made = lazy(tensor.requires_grad, device=device, dtype=tensor.dtype)
        elif isinstance(tensor, nn.Parameter):
            made = nn.Parameter(self._convert(tensor), requires_grad=tensor.requires_grad)
        else:
            made = self._convert(tensor)
        if tensor.__dict__ and not is_lazy(tensor):
            for name, value in tensor.__dict__.items():
                made.__dict__.setdefault(name, value)
        self._memo[id(tensor)] = made
        self._alive.append(tensor)
        return made

    def value(self, value: Any) -> Any:
        """The copy of an attribute."""
        kind = type(value)
        if kind in _ATOMIC:
            return value
        known = self._memo.get(id(value))
        if known is not None:
            return known
        if isinstance(value, nn.Module):
            return self.module(value, self._path)
        if isinstance(value, Tensor):
            return self.tensor(value)
        maker = _MAKERS.get(kind)
        if maker is None:
            return self._opaque(value)
        return maker(self, value)

    # -- one method a kind of object -------------------------------------------------------

    def _dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        made = type(value)()
        self._memo[id(value)] = made
        for key, item in value.items():
            made[self.value(key)] = self.value(item)
        return made

    def _list(self, value: list[Any]) -> list[Any]:
        made: list[Any] = []
        self._memo[id(value)] = made
        made.extend([self.value(item) for item in value])
        return made

    def _set(self, value: set[Any]) -> set[Any]:
        made = {self.value(item) for item in value}
        self._memo[id(value)] = made
        return made

    def _tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        made = tuple([self.value(item) for item in value])
        return value if all(a is b for a, b in zip(made, value, strict=True)) else made

    def _function(self, value: types.FunctionType) -> types.FunctionType:
        """A function; one that closes over something closes over a copy of it.

        A cell that several functions share is copied once, so they still share it.
        """
        cells = value.__closure__
        if not cells:
            return value
        new = [cell for cell in cells if id(cell) not in self._memo]
        self._memo.update({id(cell): types.CellType() for cell in new})
        self._alive += new
        made = types.FunctionType(
            value.__code__,
            value.__globals__,
            value.__name__,
            value.__defaults__,
            tuple([self._memo[id(cell)] for cell in cells]),
        )
        made.__kwdefaults__ = value.__kwdefaults__
        made.__dict__.update(value.__dict__)
        # Known before the cells are filled: a function may close over itself.
        self._memo[id(value)] = made
        for cell in new:
            with suppress(ValueError):  # not filled yet
                content = cell.cell_contents
                copied = isinstance(content, nn.Module | Tensor) or type(content) in _MAKERS
                self._memo[id(cell)].cell_contents = self.value(content) if copied else content
        return made

    def _method(self, value: types.MethodType) -> types.MethodType:
        return types.MethodType(self.value(value.__func__), self.value(value.__self__))

    def _reference(self, value: "weakref.ref[Any]") -> "weakref.ref[Any]":
        target = value()
        if isinstance(target, nn.Module | Tensor | dict):
            made = self.value(target)
            self._alive.append(made)
            return weakref.ref(made)
        return value

    def _opaque(self, value: Any) -> Any:
        try:
            with self._tensors:
                made = copy.deepcopy(value, self._memo)
        except Exception as error:
            where = f" of {self._path!r}" if self._path else ""
            reason = str(error).split("\n", 1)[0]
            self.kept.append(
                f"a {type(value).__name__}{where} cannot be copied and was used as it is: "
                f"{reason:.200}"
            )
            made = value
        self._memo[id(value)] = made
        return made


_MAKERS: Final[dict[type, Callable[[ModuleCopier, Any], Any]]] = {
    dict: ModuleCopier._dict,
    OrderedDict: ModuleCopier._dict,
    list: ModuleCopier._list,
    set: ModuleCopier._set,
    tuple: ModuleCopier._tuple,
    types.FunctionType: ModuleCopier._function,
    types.MethodType: ModuleCopier._method,
    weakref.ref: ModuleCopier._reference,
}


class _Tensors(TorchFunctionMode):
    """Turns the tensors that ``copy.deepcopy`` meets inside other objects."""

    def __init__(self, copier: ModuleCopier) -> None:
        super().__init__()
        self._copier = copier

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            made = memo[id(tensor)] = self._copier.tensor(tensor)
            return made
        if func is Tensor.clone:  # nn.Parameter copies its data so
            return self._copier._convert(args[0])
        return func(*args, **(kwargs or {}))
