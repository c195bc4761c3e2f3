"""Mutations inside a search space: one choice of an encoding is drawn anew."""

import random
from dataclasses import fields, replace
from time import perf_counter
from typing import Any, Final

from gennape_plugin.adapters.families import Family
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.mutation import Mutation

_DRAWS: Final = 50


class FamilyMutator:
    """Proposes architectures of one family, whose children are all in it.

    It serves families whose architectures are one tuple of independent choices (cells of
    NAS-Bench-201 and TransNAS-Bench-101 micro, layers of NAS-Bench-Macro): where labels
    exist for a whole space, a search can be checked against the truth. Graphs must be those
    that the family made, since their names hold the encoding.
    """

    def __init__(self, family: Family[Any], rng: random.Random) -> None:
        """Set up.

        Args:
            family: The search space.
            rng: Where all chance comes from.

        Raises:
            InvalidInputError: for a family of another kind.
        """
        arch = family.sample(random.Random(0))
        names = [f.name for f in fields(arch)]
        if len(names) != 1 or not isinstance(getattr(arch, names[0]), tuple):
            raise InvalidInputError(
                f"{family.title} is not one tuple of choices: mutate its graphs instead"
            )
        self.family, self.rng, self._field = family, rng, names[0]
        self.seconds = {"moves": 0.0}

    def propose(self, graph: ComputeGraph) -> Mutation | None:
        """A network whose encoding differs in one choice."""
        begun = perf_counter()
        arch = self.arch(graph)
        genes = list(getattr(arch, self._field))
        place = self.rng.randrange(len(genes))
        before = genes[place]
        for _ in range(_DRAWS):
            genes[place] = getattr(self.family.sample(self.rng), self._field)[place]
            if genes[place] != before:
                break
        child = self.family.graph(replace(arch, **{self._field: tuple(genes)}))
        self.seconds["moves"] += perf_counter() - begun
        detail = f"choice {place} from {before} to {genes[place]}"
        return Mutation(child, "choice", detail, 0)

    def arch(self, graph: ComputeGraph) -> Any:
        """The architecture that a graph was made of."""
        return self.family.parse(graph.name.partition("/")[2])
