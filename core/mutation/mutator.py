"""`Mutator`: random valid neighbours of a computation graph."""

import random
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph

from .anatomy import NOTHING, Anatomy, Frozen, check_classifier
from .draft import Draft
from .moves import MOVES
from .repair import ACTIVATIONS, RejectedError
from .subgraphs import OPTIONAL, Style

_REMEMBERED: Final = 256  # graphs whose anatomy is kept


@dataclass(frozen=True)
class Mutation:
    """A changed graph.

    Attributes:
        child: The new graph.
        move: Name of the move.
        detail: What was changed where, for people.
        repairs: Projections that were inserted so that operands agree.
    """

    child: ComputeGraph
    move: str
    detail: str
    repairs: int


class Mutator:
    """Proposes valid neighbours of graphs.

    Every child reads the same input and writes an output of the same shape, has no dead
    nodes, and keeps heights and widths at the border of what was changed. The same
    generator state gives the same children.

    Attributes:
        proposed: Proposals by move.
        accepted: Valid children by move.
        seconds: Time spent: ``"moves"`` and ``"repair"`` (shape inference, repairs, numbering).
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        moves: Collection[str] | Mapping[str, float] = tuple(MOVES),
        frozen: Frozen = NOTHING,
        ops: Collection[str] | None = None,
        max_nodes: int = 4096,
        attempts: int = 100,
    ) -> None:
        """Set up.

        Args:
            rng: Where all chance comes from.
            moves: Names of the moves, or their weights.
            frozen: Parts that stay as they are.
            ops: Operations that moves may bring in besides plain convolutions and what the
                network has as its usual activation: of ``depthwise``, ``grouped``,
                ``max_pool``, ``avg_pool``, ``concat``, ``add`` and activations. All where
                left out.
            max_nodes: Larger children are rejected, unless they are smaller than their parent.
            attempts: Proposals after which :meth:`mutate` gives up.

        Raises:
            InvalidInputError: for moves or operations that do not exist.
        """
        weights = moves if isinstance(moves, Mapping) else dict.fromkeys(moves, 1.0)
        known = OPTIONAL | ACTIVATIONS
        for given, allowed, what in ((weights, MOVES, "move"), (ops or (), known, "operation")):
            unknown = sorted(set(given) - set(allowed))
            if unknown:
                raise InvalidInputError(
                    f"unknown {what} {unknown[0]!r}: choose from {', '.join(sorted(allowed))}"
                )
        if not weights or min(weights.values()) < 0 or not sum(weights.values()):
            raise InvalidInputError("give at least one move, with a weight above 0")
        self.rng, self.frozen = rng, frozen
        self.max_nodes, self.attempts = max_nodes, attempts
        self._ops = known if ops is None else frozenset(ops)
        self._names, self._weights = list(weights), list(weights.values())
        self._known: OrderedDict[int, Anatomy] = OrderedDict()
        self.proposed, self.accepted = Counter[str](), Counter[str]()
        self.reasons = Counter[str]()
        self.seconds = {"moves": 0.0, "repair": 0.0}

    def propose(self, graph: ComputeGraph) -> Mutation | None:
        """One proposal; ``None`` if it gave no valid network."""
        started = perf_counter()
        anatomy = self._anatomy(graph)
        (name,) = self.rng.choices(self._names, self._weights)
        self.proposed[name] += 1
        style = Style(anatomy.activation, anatomy.norm, self._ops)
        draft = Draft(graph, anatomy.frozen, norm=anatomy.norm)
        child = None
        try:
            detail = MOVES[name](draft, anatomy, self.rng, style)
            between = perf_counter()
            try:
                child = draft.build()
            finally:
                self.seconds["repair"] += perf_counter() - between
                started += perf_counter() - between
            if len(child) > max(self.max_nodes, len(graph)):
                raise RejectedError("too many operations")
        except RejectedError as error:
            self.reasons[f"{name}: {error}"] += 1
            return None
        finally:
            self.seconds["moves"] += perf_counter() - started
        self.accepted[name] += 1
        return Mutation(child, name, detail, draft.repairs)

    def mutate(self, graph: ComputeGraph) -> Mutation:
        """The first valid proposal.

        Raises:
            InvalidInputError: if none of many proposals was valid, or the graph is no
                classifier of images.
        """
        for _ in range(self.attempts):
            found = self.propose(graph)
            if found is not None:
                return found
        raise InvalidInputError(
            f"none of {self.attempts} random changes of {graph.name or 'the network'} gave a valid "
            "network: allow more moves, or freeze less of it"
        )

    @property
    def acceptance(self) -> float:
        """Share of the proposals that gave a valid network."""
        return sum(self.accepted.values()) / max(sum(self.proposed.values()), 1)

    def _anatomy(self, graph: ComputeGraph) -> Anatomy:
        key = id(graph)  # the anatomy holds the graph, so its id is not used again
        found = self._known.get(key)
        if found is None:
            check_classifier(graph)
            self.frozen.check(graph)
            found = self._known[key] = Anatomy(graph, self.frozen.of(graph))
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found
