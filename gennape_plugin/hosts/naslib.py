"""NASLib: a predictor, a member of its ensembles, and zero-cost scores.

Nothing of NASLib is imported here but in :func:`register`; its contracts are kept by shape.
See ``docs/hosts/naslib.md``.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from gennape_plugin.adapters.naslib import graph_of
from gennape_plugin.adapters.naslib.spaces import plain
from gennape_plugin.architectures import to_graph
from gennape_plugin.core.errors import ArchitectureError, GennapeError, InvalidInputError
from gennape_plugin.core.few_shot import MIN_LABELS
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.estimator import Gennape
from gennape_plugin.hooks import InputShape
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from .remembered import REMEMBERED, estimator, remembered_scores

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
Scoring = Literal["single", "population"]

#: How NumPy prints its integers inside a tuple.
_NUMPY = re.compile(r"np\.u?int\d+\((-?\d+)\)")


@lru_cache(maxsize=8)
def _tuned(
    weights: str, graphs: tuple[ComputeGraph, ...], labels: tuple[float, ...], seed: int
) -> Gennape:
    """A tuned estimator; the members of one of NASLib's ensembles are fitted alike."""
    return estimator(weights).fine_tune(graphs, labels, seed=seed)


class GennapePredictor:
    """NASLib's ``Predictor``, zero-shot until it is fitted with 5 labels or more.

    Unfitted, :meth:`query` gives scores (no unit, higher is better, so only correlations
    mean something); fitted, accuracies in percent.
    """

    def __init__(
        self,
        ss_type: str | None = None,
        encoding_type: object = None,
        *,
        weights: str = DEFAULT_WEIGHTS,
        scoring: Scoring = "single",
        fine_tune: bool = True,
        input_shape: InputShape | None = None,
        seed: int = 0,
    ) -> None:
        """Check the arguments; weights are loaded at the first use, once a process.

        Args:
            ss_type: Taken for NASLib's sake; graphs say themselves what they are.
            encoding_type: Likewise.
            weights: Name of shipped weights, or a weights folder.
            scoring: Zero-shot scores of single networks, or ``"population"``: those of
                :meth:`.Gennape.score_population` within the architectures of
                :meth:`pre_compute`, or else of one :meth:`query` (a later one that asks for
                some of the same is answered alike). The latter uses the other, unlabelled
                architectures, and cannot answer for one alone.
            fine_tune: Whether :meth:`fit` learns; otherwise it stays zero-shot.
            input_shape: What parsed graphs read that have no native encoding.
            seed: Fixes the fit.

        Raises:
            InvalidInputError: for another ``scoring``.
        """
        if scoring not in get_args(Scoring):
            raise InvalidInputError(
                f"scoring {scoring!r}: choose from {', '.join(get_args(Scoring))}"
            )
        self.ss_type, self.encoding_type = ss_type, encoding_type
        self.weights, self.scoring, self.fine_tune = weights, scoring, fine_tune
        self.input_shape, self.seed = input_shape, seed
        self.hyperparams: Any = None
        self._fitted: Gennape | None = None
        self._known: dict[str, float] = {}
        self._population: dict[str, float] = {}
        self._latest: dict[str, float] = {}

    def set_ss_type(self, ss_type: str) -> None:
        """Keep the name of the search space."""
        self.ss_type = ss_type

    def pre_process(self) -> None:
        """Load the weights."""
        estimator(self.weights)

    def pre_compute(
        self, xtrain: Sequence[Any], xtest: Sequence[Any], unlabeled: Sequence[Any] | None = None
    ) -> None:
        """Score everything at once; with population scoring this is the population."""
        graphs = [self._graph(x) for part in (xtrain, xtest, unlabeled or ()) for x in part]
        if self.scoring == "population":
            self._population = self._ranked(graphs)
        else:
            self._answer(graphs)

    def fit(self, xtrain: Sequence[Any], ytrain: Sequence[float], info: object = None) -> None:
        """Tune to labelled architectures (:meth:`.Gennape.fine_tune`).

        With fewer than 5 of them, or labels that are all equal, it stays zero-shot.

        Args:
            xtrain: NASLib graphs.
            ytrain: Their accuracies in percent.
            info: Ignored.

        Raises:
            LabelsError: for labels that are no percentages.
        """
        labels = tuple(float(value) for value in ytrain)
        fitted = None
        if self.fine_tune and len(labels) >= MIN_LABELS and min(labels) < max(labels):
            graphs = tuple(self._graph(x) for x in xtrain)
            fitted = _tuned(self.weights, graphs, labels, self.seed)
        if fitted is not self._fitted:
            self._known.clear()
        self._fitted = fitted

    def query(self, xtest: Any, info: object = None) -> FloatArray:
        """Predictions for architectures, shape ``(architectures,)``.

        Args:
            xtest: NASLib graphs.
            info: Ignored.
        """
        return self._answer([self._graph(x) for x in xtest])

    def _graph(self, architecture: Any) -> ComputeGraph:
        return to_graph(architecture, self.input_shape)

    def _answer(self, graphs: Sequence[ComputeGraph]) -> FloatArray:
        if self._fitted is None and self.scoring == "population":
            # Scores of two populations mean different things, so a query is answered from one:
            # that of pre_compute, the latest query's, or its own.
            for known in (self._population, self._latest):
                if all(graph.hash in known for graph in graphs):
                    break
            else:
                known = self._latest = self._ranked(graphs)
            return np.array([known[graph.hash] for graph in graphs])
        missing = {graph.hash: graph for graph in graphs if graph.hash not in self._known}
        if missing:
            if len(self._known) + len(missing) > REMEMBERED:
                self._known.clear()
                missing = {graph.hash: graph for graph in graphs}
            self._known |= self._scores(missing)
        return np.array([self._known[graph.hash] for graph in graphs])

    def _scores(self, graphs: Mapping[str, ComputeGraph]) -> dict[str, float]:
        if self._fitted is not None:
            found = self._fitted.score_stream(graphs.values())
            return {p.graph_hash: p.accuracy for p in found}
        return remembered_scores(self.weights, graphs)

    def _ranked(self, graphs: Sequence[ComputeGraph]) -> dict[str, float]:
        """Population scores by hash; equal graphs count once."""
        distinct = {graph.hash: graph for graph in graphs}
        if len(distinct) < 2:
            raise InvalidInputError(
                "a population of one architecture: use scoring='single' where NASLib asks for one "
                "at a time (Bananas, Npenas), or give the population to pre_compute"
            )
        found = estimator(self.weights).score_population(distinct.values())
        return {p.graph_hash: p.score for p in found}

    def get_data_reqs(self) -> dict[str, Any]:
        """Nothing but the architectures."""
        return {
            "requires_partial_lc": False,
            "metric": None,
            "requires_hyperparameters": False,
            "hyperparams": {},
            "unlabeled": False,
            "unlabeled_factor": 0,
        }

    def set_hyperparams(self, hyperparams: Any) -> None:
        """Keep them; there are none to tune."""
        self.hyperparams = hyperparams

    def get_hyperparams(self) -> Any:
        """What was kept."""
        return self.hyperparams

    def reset_hyperparams(self) -> None:
        """Forget them."""
        self.hyperparams = None

    def get_hpo_wrapper(self) -> bool:
        """No search for hyperparameters is wanted."""
        return False


