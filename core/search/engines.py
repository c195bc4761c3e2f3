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
        """Valid ones first, then by front, then by quality.

        Fronts are those of the whole pool. Among the valid networks alone a front is often longer
        than the population, whose place goes to its costly end then: FLOPs fall far less.
        """
        ranks = fronts(np.array([goal.objective(c.scores) for c in pool]))
        order = sorted(
            range(len(pool)),
            key=lambda i: (goal.violation(pool[i].scores), ranks[i], -pool[i].scores.quality),
        )
        return [pool[i] for i in order[:size]]

    def parents(
        self, population: Sequence[Candidate], count: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """Each in turn."""
        return [population[i % len(population)] for i in range(count)]
