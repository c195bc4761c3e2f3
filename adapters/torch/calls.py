"""One call of a torch function, and what can be told from its arguments."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn

_PLAIN: Final = frozenset({Tensor, nn.Parameter})


class Call:
    """A call that is made only where a handler needs its result.

    Attributes:
        function: The function, as torch hands it to a ``TorchFunctionMode``.
        args: Positional arguments.
        kwargs: Keyword arguments.
        writes: Whether the result goes into a tensor that exists: an in-place function, or
            one with ``out=``.
    """

    __slots__ = ("args", "function", "kwargs", "writes")

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], writes: bool = False
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.writes = writes

    def run(self) -> Any:
        """Make the call."""
        return self.function(*self.args, **self.kwargs)

    @property
    def name(self) -> str:
        """Name of the function without its module, and without its overload."""
        name: str = getattr(self.function, "__name__", None) or type(self.function).__name__
        return name.partition(".")[0]

    @property
    def title(self) -> str:
        """Name of the function for people: ``torch.fft.rfft``, ``Tensor.cumsum``."""
        owner = getattr(self.function, "__self__", None)
        if self.name in ("__get__", "__set__"):
            return f"Tensor.{getattr(owner, '__name__', self.name)}"
        return f"{getattr(self.function, '__module__', None) or 'Tensor'}.{self.name}"


def plain(tensors: Sequence[Tensor], *, strides: bool) -> bool:
    """Whether a result has the data type and the memory layout that the core's rules imply.

    Args:
        tensors: The operands.
        strides: Whether the layout of the result follows that of the operands.
    """
    dtype = tensors[0].dtype
    for tensor in tensors:
        if tensor.dtype != dtype or type(tensor) not in _PLAIN:
            return False
        if strides and not tensor.is_contiguous():
            return False
    return True


def leaves(tree: Any) -> list[Any]:
    """Everything inside nested tuples, lists, dictionaries and dataclasses, in order."""
    found: list[Any] = []
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            found.append(item)
        elif isinstance(item, tuple | list):
            stack.extend(reversed(item))
        elif isinstance(item, Mapping):
            stack.extend(reversed(list(item.values())))
        elif hasattr(item, "__dataclass_fields__") and not isinstance(item, type):
            stack.extend(reversed(list(vars(item).values())))
        else:
            found.append(item)
    return found


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors among the :func:`leaves`."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]
