"""A graph while it is being changed.

Node numbers stay what they are in the graph; new nodes get numbers after them and are
told before which node they come. :meth:`Draft.build` drops what the output no longer
depends on, infers shapes again downstream of every change, repairs where operands no
longer fit (:mod:`.repair`), and numbers the nodes anew.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node, make_node
from gennape_plugin.core.shapes import Shape

from .repair import JOINS, RejectedError, adapted, projection, remade, wanted


class Draft:
    """Edits of one graph.

    Attributes:
        nodes: The operations by number, new ones last. Shapes downstream of a change are
            those from before it until :meth:`build`.
        operands: Numbers of what each reads.
        scopes: Origin of each, for people.
    """

    def __init__(
        self, graph: ComputeGraph, frozen: Collection[int] = (), *, norm: bool = True
    ) -> None:
        """Start from a graph.

        Args:
            graph: The graph.
            frozen: Numbers of nodes that must stay as they are, shapes included.
            norm: Whether a batch norm follows each projection that a repair inserts.
        """
        self.graph = graph
        self.nodes: list[Node] = list(graph.nodes)
        self.operands: list[tuple[int, ...]] = list(graph.operands)
        self.scopes: list[str] = list(graph.scopes)
        self.repairs = 0
        self._frozen, self._norm = frozen, norm
        self._before: dict[int, list[int]] = {}
        self._place: dict[int, int] = {}
        self._touched: set[int] = set()
        self._reshaped: set[int] = set()
        self._cut = False

    # -- edits ---------------------------------------------------------------------------

    def put(self, node: Node, operands: tuple[int, ...], before: int, scope: str) -> int:
        """Add a node right before another (after those added there earlier).

        The caller vouches that the operands come before that place.
        """
        index = len(self.nodes)
        self.nodes.append(node)
        self.operands.append(operands)
        self.scopes.append(scope)
        self._before.setdefault(before, []).append(index)
        return index

    def add(
        self,
        op: str,
        operands: tuple[int, ...],
        before: int,
        scope: str,
        attrs: Mapping[str, Any] | None = None,
    ) -> int:
        """:meth:`put` of an operation that is made here.

        Raises:
            RejectedError: where the operands do not fit.
        """
        shapes = tuple([self.nodes[o].shape for o in operands])
        try:
            node = make_node(op, attrs or {}, shapes, in_axis=self.nodes[operands[0]].axis)
        except GraphError as error:
            raise RejectedError(str(error)) from None
        return self.put(node, operands, before, scope)

    def change(self, index: int, **attrs: Any) -> None:
        """Give a node other attributes.

        Raises:
            RejectedError: where they do not fit its operands.
        """
        node = self.nodes[index]
        self.swap(index, remade(node, node.in_shapes, node.in_axis, **attrs))

    def swap(self, index: int, node: Node) -> None:
        """Put another operation with the same operands in a node's place."""
        if node.shape != self.nodes[index].shape or node.axis != self.nodes[index].axis:
            self._reshaped.add(index)
        self.nodes[index] = node

    def read(self, index: int, operands: tuple[int, ...]) -> None:
        """Give a node other operands, which come before it."""
        self.operands[index] = operands
        self._touched.add(index)
        self._cut = True

    def redirect(self, old: int, new: int, readers: Iterable[int]) -> None:
        """Let readers of one value read another instead."""
        for reader in readers:
            self.read(reader, tuple([new if o == old else o for o in self.operands[reader]]))

    # -- the child -------------------------------------------------------------------------

    def build(self) -> ComputeGraph:
        """The changed graph.

        Raises:
            RejectedError: where a shape cannot be repaired, the output would change, or the input
                would not be read.
        """
        order = self._order()
        if self._cut:
            order = self._alive(order)
        return self._numbered(self._propagated(order))

    def _order(self) -> list[int]:
        count = len(self.graph)
        if not self._before:
            return list(range(count))
        order: list[int] = []
        start = 0
        for place in sorted(self._before):
            order.extend(range(start, place))
            order.extend(self._before[place])
            start = place
        order.extend(range(start, count))
        return order

    def _alive(self, order: list[int]) -> list[int]:
        """Without what the output does not depend on."""
        operands = self.operands
        alive = bytearray(len(self.nodes))
        alive[order[-1]] = 1
        for index in reversed(order):
            if alive[index]:
                for operand in operands[index]:
                    alive[operand] = 1
        if not all(alive[i] for i in self.graph.inputs):
            raise RejectedError("the output would not depend on the input")
        if not all(alive[i] for i in self._frozen):
            raise RejectedError("a frozen node would be cut off")
        return [i for i in order if alive[i]]

    def _propagated(self, order: list[int]) -> list[int]:
        """Shapes inferred again where operands changed; the order with repairs in it."""
        nodes, operands, touched = self.nodes, self.operands, self._touched
        changed = self._reshaped
        found: list[int] = []
        repaired: dict[tuple[int, Shape], int] = {}
        for index in order:
            if index in touched or not changed.isdisjoint(operands[index]):
                before = nodes[index]
                self._fit(index, found, repaired)
                after = nodes[index]
                if after.shape != before.shape or after.axis != before.axis:
                    changed.add(index)
            found.append(index)
        return found

    def _fit(self, index: int, order: list[int], repaired: dict[tuple[int, Shape], int]) -> None:
        nodes, reads = self.nodes, self.operands[index]
        node = nodes[index]
        shapes = tuple([nodes[o].shape for o in reads])
        axis = nodes[reads[0]].axis
        if shapes == node.in_shapes and axis == node.in_axis:
            return
        if node.op == "output":
            raise RejectedError(f"the output would have shape {shapes[0]}")
        if index in self._frozen:
            fitted, targets = None, node.in_shapes
            if len(targets) != len(shapes):
                raise RejectedError("a frozen node would lose an operand")
        else:
            fitted, targets = adapted(node, shapes, axis), ()
        if fitted is None:
            targets = targets or wanted(node, shapes)
            reads = tuple(
                [
                    o if shape == target else self._projected(o, target, index, order, repaired)
                    for o, shape, target in zip(reads, shapes, targets, strict=True)
                ]
            )
            self.operands[index] = reads
            if targets == node.in_shapes and nodes[reads[0]].axis == node.in_axis:
                return
            fitted = remade(node, targets, nodes[reads[0]].axis)
            if node.op in JOINS and fitted.shape != node.shape:
                raise RejectedError("a join would have another shape")
        nodes[index] = fitted

    def _projected(
        self,
        operand: int,
        target: Shape,
        reader: int,
        order: list[int],
        repaired: dict[tuple[int, Shape], int],
    ) -> int:
        """A value of the target shape made of another; one for all its readers."""
        if (operand, target) in repaired:
            return repaired[operand, target]
        node, norm = projection(self.nodes[operand].shape, self.nodes[operand].axis, target)
        made = operand
        scope = self.scopes[operand if reader in self._frozen else reader]
        parts = [node]
        if norm and self._norm:
            parts.append(make_node("batch_norm", {}, (target,), in_axis=1))
        for part in parts:
            self.nodes.append(part)
            self.operands.append((made,))
            self.scopes.append(scope)
            made = len(self.nodes) - 1
            order.append(made)
        self.repairs += 1
        repaired[operand, target] = made
        return made

    def _numbered(self, order: list[int]) -> ComputeGraph:
        nodes, operands, scopes = self.nodes, self.operands, self.scopes
        # What lies before the first new or dropped node keeps its number.
        same = next((new for new, old in enumerate(order) if new != old), len(order))
        number = {old: new for new, old in enumerate(order)}
        get = number.__getitem__
        owners = self.graph.weight_of
        count = len(self.graph)
        shared = None
        if owners != tuple(range(count)):
            shared = self._owners(order, number)
        return ComputeGraph(
            [nodes[i] for i in order],
            operands[:same] + [tuple(map(get, operands[i])) for i in order[same:]],
            weight_of=shared,
            scopes=[scopes[i] for i in order],
            name=self.graph.name,
            _trusted=True,
        )

    def _owners(self, order: list[int], number: dict[int, int]) -> list[int]:
        """Weights stay shared among nodes that still have equal operations."""
        owners, count = self.graph.weight_of, len(self.graph)
        heirs: dict[tuple[int, Any, Any], int] = {}
        found = []
        for i in order:
            node = self.nodes[i]
            owner = owners[i] if i < count else i
            found.append(heirs.setdefault((owner, node.op, node.attrs), number[i]))
            if self.nodes[order[found[-1]]].params != node.params:
                found[-1] = number[i]
        return found
