"""What a search looks for: objectives and constraints, the predictor's region among them."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from gennape_plugin.core.errors import InvalidInputError

from .candidate import Candidate, Scores

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

OBJECTIVES: Final = ("quality", "flops", "params", "depth")


@dataclass(frozen=True)
class Goal:
    """Objectives and constraints.

    Attributes:
        objectives: Some of :data:`OBJECTIVES`; quality is maximised, the others minimised.
        max_flops: Largest FLOPs (2 x multiply-adds).
        max_params: Largest number of parameters.
        min_accuracy: Least predicted accuracy, in percent.
        min_quality: Least quality.
        trust_region: Whether networks outside of the region that the predictor knows count as
            breaking a constraint. Without it a search soon finds what the predictor is wrong
            about (docs/search.md).
    """

    objectives: tuple[str, ...] = ("quality", "flops")
    max_flops: int | float | None = None
    max_params: int | float | None = None
    min_accuracy: int | float | None = None
    min_quality: int | float | None = None
    trust_region: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.objectives if name not in OBJECTIVES]
        if unknown or not self.objectives:
            raise InvalidInputError(
                f"unknown objective {unknown or self.objectives}: choose from "
                f"{', '.join(OBJECTIVES)}"
            )
        for name in ("max_flops", "max_params"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInputError(f"{name} {value:g}: give a number above 0")

    def objective(self, scores: Scores) -> tuple[float, ...]:
        """The objectives, all to be minimised."""
        return tuple(
            -scores.quality if name == "quality" else float(getattr(scores, name))
            for name in self.objectives
        )

    def violation(self, scores: Scores) -> float:
        """How far the constraints are missed, 0 where all hold."""
        missed = 0.0
        for most, value in (
            (self.max_flops, scores.flops),
            (self.max_params, scores.params),
        ):
            if most is not None:
                missed += max(0.0, value / most - 1)
        if self.min_accuracy is not None:
            missed += max(0.0, self.min_accuracy - scores.accuracy) / 100
        if self.min_quality is not None:
            missed += max(0.0, self.min_quality - scores.quality)
        if self.trust_region:
            missed += scores.excess
        return missed

    def front(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that keep the constraints and that none of these beats in all objectives.

        Best quality first.
        """
        valid = [c for c in candidates if self.violation(c.scores) <= 0]
        if not valid:
            return []
        ranks = fronts(np.array([self.objective(c.scores) for c in valid]))
        chosen = [c for c, rank in zip(valid, ranks, strict=True) if rank == 0]
        return sorted(chosen, key=lambda c: (-c.scores.quality, c.scores.flops, c.graph.hash))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "objectives": list(self.objectives)}


def fronts(objectives: FloatArray) -> list[int]:
    """The non-dominated front of each row (0: dominated by none), all columns minimised."""
    less = (objectives[:, None] <= objectives[None]).all(axis=2)
    strict = (objectives[:, None] < objectives[None]).any(axis=2)
    beats = less & strict
    rank = np.full(len(objectives), -1)
    left = np.ones(len(objectives), dtype=bool)
    level = 0
    while left.any():
        first = left & ~(beats & left[:, None]).any(axis=0)
        rank[first] = level
        left &= ~first
        level += 1
    return [int(r) for r in rank]
