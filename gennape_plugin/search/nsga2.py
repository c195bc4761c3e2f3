"""NSGA-II's selection (Deb et al., 2002), as pymoo has it, over candidates of a search."""

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.search import Candidate, Goal


class NSGA2:
    """Fronts by dominance, spread by crowding distance; parents by binary tournaments."""

    name: ClassVar = "nsga2"

    def __init__(self) -> None:
        """Load pymoo.

        Raises:
            InvalidInputError: if it is not installed.
        """
        try:
            import pymoo  # noqa: F401
        except ImportError:
            raise InvalidInputError(
                "the nsga2 engine needs pymoo: pip install 'gennape-plugin[search]', or choose "
                "--engine local"
            ) from None

    def survivors(
        self, pool: Sequence[Candidate], size: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """By feasibility, front, crowding distance."""
        return [pool[i] for i in self._survived(pool, size, goal, rng).get("place")]

    def parents(
        self, population: Sequence[Candidate], count: int, goal: Goal, rng: random.Random
    ) -> list[Candidate]:
        """Winners of binary tournaments."""
        from pymoo.algorithms.moo.nsga2 import binary_tournament
        from pymoo.operators.selection.tournament import TournamentSelection

        # Ranks and crowding distances are those among the whole population.
        ranked = self._survived(population, len(population), goal, rng)
        state = _numpy(rng)
        rules = SimpleNamespace(tournament_type="comp_by_rank_and_crowding", random_state=state)
        chosen = TournamentSelection(func_comp=binary_tournament).do(
            None, ranked, count, 1, to_pop=False, random_state=state, algorithm=rules
        )
        places = ranked.get("place")
        return [population[places[i]] for i in chosen[:, 0]]

    @staticmethod
    def _survived(pool: Sequence[Candidate], size: int, goal: Goal, rng: random.Random) -> Any:
        from pymoo.core.individual import Individual
        from pymoo.core.population import Population
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        individuals = []
        for place, candidate in enumerate(pool):
            individual = Individual()
            individual.set("F", np.array(goal.objective(candidate.scores)))
            individual.set("G", np.array([goal.violation(candidate.scores)]))
            # Those that break constraints are not ranked, only sorted by how much.
            for name, value in (("place", place), ("rank", len(pool)), ("crowding", 0.0)):
                individual.set(name, value)
            individuals.append(individual)
        constrained = SimpleNamespace(has_constraints=lambda: True)
        return RankAndCrowding().do(
            constrained,
            Population.create(*individuals),
            n_survive=min(size, len(pool)),
            random_state=_numpy(rng),
        )


def _numpy(rng: random.Random) -> Any:
    """A NumPy generator that goes on from Python's."""
    return np.random.default_rng(rng.getrandbits(63))
