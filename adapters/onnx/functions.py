"""Local functions written out, with a bound on the result before anything is made.

Functions that call functions twice grow as two to the depth: sizes are counted first, in
Python integers, and the expansion is refused where it would exceed the limit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from gennape_plugin.core.errors import GraphError

from .nodes import AttrRef, OnnxNode, read_attributes, text_of

_MAX_DEPTH: Final = 100  # of functions that call each other
MAX_WRITTEN_OUT: Final = 100_000  # nodes that calls of local functions may become
_STANDARD: Final = frozenset({"", "ai.onnx"})

Key = tuple[str, str, str]


def domain_of(name: str) -> str:
    """A domain under its short name."""
    return "" if name in _STANDARD else name


class Functions:
    """The local functions of a model."""

    def __init__(self, functions: Sequence[Any], *, max_nodes: int) -> None:
        """Index and measure them.

        Args:
            functions: ``FunctionProto`` messages.
            max_nodes: More nodes than this, written out, are refused.
        """
        self._table: dict[Key, Any] = {}
        for function in functions:
            key = (domain_of(function.domain), function.name, function.overload)
            if key in self._table:
                raise GraphError(f"function {function.name!r:.200} is defined twice")
            self._table[key] = function
        self._sizes: dict[Key, int] = {}
        self._left = max_nodes
        self._calls_left = min(max_nodes, MAX_WRITTEN_OUT)
        self._calls = 0

    def expand(
        self, nodes: Sequence[Any], rename: Callable[[str], str] = str
    ) -> Iterator[OnnxNode]:
        """Nodes with every call of a local function replaced by its body.

        Args:
            nodes: ``NodeProto`` messages.
            rename: From names inside to names that are unique in the whole model.

        Raises:
            GraphError: beyond the limit, or for functions that call themselves.
        """
        self._left -= len(nodes)
        self._calls_left -= sum(self._size_of(node, ()) for node in nodes) - len(nodes)
        if self._left < 0:
            raise GraphError("the model has more nodes than are allowed")
        if self._calls_left < 0:
            raise GraphError(
                f"the model's local functions become more than {MAX_WRITTEN_OUT} nodes once they "
                "are written out"
            )
        yield from self._expand(nodes, rename, None)

    # -- measuring ---------------------------------------------------------------------

    def _size_of(self, node: Any, path: tuple[Key, ...]) -> int:
        key = (domain_of(node.domain), node.op_type, node.overload)
        function = self._table.get(key)
        if function is None:
            return 1
        known = self._sizes.get(key)
        if known is None:
            if key in path or len(path) >= _MAX_DEPTH:
                raise GraphError(
                    f"function {node.op_type!r:.200} calls itself, or functions are nested deeper "
                    f"than {_MAX_DEPTH}"
                )
            path = (*path, key)
            known = 1 + sum(self._size_of(inner, path) for inner in function.node)
            self._sizes[key] = known
        return known

    # -- writing out -------------------------------------------------------------------

    def _expand(
        self,
        nodes: Sequence[Any],
        rename: Callable[[str], str],
        arguments: dict[str, Any] | None,
    ) -> Iterator[OnnxNode]:
        for proto in nodes:
            attrs = read_attributes(proto.attribute, rename)
            if arguments is not None:
                attrs = _substituted(attrs, arguments)
            node = OnnxNode(
                text_of(proto.op_type),
                domain_of(text_of(proto.domain)),
                text_of(proto.name),
                tuple([rename(text_of(name)) if name else "" for name in proto.input]),
                tuple([rename(text_of(name)) if name else "" for name in proto.output]),
                attrs,
            )
            function = self._table.get((node.domain, node.op, proto.overload))
            if function is None:
                yield node
            else:
                yield from self._call(node, function)

    def _call(self, node: OnnxNode, function: Any) -> Iterator[OnnxNode]:
        if len(node.inputs) > len(function.input) or len(node.outputs) > len(function.output):
            raise GraphError(
                f"{node.title} passes {len(node.inputs)} inputs and {len(node.outputs)} outputs to "
                f"a function of {len(function.input)} and {len(function.output)}"
            )
        self._calls += 1
        suffix = f"@{self._calls}"
        names: dict[str, str] = dict.fromkeys(function.input, "")
        names.update(zip(function.input, node.inputs, strict=False))
        aliases: list[OnnxNode] = []
        for inner, outer in zip(function.output, node.outputs, strict=False):
            if not outer:
                continue
            if inner in names:  # an input passed on, or one value returned twice
                aliases.append(OnnxNode("Identity", "", node.name, (names[inner],), (outer,)))
            else:
                names[inner] = outer
        defaults = read_attributes(function.attribute_proto)
        yield from self._expand(
            function.node, lambda name: names.get(name, name + suffix), {**defaults, **node.attrs}
        )
        yield from aliases


def _substituted(attrs: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a body with those of the call put in; absent ones stay absent."""
    out = {}
    for name, value in attrs.items():
        if isinstance(value, AttrRef):
            if value.name not in arguments:
                continue
            value = arguments[value.name]
        out[name] = value
    return out
