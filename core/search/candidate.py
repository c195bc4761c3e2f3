"""A network that a search has scored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import graph_from_dict, graph_to_dict


@dataclass(frozen=True)
class Scores:
    """What is known of a network without training it.

    Attributes:
        quality: Higher is better, in the unit of the predictor; the same kind of score for
            all networks of a search.
        excess: How far outside of the region that the predictor knows, 0 inside of it.
        accuracy: Predicted accuracy in percent.
        interval: Where the accuracy lies with 90 % coverage, in percent, if that is known.
        distance: Distance from the training graphs.
        unseen: Share of operations never trained on.
        flops: ``2 x multiply-adds``.
        params: Learned parameters.
        depth: Weighted layers on the longest path.
    """

    quality: float
    excess: float
    accuracy: float
    interval: tuple[float, float] | None
    distance: float
    unseen: float
    flops: int
    params: int
    depth: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "interval": None if self.interval is None else [*self.interval]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Scores":
        """Read what :meth:`to_dict` wrote.

        Raises:
            InvalidInputError: for anything else.
        """
        try:
            bounds = data["interval"]
            interval = None if bounds is None else (float(bounds[0]), float(bounds[1]))
            numbers = {
                name: float(data[name])
                for name in ("quality", "excess", "accuracy", "distance", "unseen")
            }
            counts = {name: int(data[name]) for name in ("flops", "params", "depth")}
        except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
            raise InvalidInputError(f"not the scores of a network: {error!r}") from None
        if not all(isfinite(value) for value in numbers.values()):
            raise InvalidInputError("not the scores of a network: a number is not finite")
        return cls(interval=interval, **numbers, **counts)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Candidate:
    """A scored network and where it comes from.

    Attributes:
        graph: The network.
        scores: What is known of it.
        generation: When it was made; 0 for the start.
        changes: What was changed since the start, in words, first to last.
    """

    graph: ComputeGraph
    scores: Scores
    generation: int = 0
    changes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the graph included."""
        return {
            "graph": graph_to_dict(self.graph),
            "scores": self.scores.to_dict(),
            "generation": self.generation,
            "changes": list(self.changes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Candidate":
        """Read what :meth:`to_dict` wrote.

        Raises:
            InvalidInputError: for anything else.
            GraphError: if the graph is not valid.
        """
        try:
            graph, scores = data["graph"], data["scores"]
            generation, changes = int(data["generation"]), tuple(map(str, data["changes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"not a candidate of a search: {error!r}") from None
        return cls(graph_from_dict(graph), Scores.from_dict(scores), generation, changes)
