"""Python identifiers from the scopes of a graph, which may hold any text."""

import keyword
import re
from collections.abc import Container
from typing import Final

from torch import fx

_MAX_LENGTH: Final = 40
#: What modules have already, those that run an fx graph included.
_TAKEN: Final = frozenset({*dir(fx.GraphModule), "training", "call_super_init"})
#: Short names of layers, as people call them.
_SHORT: Final = {
    "Linear": "linear",
    "Dropout": "dropout",
    "Identity": "identity",
    "Embedding": "embedding",
    "Parameter": "weight",
}


def identifier(text: str, fallback: str) -> str:
    """A name for an attribute: ASCII letters, digits and underscores, none of a module."""
    name = re.sub(r"[^0-9A-Za-z]+", "_", text)[:_MAX_LENGTH].strip("_").lower()
    if not name:
        name = fallback
    if name[0].isdigit():
        name = f"{fallback}{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def unused(name: str, taken: Container[str], joint: str = "_") -> str:
    """The name, or the first numbered one that is not taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}{joint}{number}" in taken:
        number += 1
    return f"{name}{joint}{number}"


def kind_name(kind: str) -> str:
    """What a layer is called where nothing else is known: ``Conv2d`` is ``conv``."""
    if kind in _SHORT:
        return _SHORT[kind]
    if kind.endswith("Norm") or "Norm" in kind:
        return "bn" if kind.startswith("Batch") else "norm"
    return re.sub(r"\d+d$", "", kind).lower()


def class_name(label: str, parent: str) -> str:
    """The name of a block's class: ``cell0`` gives ``Cell``, ``0`` in ``layer1`` ``LayerBlock``."""
    words = _words(label)
    if not words or words == ["block"]:
        words = [*(word for word in _words(parent) if word.rstrip("s") != "block"), "block"]
    return "".join(word.capitalize() for word in words)


def _words(text: str) -> list[str]:
    return re.findall("[a-z]+", text[:_MAX_LENGTH].lower())
