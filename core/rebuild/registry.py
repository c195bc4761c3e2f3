"""The table of rules: how each operation of the vocabulary is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NoReturn

from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.core.shapes import Shape

from .batch_axis import BatchAxis
from .expressions import Call, Layer, Operand


@dataclass(frozen=True, slots=True)
class Built:
    """How one operation is built.

    Attributes:
        call: The expression that computes it.
        layer: The module that the expression applies, where it has weights or a state.
        plain: A module that does the same as an expression without a layer, for use in
            ``nn.Sequential``; ``None`` where there is none.
        main: Where the operation's own result lies, if the expression gives several.
        parts: The same for its further results, by their ``index``.
    """

    call: Call
    layer: Layer | None = None
    plain: Layer | None = None
    main: tuple[int, ...] = ()
    parts: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Site:
    """One operation of a graph, as its rule sees it.

    Attributes:
        graph: The graph.
        index: Index of the node.
        batch: For each node of the graph, where its result holds the batch axis.
        parts_read: Whether something reads its further results.
    """

    graph: ComputeGraph
    index: int
    batch: tuple[BatchAxis | None, ...]
    parts_read: bool

    @property
    def node(self) -> Node:
        """The node."""
        return self.graph.nodes[self.index]

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of the operands."""
        return self.node.in_shapes

    @property
    def operands(self) -> tuple[Operand, ...]:
        """All operands in order."""
        return tuple(map(Operand, range(len(self.node.in_shapes))))

    def __getitem__(self, name: str) -> Any:
        return self.node.attr(name)

    def batch_in(self, position: int = 0) -> BatchAxis | None:
        """Where an operand holds the batch axis."""
        return self.batch[self.graph.operands[self.index][position]]

    @property
    def batch_out(self) -> BatchAxis | None:
        """Where the result holds the batch axis."""
        return self.batch[self.index]

    def refuse(self, reason: str) -> NoReturn:
        """Say why the operation cannot be built.

        Raises:
            RebuildError: always, naming node and scope.
        """
        node, scope = self.node, self.graph.scopes[self.index]
        title = f"custom {node.attr('target')!r:.80}" if node.op == "custom" else node.op
        place = f" in {scope!r:.120}" if scope else ""
        raise RebuildError(
            f"this graph cannot be rebuilt because of node {self.index} ({title}{place}): {reason}"
        )


Rule = Callable[[Site], Built]

_RULES: dict[str, Rule] = {}
#: Rules by name of the op.
RULES: Final[Mapping[str, Rule]] = MappingProxyType(_RULES)

X: Final = Operand(0)


def rule(names: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of one or more ops."""

    def register(function: Rule) -> Rule:
        for name in names.split():
            _RULES[name] = function
        return function

    return register


def layered(site: Site, layer: Layer) -> Built:
    """A layer applied to all operands."""
    return Built(Call("self", site.operands), layer)


def called(function: str, *args: Any, plain: Layer | None = None, **kwargs: Any) -> Built:
    """A function without weights or state."""
    return Built(Call(function, args, tuple(kwargs.items())), plain=plain)
