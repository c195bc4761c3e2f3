"""The search itself, the same for every engine, mutation and predictor."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Protocol, runtime_checkable

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.mutation import Mutation

from .candidate import Candidate, Scores
from .engines import Engine
from .goal import Goal
from .run_folder import RunFolder

_BATCH: Final = 64  # networks that are scored, and written down, at once
_TRIES: Final = 30  # proposals for each child that is wanted


@runtime_checkable
class Proposer(Protocol):
    """Proposes neighbours of graphs; :class:`~gennape_plugin.core.mutation.Mutator` does."""

    seconds: dict[str, float]

    def propose(self, graph: ComputeGraph) -> Mutation | None:
        """A neighbour, or ``None`` where the proposal was not valid."""


#: Scores graphs, in order.
Evaluate = Callable[[Sequence[ComputeGraph]], list[Scores]]


@dataclass
class SearchResult:
    """What a search found.

    Attributes:
        start: The network it started from.
        population: The last population.
        front: Best trade-offs, best quality first; empty where no network kept the constraints.
        scored: Scores of every network by hash, the start's included.
        proposals: Proposals, valid or not.
        duplicates: Valid ones that had been scored before.
        seconds: Time by part.
    """

    start: Candidate
    population: list[Candidate]
    front: list[Candidate]
    scored: dict[str, Scores]
    proposals: int
    duplicates: int
    seconds: dict[str, float] = field(default_factory=dict)


class Search:
    """Changes, scores and selects, generation after generation."""

    def __init__(
        self,
        proposer: Proposer,
        evaluate: Evaluate,
        engine: Engine,
        goal: Goal,
        *,
        rng: random.Random,
        population: int = 24,
        children: int = 48,
        folder: RunFolder | None = None,
        progress: Callable[[int, "list[Candidate]", int], None] | None = None,
    ) -> None:
        """Set up.

        Args:
            proposer: Makes neighbours; it must take its chance from ``rng`` too.
            evaluate: Scores them.
            engine: Selects.
            goal: Objectives and constraints.
            rng: Where all chance comes from.
            population: Candidates that are kept.
            children: New candidates a generation.
            folder: Where to keep the state; nothing is kept without one.
            progress: Called after each generation with its number, the population and how
                many networks have been scored.

        Raises:
            InvalidInputError: for sizes below 1.
        """
        if population < 1 or children < 1:
            raise InvalidInputError(
                f"population {population}, children {children}: give at least 1 of both"
            )
        self.proposer, self.evaluate, self.engine, self.goal = proposer, evaluate, engine, goal
        self.rng, self.size, self.children = rng, population, children
        self.folder, self.progress = folder, progress
        self._scored: dict[str, Scores] = {}
        self._waiting: dict[str, Scores] = {}  # of a generation that was not finished
        self._counts = {"proposals": 0, "duplicates": 0}
        self._seconds: dict[str, float] = {"hashing": 0.0, "scoring": 0.0, "writing": 0.0}
        self._earlier: dict[str, float] = {}  # by runs before this one

    def run(self, start: ComputeGraph, iterations: int) -> SearchResult:
        """Search, or go on with what the folder holds.

        Args:
            start: The network to start from.
            iterations: Generations in all.

        Raises:
            InvalidInputError: if no change of any candidate is valid and new.
            OSError: if the folder cannot be written; it can be gone on with.
        """
        generation, population = self._resumed()
        if not population:
            scores = self._scores([start], 0)
            population = [Candidate(start, scores[0])]
            self._save(0, population)
        if start.hash not in self._scored:
            raise InvalidInputError(
                "the scores of the start are missing, so the search's folder is damaged: start "
                "again in a new one"
            )
        first = Candidate(start, self._scored[start.hash])
        while generation < iterations:
            generation += 1
            children = self._children(population, generation)
            if not children:
                raise InvalidInputError(
                    f"no new valid network was found in generation {generation}: allow more "
                    "moves or operations, or freeze less"
                )
            pool = [*population, *children]
            population = self.engine.survivors(pool, self.size, self.goal, self.rng)
            self._save(generation, population)
            if self.progress is not None:
                self.progress(generation, population, len(self._scored))
        return SearchResult(
            first,
            population,
            [c for c in self.goal.front(population) if c.graph.hash != start.hash],
            self._scored,
            **self._counts,
            seconds=self._times(),
        )

    # -- one generation --------------------------------------------------------------------

    def _children(self, population: Sequence[Candidate], generation: int) -> list[Candidate]:
        found: dict[str, tuple[Candidate, Mutation]] = {}
        tries = 0
        while len(found) < self.children and tries < _TRIES * self.children:
            missing = self.children - len(found)
            for parent in self.engine.parents(population, missing, self.goal, self.rng):
                tries += 1
                self._counts["proposals"] += 1
                mutation = self.proposer.propose(parent.graph)
                if mutation is None:
                    continue
                begun = perf_counter()
                key = mutation.child.hash
                self._seconds["hashing"] += perf_counter() - begun
                if key in self._scored or key in found:
                    self._counts["duplicates"] += 1
                    continue
                found[key] = (parent, mutation)
        made = list(found.values())
        scores = self._scores([mutation.child for _, mutation in made], generation)
        return [
            Candidate(m.child, s, generation, (*parent.changes, f"{m.move}: {m.detail}"))
            for (parent, m), s in zip(made, scores, strict=True)
        ]

    def _scores(self, graphs: Sequence[ComputeGraph], generation: int) -> list[Scores]:
        for at in range(0, len(graphs), _BATCH):
            batch = graphs[at : at + _BATCH]
            # A batch is known as a whole or not at all: it was written as one line.
            known = {g.hash: self._waiting[g.hash] for g in batch if g.hash in self._waiting}
            missing = [g for g in batch if g.hash not in known]
            if missing:
                begun = perf_counter()
                new = dict(zip([g.hash for g in missing], self.evaluate(missing), strict=True))
                self._seconds["scoring"] += perf_counter() - begun
                self._written(lambda folder: folder.add_scores(generation, new))  # noqa: B023
                known |= new
            self._scored |= known
        return [self._scored[g.hash] for g in graphs]

    # -- the folder --------------------------------------------------------------------------

    def _written(self, write: Callable[[RunFolder], None]) -> None:
        if self.folder is not None:
            begun = perf_counter()
            write(self.folder)
            self._seconds["writing"] += perf_counter() - begun

    def _save(self, generation: int, population: Sequence[Candidate]) -> None:
        version, words, gauss = self.rng.getstate()
        state: dict[str, Any] = {
            "generation": generation,
            "random": [version, list(words), gauss],
            "counts": self._counts,
            "seconds": self._times(),
        }
        self._written(lambda folder: folder.save(state, population))

    def _resumed(self) -> tuple[int, list[Candidate]]:
        if self.folder is None:
            return 0, []
        loaded, batches = self.folder.load(), self.folder.scores()
        generation = -1
        population: list[Candidate] = []
        if loaded is not None:
            state, population = loaded
            try:
                generation = int(state["generation"])
                version, words, gauss = state["random"]
                self.rng.setstate((version, tuple(words), gauss))
                self._counts = {name: int(state["counts"][name]) for name in self._counts}
                self._earlier = {str(k): float(v) for k, v in state["seconds"].items()}
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise InvalidInputError(
                    f"the state in {self.folder.path} is damaged ({error!r}): start again in a "
                    "new folder"
                ) from None
        for made, scores in batches:
            (self._scored if made <= generation else self._waiting).update(scores)
        return max(generation, 0), population

    def _times(self) -> dict[str, float]:
        now = {**self.proposer.seconds, **self._seconds}
        return {name: value + self._earlier.get(name, 0.0) for name, value in now.items()}
