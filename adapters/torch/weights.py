"""Which node owns which weight, so that weights used twice are counted once.

A parameter is known by its identity. A weight computed from parameters (a parametrization,
a transposed table) is a new tensor at each use; it is known by how it is computed.
"""

from collections.abc import Hashable, Sequence

from gennape_plugin.core.builder import GraphBuilder
from torch import Tensor, nn


class WeightBook:
    """Keys of weights, for the owners that a builder keeps."""

    def __init__(self, builder: GraphBuilder) -> None:
        self._builder = builder
        self._parameters: dict[int, int] = {}  # node of a parameter -> id of the parameter
        self._inside: dict[int, tuple[int, ...]] = {}  # custom node -> ids of its parameters
        self._made: dict[int, Hashable] = {}  # keys of the nodes that compute weights
        self._formulas: dict[Hashable, int] = {}
        self._alive: dict[int, Tensor] = {}  # an id is a key only while its tensor lives

    def key(self, weight: Tensor, node: int | None) -> Hashable:
        """The key of a weight: equal for all its uses.

        Args:
            weight: The weight.
            node: The node that computes it, if there is one.
        """
        if node is not None:
            return self._structure(node)
        self._alive[id(weight)] = weight
        return ("tensor", id(weight))

    def note_parameter(self, node: int, parameter: nn.Parameter) -> None:
        """Say that a node is a parameter, used as a tensor."""
        self._parameters[node] = id(parameter)

    def note_custom(self, node: int, weights: Sequence[nn.Parameter]) -> None:
        """Say that a custom node reads parameters, which it owns if nothing else does."""
        self._inside[node] = tuple(map(id, weights))
        for weight in weights:
            self._builder.owners.setdefault(self.key(weight, None), node)

    def unowned(self, weights: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """The parameters that no node uses yet."""
        return [weight for weight in weights if self.key(weight, None) not in self._builder.owners]

    def forget_from(self, count: int) -> None:
        """Forget the owners among the nodes from ``count`` on."""
        kept = {key: node for key, node in self._builder.owners.items() if node < count}
        self._builder.owners = kept

    def _structure(self, node: int) -> Hashable:
        known = self._made.get(node)
        if known is not None:
            return known
        definition, operands = self._builder.nodes[node], self._builder.operands[node]
        key: Hashable
        if definition.op == "parameter":
            key = ("tensor", self._parameters.get(node, -1 - node))
        elif definition.op == "permute":  # W and its transpose are one weight
            key = self._structure(operands[0])
        else:
            own: Hashable = definition
            if definition.op == "custom":  # which use came first is no part of what it is
                own = definition.attr("target"), definition.shape, self._inside.get(node)
            formula = own, tuple(self._structure(operand) for operand in operands)
            # Numbered, so that keys stay small however often a formula reads a node.
            key = ("formula", self._formulas.setdefault(formula, len(self._formulas)))
        self._made[node] = key
        return key
