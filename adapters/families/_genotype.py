"""Genotypes of the DARTS search space: two cells, checked and written down.

The text form is the one that DARTS prints. It is read token by token, never evaluated.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Final

from gennape_plugin.core.errors import ArchitectureError

from ._darts import NODES, OPERATIONS, Edges
from ._text import shown

CONCAT: Final = (2, 3, 4, 5)
_CONCAT_RANGE: Final = range(2, 6)

_FORM: Final = (
    "Genotype(normal=[('op', j), ...], normal_concat=[2, 3, 4, 5], "
    "reduce=[('op', j), ...], reduce_concat=[2, 3, 4, 5])"
)
_FIELDS: Final = ("normal", "normal_concat", "reduce", "reduce_concat")
_TOKEN = re.compile(r"""\s*(?:([A-Za-z_]+)|([0-9])(?!\w)|'(\w*)'|"(\w*)"|(\S))""")
_MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Genotype301:
    """Two cells; a pair says an operation and the state that it reads, two pairs a node.

    Attributes:
        normal: The cell that keeps the resolution.
        reduce: The cell that halves it.
    """

    normal: Edges
    reduce: Edges

    def __str__(self) -> str:
        concat = list(CONCAT)
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={concat}, "
            f"reduce={list(self.reduce)}, reduce_concat={concat})"
        )


def genotype_of(encoding: object) -> Genotype301:
    """Check a genotype in any of its forms.

    Raises:
        ArchitectureError: saying what is wrong and what is allowed.
    """
    fields = _fields(encoding)
    for name in ("normal_concat", "reduce_concat"):
        value = fields.get(name, CONCAT)
        if isinstance(value, list | tuple) and len(value) == len(CONCAT):
            known = tuple(map(_integer, value)) == CONCAT
        else:
            known = isinstance(value, range) and value == _CONCAT_RANGE
        if not known:
            raise ArchitectureError(
                f"{name} of a NAS-Bench-301 genotype is always {list(CONCAT)}, got {shown(value)}"
            )
    return Genotype301(_edges("normal", fields["normal"]), _edges("reduce", fields["reduce"]))


def _fields(encoding: object) -> Mapping[str, Any]:
    if isinstance(encoding, str):
        fields: Mapping[str, Any] | None = _read(encoding) if len(encoding) < _MAX_TEXT else None
    elif isinstance(encoding, Mapping):
        fields = encoding
    else:
        fields = {name: getattr(encoding, name) for name in _FIELDS if hasattr(encoding, name)}
    if fields is None or not {"normal", "reduce"} <= fields.keys() <= set(_FIELDS):
        raise ArchitectureError(
            f"not a NAS-Bench-301 genotype: give {_FORM!r}, or a mapping with these fields, "
            f"got {shown(encoding)}"
        )
    return fields


def _read(text: str) -> dict[str, Any] | None:
    """The fields of a printed genotype; ``None`` if it is not one. Nothing is evaluated."""
    tokens: list[str | int] = []
    for name, digits, single, double, mark in _TOKEN.findall(text.rstrip()):
        # A string keeps one quote, to be told from a name.
        tokens.append(int(digits) if digits else name or mark or f"'{single or double}")
    reader = _Reader(tokens)
    try:
        fields = reader.genotype()
    except (IndexError, TypeError, ValueError):
        return None
    return fields if reader.place == len(tokens) else None


class _Reader:
    """Reads the tokens of a genotype; a token out of place raises ``ValueError``."""

    def __init__(self, tokens: list[str | int]) -> None:
        self.tokens = tokens
        self.place = 0

    def take(self, *allowed: str) -> str | int:
        """The next token, which must be one of those allowed."""
        token = self.tokens[self.place]
        if token not in allowed:
            raise ValueError(token)
        self.place += 1
        return token

    def genotype(self) -> dict[str, Any]:
        """Named fields between parentheses, each a list or a range."""
        self.take("Genotype")
        self.take("(")
        fields: dict[str, Any] = {}
        while True:
            # A field that is there already is out of place.
            name = str(self.take(*(f for f in _FIELDS if f not in fields)))
            self.take("=")
            if self.tokens[self.place] == "range":
                self.take("range")
                fields[name] = range(*self.items("(", ")"))
            else:
                fields[name] = self.items("[", "]")
            if self.take(",", ")") == ")":
                return fields

    def items(self, opening: str, closing: str) -> list[Any]:
        """Values between brackets: integers, strings, and pairs in parentheses."""
        self.take(opening)
        values: list[Any] = []
        while True:
            token = self.tokens[self.place]
            if token == "(" and opening == "[":
                values.append(tuple(self.items("(", ")")))
            elif isinstance(token, int) or token[0] == "'":
                self.place += 1
                values.append(token if isinstance(token, int) else token[1:])
            else:
                raise ValueError(token)
            if self.take(",", closing) == closing:
                return values


def _integer(value: object) -> int | None:
    """A value as an integer if it is one (NumPy's are too; a truth value is a mistake)."""
    return None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)


def _edges(name: str, value: object) -> Edges:
    if not isinstance(value, list | tuple) or len(value) != 2 * NODES:
        got = len(value) if isinstance(value, list | tuple) else shown(value)
        raise ArchitectureError(
            f"the {name} cell of a NAS-Bench-301 genotype has {2 * NODES} pairs ('op', j), "
            f"two a node, got {got}"
        )
    edges = []
    for place, pair in enumerate(value):
        op, j = pair if isinstance(pair, list | tuple) and len(pair) == 2 else (None, None)
        state, node = _integer(j), place // 2
        if not isinstance(op, str) or op not in OPERATIONS:
            raise ArchitectureError(
                f"pair {place} of the {name} cell is {shown(pair)}: it must be ('op', j) with "
                f"one of the operations {', '.join(OPERATIONS)}"
            )
        if state is None or not 0 <= state < node + 2:
            raise ArchitectureError(
                f"pair {place} of the {name} cell is {shown(pair)}: node {node + 2} reads the "
                f"states 0 to {node + 1}"
            )
        edges.append((str(op), state))
        if place % 2 and edges[-2][1] == state:
            raise ArchitectureError(
                f"node {node + 2} of the {name} cell reads state {state} twice: its two "
                "operations read different states"
            )
    return tuple(edges)
