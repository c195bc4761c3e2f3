"""Which candidates are kept and which are changed next."""

import random
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from .candidate import Candidate
from .goal import Goal, fronts


@runtime_checkable
class Engine(Protocol):
    """Decides about a population.

    Attributes:
        name: Name on the command line and in run folders.
    """

    name: ClassVar[str]

    def survivors(
        self, pool: Sequence[Candidate], size: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """The ``size`` candidates of the pool to go on with."""

    def parents(
        self, population: Sequence[Candidate], count: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """``count`` candidates to change next; one may be named several times."""


class LocalSearch:
    """The paper's local search: the top k by predicted accuracy and FLOPs.

    The paper does not say how the two are combined. Here a candidate that none beats in all
    objectives goes before others; among equals the better quality counts. All are changed in
    turn.
    """

    name: ClassVar = "local"

    def survivors(
        self, pool: Sequence[Candidate], size: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """Valid ones by front, then by quality; after them those that violate the least."""
        valid = [c for c in pool if goal.violation(c.scores) <= 0]
        # Among themselves: what breaks the constraints beats nothing that keeps them.
        ranks = fronts(np.array([goal.objective(c.scores) for c in valid])) if valid else []
        found = sorted(zip(ranks, valid, strict=True), key=lambda p: (p[0], -p[1].scores.quality))
        others = [c for c in pool if goal.violation(c.scores) > 0]
        others.sort(key=lambda c: (goal.violation(c.scores), -c.scores.quality))
        return [*(c for _, c in found), *others][:size]

    def parents(
        self, population: Sequence[Candidate], count: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """Each in turn."""
        return [population[i % len(population)] for i in range(count)]
