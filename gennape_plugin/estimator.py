"""`Gennape`: the estimator a person uses."""

import copy
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError, WeightsError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.members import Member
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.core.ops import PAPER_LABELS
from gennape_plugin.core.training import usable_device
from gennape_plugin.core.weights import load_model, save_model

from .architectures import to_graph
from .calibration import COVERAGE, checked_calibration
from .familiarity import Novelty, checked_seen, novelty
from .families import family
from .hooks import InputShape, observe
from .members import make_member
from .modes import Mode, check_mode, checked_accuracies, fine_tuned, population_scores
from .prediction import Prediction

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
DEFAULT_WEIGHTS = "gennape-nb101"
_REFERENCE = 256  # cells that a new member is measured on
_KNOWN = frozenset(PAPER_LABELS) - {"<OOV>", "Input", "Output"}


class Gennape:
    """A pretrained estimator that scores networks without training them.

    >>> from gennape_plugin import Gennape
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> Gennape.from_pretrained().score(net, input_shape=(3, 32, 32)).params
    224
    """

    def __init__(self, model: GennapeModel, card: Mapping[str, Any]) -> None:
        """Wrap a model; most people want :meth:`from_pretrained`."""
        self.model = model
        self.card = dict(card)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = DEFAULT_WEIGHTS, *, device: str = "cpu"
    ) -> "Gennape":
        """Load shipped weights by name, or a weights folder by path. Needs no network.

        Args:
            name_or_path: Name of shipped weights (see ``gennape info``), or a folder written
                by ``gennape pretrain`` or :meth:`save`.
            device: Where to run the networks, ``"cpu"`` or ``"cuda"``.

        Raises:
            WeightsError: if there are no such weights, or they are damaged.
            InvalidInputError: for a device that this machine does not have.
        """
        folder = weights_folder(name_or_path)
        where = usable_device(device)
        model, card = load_model(folder, make_member)
        return cls(model.to(where), card)

    def score(
        self,
        architecture: object,
        *,
        input_shape: InputShape | None = None,
        inputs: Any = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Predict one network.

        Args:
            architecture: An ``nn.Module``, a :class:`ComputeGraph` or a graph's ``.json`` file.
            input_shape: What a module reads, without the batch axis: ``(3, 32, 32)``.
            inputs: Example inputs of a module instead: a tensor, or a tuple of arguments.
            kwargs: Keyword arguments of its forward, as examples.
        """
        graph = to_graph(architecture, input_shape, inputs=inputs, kwargs=kwargs)
        return self._predict([graph], [_name(architecture, graph)])[0]

    def score_many(
        self, architectures: Iterable[object], *, input_shape: InputShape | None = None
    ) -> list[Prediction]:
        """Predict several networks in batches; in the given order."""
        return list(self.score_stream(architectures, input_shape=input_shape))

    def score_stream(
        self,
        architectures: Iterable[object],
        *,
        input_shape: InputShape | None = None,
        batch_size: int = 512,
    ) -> Iterator[Prediction]:
        """Predict a stream of networks with flat memory.

        Predictions are *single-architecture*: each depends on its network alone, never on
        the others in the stream.
        """
        if batch_size < 1:
            raise InvalidInputError(f"batch_size {batch_size}: give at least 1")
        for chunk in _chunks(architectures, input_shape, batch_size):
            yield from self._predict([g for _, g in chunk], [n for n, _ in chunk])

    def rank(
        self, architectures: Iterable[object], *, input_shape: InputShape | None = None
    ) -> list[Prediction]:
        """Predict several networks; best first, ties in the given order."""
        return sorted(
            self.score_stream(architectures, input_shape=input_shape),
            key=lambda prediction: -prediction.score,
        )

    def score_population(
        self,
        architectures: Iterable[object],
        *,
        input_shape: InputShape | None = None,
        mode: Mode = "default",
    ) -> list[Prediction]:
        """Score networks against each other; in the given order.

        A *population* score uses the other networks given, unlabelled: their ranks and
        quantiles, so it holds within this call only, and ranks networks of one family
        better than :meth:`score` does (docs/results.md). Give the networks you choose
        among, some dozens or more, of one search space.

        Args:
            architectures: The networks.
            input_shape: What modules among them read.
            mode: ``"default"`` or ``"paper"``, the six members of GENNAPE combined by rank
                (equal weights, or after ``fine_tune(mode="paper")`` those it found).

        Raises:
            InvalidInputError: for an empty population or another mode.
        """
        check_mode(mode)
        names, graphs, parts, news = [], [], [], []
        for chunk in _chunks(architectures, input_shape, 512):
            names += [name for name, _ in chunk]
            graphs += [graph for _, graph in chunk]
            found, novel = self._outputs([g for _, g in chunk], [n for n, _ in chunk])
            parts.append(found)
            news += novel
        if not parts:
            raise InvalidInputError("an empty population: give the networks to rank")
        outputs = Outputs.joined(parts)
        scores = population_scores(self.model, outputs, mode)
        few = self.model.few_shot
        labelled = mode == "default" and few is not None and bool(few.blend)
        basis = "labels" if labelled else "population"
        return self._predictions(graphs, names, outputs, scores, news, basis)

    def rank_population(
        self,
        architectures: Iterable[object],
        *,
        input_shape: InputShape | None = None,
        mode: Mode = "default",
    ) -> list[Prediction]:
        """:meth:`score_population`, best first, ties in the given order."""
        found = self.score_population(architectures, input_shape=input_shape, mode=mode)
        return sorted(found, key=lambda prediction: -prediction.score)

    def fine_tune(
        self,
        architectures: Iterable[object],
        accuracies: Sequence[float],
        *,
        input_shape: InputShape | None = None,
        mode: Mode = "default",
        fractions: bool = False,
        dataset: str = "",
        seed: int = 0,
    ) -> "Gennape":
        """An estimator tuned to a family by some labelled networks; this one stays as it is.

        The default fits kernel regressions on frozen features, in seconds, and keeps
        the zero-shot order where cross-validation on the given labels prefers it:
        ``tuned.card["fine_tuned"]`` says so. ``"paper"`` follows GENNAPE's protocol (all
        members' weights, 100 epochs at batch size 1), in minutes, and shows in
        ``score_population(mode="paper")``.

        Args:
            architectures: Labelled networks, 5 or more (the paper: 50).
            accuracies: Their accuracies in percent.
            input_shape: What modules among them read.
            mode: ``"default"`` or ``"paper"``.
            fractions: Whether accuracies are fractions instead.
            dataset: Data set of the accuracies, for people.
            seed: Fixes everything random.

        Raises:
            LabelsError: for accuracies that are too few, all equal, not finite, or fractions
                where percent are expected.
            InvalidInputError: for another mode, or a seed that no generator takes.
        """
        check_mode(mode)
        if not 0 <= seed < 1 << 31:
            raise InvalidInputError(f"seed is {seed}: give one from 0 to {(1 << 31) - 1}")
        chunks = _chunks(architectures, input_shape, 512)
        named = [pair for chunk in chunks for pair in chunk]
        percent = checked_accuracies(accuracies, len(named), fractions=fractions)
        graphs = [graph for _, graph in named]
        store, _ = self._store(graphs, [name for name, _ in named])
        model, report = fine_tuned(self.model, store, percent, mode=mode, seed=seed)
        facts = {"mode": mode, "dataset": dataset, "labels": len(percent), "seed": seed, **report}
        return Gennape(model, {**self.card, "fine_tuned": facts})

    def with_member(
        self,
        name: str,
        member: Member,
        *,
        in_score: bool = True,
        reference: Iterable[object] | None = None,
        input_shape: InputShape | None = None,
    ) -> "Gennape":
        """An estimator with one more member; this one stays as it is.

        What the card says of accuracy and intervals was measured without the member and is
        left out where it joins the score.

        Args:
            name: Its name among the others.
            member: The member, trained; :meth:`save` keeps it, and a plugin's
                ``gennape_member`` hook makes it again.
            in_score: Whether it joins the members whose mean is the score near the training
                graphs; otherwise its output only stands in ``Prediction.members``, and counts in
                ``accuracy_std`` where it is an accuracy.
            reference: Networks over which its mean and deviation are measured, so that it can
                be averaged with others; 256 random NAS-Bench-101 cells where left out.
            input_shape: What modules among them read.

        Raises:
            InvalidInputError: for a name that is taken, or a member that does not give one
                finite number a graph, different between graphs.
        """
        if reference is None:
            cells, rng = family("nasbench101"), random.Random(0)
            reference = [cells.graph(cells.sample(rng)) for _ in range(_REFERENCE)]
        store = GraphStore()
        for chunk in _chunks(reference, input_shape, 512):
            for _, graph in chunk:
                store.add(graph)
        model = copy.deepcopy(self.model)
        model.add_member(name, copy.deepcopy(member), store, in_score=in_score)
        stale = {"calibration", "benchmark", "metrics"} if in_score else set()
        return Gennape(model, {k: v for k, v in self.card.items() if k not in stale})

    def save(self, path: str | Path) -> None:
        """Write weights and card into a folder that :meth:`from_pretrained` reads."""
        written = {"format", "version", "sha256", "vocabulary", "model"}
        save_model(self.model, path, {k: v for k, v in self.card.items() if k not in written})

    def _predict(self, graphs: Sequence[ComputeGraph], names: Sequence[str]) -> list[Prediction]:
        outputs, news = self._outputs(graphs, names)
        return self._predictions(graphs, names, outputs, self.model.score(outputs), news)

    def _store(
        self, graphs: Sequence[ComputeGraph], names: Sequence[str]
    ) -> tuple[GraphStore, list[Novelty]]:
        """The graphs, and what of each the weights have never seen."""
        store, seen, news = GraphStore(), checked_seen(self.card), []
        for graph, name in zip(graphs, names, strict=True):
            view = store.add(graph)
            if not any(op.name in _KNOWN for op in view.ops):
                raise InvalidInputError(
                    f"{name or 'the network'} holds no operation that the estimator knows, so its "
                    "score would say nothing (`gennape trace` shows what was found)"
                )
            news.append(novelty(graph, view, seen))
        return store, news

    def _outputs(
        self, graphs: Sequence[ComputeGraph], names: Sequence[str]
    ) -> tuple[Outputs, list[Novelty]]:
        store, news = self._store(graphs, names)
        return self.model.predict(store), news

    def _predictions(
        self,
        graphs: Sequence[ComputeGraph],
        names: Sequence[str],
        outputs: Outputs,
        scores: Tensor,
        news: Sequence[Novelty],
        basis: str = "",
    ) -> list[Prediction]:
        means, deviations = self.model.accuracy(outputs)
        # Extrapolated accuracies can leave the scale; members keep the raw numbers.
        means, deviations = (100 * means).clamp(0, 100), 100 * deviations
        orders = self.model.orders
        tuned = self.card.get("fine_tuned", {}) if self.model.few_shot is not None else {}
        calibration = checked_calibration(self.card)
        few = self.model.few_shot
        bounds = None if few is None else few.bounds(COVERAGE)
        blended = few is not None and bool(few.blend)  # otherwise the zero-shot order was kept

        def interval(accuracy: float, familiar: bool) -> tuple[float, float] | None:
            if bounds is None:
                return calibration.interval(accuracy, familiar=familiar) if calibration else None
            low, high = accuracy + 100 * bounds[0], accuracy + 100 * bounds[1]
            return (max(0.0, low), min(100.0, high)) if isfinite(low + high) else None

        unit = f"accuracy on the {tuned['labels']} labels' scale" if tuned else ""
        predictions = [
            Prediction(
                name=names[i],
                score=float(scores[i]),
                accuracy=float(means[i]),
                accuracy_std=float(deviations[i]),
                dataset=str((tuned or self.card).get("dataset", "")),
                unit=unit or str(self.card.get("accuracy", "")),
                basis=basis or ("labels" if blended else "members" if near else "size"),
                flops=graph.flops,
                params=graph.params,
                members={
                    name: graph.flops / 1e9
                    if name == "flops"
                    else float(values[i]) * (1 if name in orders else 100)
                    for name, values in outputs.members.items()
                },
                distance=float(outputs.distance[i]),
                graph_hash=graph.hash,
                notes=() if tuned else news[i].notes,
                interval=interval(float(means[i]), near and not news[i].unseen),
                unseen=news[i].unseen,
                orders=orders,
            )
            for i, graph in enumerate(graphs)
            for near in [float(outputs.distance[i]) <= 1]
        ]
        observe(graphs, predictions)
        return predictions


def _chunks(
    architectures: Iterable[object], input_shape: InputShape | None, size: int
) -> Iterator[list[tuple[str, ComputeGraph]]]:
    """Names and graphs of a stream of architectures, some at a time."""
    if isinstance(architectures, nn.Module | ComputeGraph | str | Path):
        raise InvalidInputError(
            f"one architecture ({type(architectures).__name__}) where several are expected: "
            "give a list, or call score"
        )
    source = iter(architectures)
    while pending := list(islice(source, size)):
        graphs = [to_graph(item, input_shape) for item in pending]
        yield [(_name(item, graph), graph) for item, graph in zip(pending, graphs, strict=True)]


def weights_folder(name_or_path: str | Path) -> Path:
    """The folder of shipped weights, or the one given.

    Raises:
        WeightsError: if there is none.
    """
    if str(name_or_path) in shipped_weights():
        return WEIGHTS_FOLDER / str(name_or_path)
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise WeightsError(
            f"no weights {str(name_or_path)!r}: shipped are "
            f"{', '.join(shipped_weights()) or 'none'}; or give a folder written by "
            "`gennape pretrain`"
        )
    return folder


def shipped_weights() -> list[str]:
    """Names of the weights inside the package."""
    if not WEIGHTS_FOLDER.is_dir():
        return []
    return sorted(p.name for p in WEIGHTS_FOLDER.iterdir() if (p / "card.json").is_file())


def _name(architecture: object, graph: ComputeGraph) -> str:
    if isinstance(architecture, str | Path):
        return graph.name or Path(architecture).stem
    return graph.name or type(architecture).__name__
