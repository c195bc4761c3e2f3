"""What a rule says of one operation: a layer, and the expression that applies it.

Both writers read these descriptions: :mod:`.module` evaluates them, :mod:`.source` prints
them. Every name in them (``Conv2d``, ``torch.cat``) is a constant of the rules, never text
of a graph; of a graph they hold only numbers and strings, as literals.
"""

from dataclasses import dataclass
from typing import Any, Final

#: Arithmetic that Python writes between its operands.
INFIX: Final = frozenset({"+", "-", "*", "/", "**", "@", "==", "!=", ">", ">=", "<", "<="})


@dataclass(frozen=True, slots=True)
class Operand:
    """The operand at one position of the operation."""

    position: int


@dataclass(frozen=True, slots=True)
class DType:
    """A data type of torch, by its name there (``"float32"``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to operands and literals.

    Attributes:
        function: ``"torch.NAME"`` or ``"F.NAME"`` (``torch.nn.functional``), ``".NAME"`` for a
            method of the first argument, a sign of :data:`INFIX`, ``"sum"`` for Python's own,
            ``"[]"`` for indexing, or ``"self"`` for the operation's own layer.
        args: Operands, literals, calls, and tuples or lists of these.
        kwargs: The same by name.
    """

    function: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """A module of ``torch.nn`` to be made.

    Attributes:
        kind: Name in ``torch.nn``; ``"Parameter"`` for a learned tensor of shape ``size``.
        args: Arguments by name, without those at their default.
        positional: How many of them are written without their names.
    """

    kind: str
    args: tuple[tuple[str, Any], ...] = ()
    positional: int = 0


def layer_of(
    kind: str, positional: dict[str, Any], optional: dict[str, tuple[Any, Any]] | None = None
) -> Layer:
    """A layer whose optional arguments, ``name: (value, default)``, are kept where they differ."""
    kept = {name: v for name, (v, default) in (optional or {}).items() if v != default}
    return Layer(kind, (*positional.items(), *kept.items()), len(positional))


def short(sizes: tuple[Any, ...]) -> Any:
    """Equal sizes of all axes as a single one, as people write them."""
    return sizes[0] if len(set(sizes)) == 1 else sizes