def register(name: str = "gennape", **options: Any) -> Callable[[], None]:
    """Let NASLib's optimizers know the predictor: ``config.search.predictor_type = "gennape"``.

    Changes ``naslib.predictors.ensemble.Ensemble``, which Bananas and Npenas make their
    predictors with, for this name only.

    Args:
        name: The predictor type.
        **options: Arguments of :class:`GennapePredictor`.

    Returns:
        A function that takes the change back.

    Raises:
        InvalidInputError: if NASLib's ensembles cannot be imported.
    """
    try:
        from naslib.predictors.ensemble import Ensemble
    except ImportError as error:
        raise InvalidInputError(
            f"NASLib's predictors cannot be imported ({error}): docs/hosts/naslib.md lists what "
            "they need"
        ) from error
    before = Ensemble.get_ensemble

    def get_ensemble(self: Any) -> Any:
        if self.predictor_type != name:
            return before(self)
        return [GennapePredictor(self.ss_type, **options) for _ in range(self.num_ensemble)]

    Ensemble.get_ensemble = get_ensemble

    def undo() -> None:
        Ensemble.get_ensemble = before

    return undo


class ZeroCostScores(Mapping[str, Mapping[str, Any]]):
    """NASLib's ``zc_api``, filled as it is asked: ``Bananas(config, zc_api=ZeroCostScores(...))``.

    Maps ``str(graph.get_hash())`` to ``{"gennape": {"score": s}, "val_accuracy": a}`` for any
    architecture of a space with a native encoding. Scores are those of single networks.
    """

    def __init__(
        self,
        space: str,
        *,
        accuracy: Callable[[tuple[Any, ...]], float] | None = None,
        weights: str = DEFAULT_WEIGHTS,
        dataset: str = "",
        name: str = "gennape",
    ) -> None:
        """Nothing is scored yet.

        Args:
            space: ``graph.get_type()``, such as ``"nasbench201"``.
            accuracy: Accuracy of an architecture by its hash, what NASLib is to take for true;
                where left out the score itself, so that a search with ``use_zc_api`` never
                looks an accuracy up.
            weights: Name of shipped weights, or a weights folder.
            dataset: ``graph.dataset``, of TransNAS-Bench spaces.
            name: Name of the score.
        """
        self._space, self._dataset, self._name = space, dataset, name
        self._accuracy, self._weights = accuracy, weights
        self._found: dict[tuple[Any, ...], Mapping[str, Any]] = {}

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        numbers = _numbers(key)
        if numbers is None:
            raise KeyError(key)
        if numbers not in self._found:
            try:
                graph = graph_of(self._space, numbers, dataset=self._dataset)
            except GennapeError:
                raise KeyError(key) from None
            score = remembered_scores(self._weights, {graph.hash: graph})[graph.hash]
            true = score if self._accuracy is None else self._accuracy(numbers)
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[numbers] = {self._name: {"score": score}, "val_accuracy": true}
        return self._found[numbers]

    def __iter__(self) -> Iterator[str]:
        """Those scored so far."""
        return map(str, self._found)

    def __len__(self) -> int:
        return len(self._found)


def _numbers(key: object) -> tuple[Any, ...] | None:
    """The tuple that a hash's text shows, with NumPy's integers as plain ones."""
    if not isinstance(key, str) or len(key) > 4096:
        return None
    try:
        return plain(ast.literal_eval(_NUMPY.sub(r"\1", key)))
    except (ArchitectureError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def score_encodings(
    space: str,
    encodings: Iterable[Any],
    *,
    weights: str = DEFAULT_WEIGHTS,
    dataset: str = "",
    batch_size: int = 512,
) -> Iterator[float]:
    """Scores of a stream of encodings, in order, with flat memory; no NASLib graph is made.

    Args:
        space: ``graph.get_type()``.
        encodings: Hashes, such as ``NasBench201SearchSpace().get_arch_iterator()`` yields.
        weights: Name of shipped weights, or a weights folder.
        dataset: ``graph.dataset``, of TransNAS-Bench spaces.
        batch_size: Graphs held at a time.

    Raises:
        ArchitectureError: for a wrong encoding.
    """
    graphs = (graph_of(space, encoding, dataset=dataset) for encoding in encodings)
    for prediction in estimator(weights).score_stream(graphs, batch_size=batch_size):
        yield prediction.score
