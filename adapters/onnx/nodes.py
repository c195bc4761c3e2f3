"""Nodes of an ONNX graph as plain Python objects, with attributes that are checked when read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gennape_plugin.core.errors import GraphError

_MAX_NAME: Final = 200
_MISSING: Final = object()


@dataclass(slots=True, eq=False)
class OnnxNode:
    """One node.

    Attributes:
        op: Name of the operator.
        domain: Its domain, empty for the standard one.
        name: Name of the node, for people.
        inputs: Names of the values that it reads; empty names were left out.
        outputs: Names of the values that it writes.
        attrs: Attributes by name: numbers, text, tuples of these, ``TensorProto`` messages
            and :class:`Subgraph`.
    """

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The node in messages."""
        label = self.name or (self.outputs[0] if self.outputs else "")
        op = f"{self.domain}.{self.op}" if self.domain else self.op
        return f"node {label!r:.{_MAX_NAME}} ({op:.{_MAX_NAME}})"

    def int(self, name: str, default: Any = _MISSING) -> Any:
        """An integer attribute."""
        return self._get(name, int, default)

    def float(self, name: str, default: Any = _MISSING) -> Any:
        """A floating-point attribute."""
        return float(self._get(name, float, default))

    def text(self, name: str, default: Any = _MISSING) -> Any:
        """A text attribute."""
        return self._get(name, str, default)

    def ints(self, name: str, default: Any = _MISSING) -> Any:
        """A tuple of integers."""
        value = self._get(name, tuple, default)
        if value is not default and not all(isinstance(entry, int) for entry in value):
            raise GraphError(f"attribute {name!r} is {value!r:.80}: it must hold integers")
        return value

    def _get(self, name: str, kind: type[Any], default: Any) -> Any:
        value = self.attrs.get(name, default)
        if value is _MISSING:
            raise GraphError(f"it lacks the attribute {name!r}")
        if value is not default and not isinstance(value, kind):
            raise GraphError(f"attribute {name!r} is {value!r:.80}: it must be {kind.__name__}")
        return value


@dataclass(slots=True, eq=False)
class Subgraph:
    """A graph inside a node, such as the branch of an ``If``.

    Attributes:
        graph: The ``GraphProto``.
        rename: From names that it reads from outside to names unique in the whole model.
        free: The names that it reads from outside, renamed, once they have been looked for.
    """

    graph: Any
    rename: Callable[[str], str]
    free: tuple[str, ...] | None = None


def text_of(value: Any) -> str:
    """Text of a message, which protobuf hands over as bytes where it is no UTF-8.

    Raises:
        GraphError: if it is no text.
    """
    if not isinstance(value, str):
        raise GraphError(f"a name in the model is no UTF-8 text: {value!r:.80}")
    return value


@dataclass(frozen=True, slots=True)
class AttrRef:
    """An attribute of a function's body that stands for an attribute of the call."""

    name: str


def read_attributes(attributes: Any, rename: Callable[[str], str] = str) -> dict[str, Any]:
    """The attributes of a ``NodeProto`` (or of a function's defaults) by name.

    Args:
        attributes: ``AttributeProto`` messages.
        rename: For the names that graphs among them read from outside.
    """
    return {attribute.name: _attribute(attribute, rename) for attribute in attributes}


def _attribute(attribute: Any, rename: Callable[[str], str]) -> Any:
    if attribute.ref_attr_name:
        return AttrRef(attribute.ref_attr_name)
    kind = attribute.type or _guess(attribute)
    match kind:
        case 1:
            return float(attribute.f)
        case 2:
            return int(attribute.i)
        case 3:
            return attribute.s.decode("utf-8", "replace")
        case 4:
            return attribute.t
        case 5:
            return Subgraph(attribute.g, rename)
        case 6:
            return tuple(attribute.floats)
        case 7:
            return tuple(attribute.ints)
        case 8:
            return tuple([text.decode("utf-8", "replace") for text in attribute.strings])
        case _:
            return None  # nothing that a handler reads


def _guess(attribute: Any) -> int:
    """The kind of an attribute of an old file, which does not say."""
    for number, name in ((1, "f"), (2, "i"), (3, "s"), (4, "t"), (5, "g")):
        if attribute.HasField(name):
            return number
    for number, name in ((6, "floats"), (7, "ints"), (8, "strings")):
        if len(getattr(attribute, name)):
            return number
    return 0
