"""`ComputeGraph`: any network as one immutable graph of atomic operations.

The graph keeps what is needed to build the network back: ordered operands with
multiplicity, every attribute, several inputs, shared weights. The paper's smaller
view of it is :meth:`ComputeGraph.paper_view`.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .canonical import canonical_hash
from .errors import GraphError
from .node import Node
from .paper import PaperGraph, paper_view

if TYPE_CHECKING:
    from torch import nn

MAX_NODES = 1_000_000  # the documented limit on any graph, whatever it was read from


class ComputeGraph:
    """An immutable, validated graph of operations, producers before consumers.

    Two graphs are equal when their nodes, operands and sharing are equal in the same
    order; :attr:`hash` is equal under any renumbering of the nodes.

    Attributes:
        nodes: The operations; every operand comes before the node that reads it, the
            single ``output`` node is last.
        operands: For each node, the indices of the nodes it reads, in order.
        weight_of: For each node, the index of the node that owns its weights: itself,
            or an earlier node where a module is applied more than once.
        scopes: For each node, where it comes from (``"layer1.0.conv1"``), for people.
        name: Name of the network, for people.
    """

    __slots__ = ("__dict__", "name", "nodes", "operands", "scopes", "weight_of")

    nodes: tuple[Node, ...]
    operands: tuple[tuple[int, ...], ...]
    weight_of: tuple[int, ...]
    scopes: tuple[str, ...]
    name: str

    def __init__(
        self,
        nodes: Sequence[Node],
        operands: Sequence[Sequence[int]],
        *,
        weight_of: Sequence[int] | None = None,
        scopes: Sequence[str] | None = None,
        name: str = "",
        _trusted: bool = False,
    ) -> None:
        """Validate and freeze a graph.

        Args:
            nodes: Operations in an order where producers come first; the last is ``output``.
            operands: Indices of each node's operands.
            weight_of: Owner of each node's weights; every node its own where left out.
            scopes: Origin of each node, for people.
            name: Name of the network, for people.

        Raises:
            GraphError: if the graph is cyclic, disconnected, has no or several outputs,
                or if a node's recorded operand shapes are not those of its operands.
        """
        set_ = object.__setattr__
        set_(self, "nodes", tuple(nodes))
        set_(self, "operands", tuple(map(tuple, operands)))
        count = len(self.nodes)
        set_(self, "weight_of", tuple(range(count)) if weight_of is None else tuple(weight_of))
        set_(self, "scopes", ("",) * count if scopes is None else tuple(scopes))
        set_(self, "name", name)
        if not _trusted:
            self._validate()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a ComputeGraph is immutable: {name!r} cannot be set")

    def _validate(self) -> None:
        count = len(self.nodes)
        if not 0 < count <= MAX_NODES:
            raise GraphError(f"a graph has 1 to {MAX_NODES} nodes, got {count}")
        if not count == len(self.operands) == len(self.weight_of) == len(self.scopes):
            raise GraphError(
                f"{count} nodes, {len(self.operands)} operand lists, {len(self.weight_of)} weight "
                f"owners and {len(self.scopes)} scopes: all four must be equally many"
            )
        read = [False] * count
        for index, (node, operands) in enumerate(zip(self.nodes, self.operands, strict=True)):
            for operand in operands:
                if not 0 <= operand < index:
                    raise GraphError(
                        f"node {index} ({node.op}) reads node {operand}: operands must come before "
                        f"their readers, so 0 to {index - 1} are allowed"
                    )
                read[operand] = True
            shapes = tuple(self.nodes[operand].shape for operand in operands)
            if shapes != node.in_shapes:
                raise GraphError(
                    f"node {index} ({node.op}) expects operands of shapes {node.in_shapes}, "
                    f"but reads {shapes}"
                )
            owner = self.weight_of[index]
            if not 0 <= owner <= index or self.weight_of[owner] != owner:
                raise GraphError(f"node {index} cannot share the weights of node {owner}")
            if self.nodes[owner].params != node.params:
                raise GraphError(
                    f"nodes {owner} and {index} share weights but have "
                    f"{self.nodes[owner].params} and {node.params} parameters"
                )
        if self.nodes[-1].op != "output" or sum(n.op == "output" for n in self.nodes) != 1:
            raise GraphError("a graph has exactly one output node, and it comes last")
        if not any(node.op == "input" for node in self.nodes):
            raise GraphError("a graph needs at least one input node")
        dead = [i for i in range(count - 1) if not read[i] and self.nodes[i].op != "input"]
        if dead:
            raise GraphError(
                f"node {dead[0]} ({self.nodes[dead[0]].op}) and {len(dead) - 1} more are read by "
                "nothing: remove them"
            )

    # -- size and cost -----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def num_edges(self) -> int:
        """Operand reads, multiplicity included (the paper's count: ``paper_view()``)."""
        return sum(map(len, self.operands))

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one forward pass at the recorded batch size."""
        return sum([node.macs for node in self.nodes])

    @property
    def flops(self) -> int:
        """FLOPs as ``2 x multiply-adds``: convolutions and matrix products only."""
        return 2 * self.macs

    @cached_property
    def params(self) -> int:
        """Learned parameters, weights shared by several nodes counted once."""
        owned = zip(self.nodes, self.weight_of, range(len(self.nodes)), strict=True)
        return sum([node.params for node, owner, i in owned if owner == i])

    # -- views ---------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the input nodes."""
        return tuple(i for i, node in enumerate(self.nodes) if node.op == "input")

    def edges(self) -> Iterator[tuple[int, int, int]]:
        """``(producer, consumer, operand position)`` of every read."""
        for consumer, operands in enumerate(self.operands):
            for position, producer in enumerate(operands):
                yield producer, consumer, position

    def paper_view(self) -> PaperGraph:
        """The graph under the paper's folding rules (see :mod:`.paper`)."""
        return paper_view(self)

    def to_module(self) -> "nn.Module":
        """The network that the graph describes, as a module with fresh weights.

        See :func:`gennape_plugin.core.rebuild.to_module`.

        Raises:
            RebuildError: naming the first operation that the graph does not describe fully.
        """
        from .rebuild import to_module

        return to_module(self)

    def renamed(self, name: str) -> "ComputeGraph":
        """The same graph under another name."""
        return ComputeGraph(
            self.nodes,
            self.operands,
            weight_of=self.weight_of,
            scopes=self.scopes,
            name=name,
            _trusted=True,
        )

    @cached_property
    def hash(self) -> str:
        """Canonical hash (32 hex digits), equal under any renumbering of the nodes."""
        return canonical_hash(self)

    # -- identity --------------------------------------------------------------------------

    @property
    def _identity(self) -> tuple[Any, ...]:
        return (self.nodes, self.operands, self.weight_of)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComputeGraph) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[Any, ...]:
        from .graph_json import graph_from_dict, graph_to_dict

        return graph_from_dict, (graph_to_dict(self),)

    def __repr__(self) -> str:
        label = f"{self.name!r}, " if self.name else ""
        return (
            f"ComputeGraph({label}{len(self)} nodes, {self.num_edges} edges, "
            f"{self.flops / 1e9:.4g} GFLOPs, {self.params / 1e6:.4g} M parameters)"
        )
