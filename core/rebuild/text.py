"""Python text laid out as formatters lay it out: short expressions on one line, long ones not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

#: Columns of a line: the default of the common formatters.
WIDTH: Final = 88


@dataclass(frozen=True, slots=True)
class Group:
    """Text in brackets that may be broken: ``head``, the items, ``tail``."""

    head: str
    items: "tuple[Doc, ...]"
    tail: str = ")"


@dataclass(frozen=True, slots=True)
class Slot:
    """A number that may differ between the uses of one class.

    Attributes:
        name: Name of the argument that it is.
        value: The number, or numbers.
        key: Whether the name is written before it.
    """

    name: str
    value: int | tuple[int, ...]
    key: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same text several times, unpacked from a comprehension."""

    doc: "Doc"
    times: int


Doc = str | Group | Slot | Repeat


def filled(doc: Doc, fill: Callable[[Slot], str]) -> Doc:
    """The text with its slots replaced."""
    match doc:
        case Slot():
            text = fill(doc)
            return f"{doc.name}={text}" if doc.key else text
        case Group():
            return Group(doc.head, tuple(filled(item, fill) for item in doc.items), doc.tail)
    return doc


def slots_of(doc: Doc) -> list[Slot]:
    """All slots in order."""
    if isinstance(doc, Group):
        return [slot for item in doc.items for slot in slots_of(item)]
    return [doc] if isinstance(doc, Slot) else []


def flat(doc: Doc) -> str:
    """The text on one line."""
    match doc:
        case str():
            return doc
        case Group():
            return f"{doc.head}{', '.join(map(flat, doc.items))}{doc.tail}"
        case Repeat():
            return f"*[{flat(doc.doc)} for _ in range({doc.times})]"
    return flat(filled(doc, lambda slot: literal(slot.value)))


def laid_out(doc: Doc, indent: int, before: str = "", after: str = "") -> list[str]:
    """Lines of ``before``, the text and ``after``.

    Args:
        doc: The text.
        indent: Columns on its left.
        before: What the first line starts with, such as ``"x = "``.
        after: What the last line ends with, such as a comma.
    """
    space = " " * indent
    line = f"{space}{before}{flat(doc)}{after}"
    if len(line) <= WIDTH or isinstance(doc, str | Slot):
        return [line]
    if isinstance(doc, Repeat):
        inside = " " * (indent + 4)
        body = [*laid_out(doc.doc, indent + 4), f"{inside}for _ in range({doc.times})"]
        return [f"{space}{before}*[", *body, f"{space}]{after}"]
    if not doc.items:
        return [line]
    inner = " " * (indent + 4) + ", ".join(map(flat, doc.items))
    if len(inner) <= WIDTH:
        body = [inner]
    else:
        body = [line for item in doc.items for line in laid_out(item, indent + 4, after=",")]
    return [f"{space}{before}{doc.head}", *body, f"{space}{doc.tail}{after}"]


def literal(value: Any) -> str:
    """A constant of a graph as a Python literal.

    Raises:
        TypeError: for anything but numbers, text, ``None`` and tuples or lists of these.
    """
    match value:
        case None | bool() | int():
            return repr(value)
        case float():
            return repr(value) if isfinite(value) else f'float("{value}")'
        case str():
            return json.dumps(value)
        case slice():
            return _slice(value)
        case tuple():
            inner = ", ".join(map(literal, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case list():
            return f"[{', '.join(map(literal, value))}]"
    raise TypeError(f"{type(value).__name__} is no literal")


def _slice(value: slice) -> str:
    start, stop, step = ("" if v is None else str(v) for v in (value.start, value.stop, value.step))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def collapsed(items: Sequence[Doc]) -> tuple[Doc, ...]:
    """Items of a list; three or more equal ones in a row become a comprehension."""
    result: list[Doc] = []
    start = 0
    while start < len(items):
        text = flat(items[start])
        stop = start + 1
        while stop < len(items) and flat(items[stop]) == text:
            stop += 1
        if stop - start < 3:
            result.extend(items[start:stop])
        else:
            result.append(Repeat(items[start], stop - start))
        start = stop
    return tuple(result)
