"""`Gennape`: the estimator a person uses."""

import copy
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.members import Member
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.training import usable_device
from gennape_plugin.core.weights import load_model, save_model

from .architectures import name_of, named_graphs, to_graph
from .families import family
from .hooks import InputShape
from .members import make_member
from .modes import Mode, check_mode, checked_accuracies, fine_tuned, population_scores
from .prediction import Prediction
from .readings import Readings, predictions, stored
from .shipped import DEFAULT_WEIGHTS, weights_folder

_BATCH: Final = 512
_REFERENCE: Final = 256  # cells that a new member is measured on


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
            architecture: An ``nn.Module``, an exported program, an ONNX model, a
                :class:`ComputeGraph`, the path of a network's file, an encoding such as
                ``"nasbench201:..."``, or whatever a plugin reads.
            input_shape: What a module reads, without the batch axis: ``(3, 32, 32)``.
            inputs: Example inputs of a module instead: a tensor, or a tuple of arguments.
            kwargs: Keyword arguments of its forward, as examples.
        """
        graph = to_graph(architecture, input_shape, inputs=inputs, kwargs=kwargs)
        return self.predictions(self.read([(name_of(architecture, graph), graph)]))[0]

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
        batch_size: int = _BATCH,
    ) -> Iterator[Prediction]:
        """Predict a stream of networks with flat memory.

        Predictions are *single-architecture*: each depends on its network alone, never on
        the others in the stream.
        """
        if batch_size < 1:
            raise InvalidInputError(f"batch_size {batch_size}: give at least 1")
        for chunk in named_graphs(architectures, input_shape, batch_size):
            yield from self.predictions(self.read(chunk))

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
        parts = [self.read(chunk) for chunk in named_graphs(architectures, input_shape, _BATCH)]
        if not parts:
            raise InvalidInputError("an empty population: give the networks to rank")
        readings = Readings.joined(parts)
        scores = population_scores(self.model, readings.outputs, mode)
        labelled = mode == "default" and self.model.labelled
        return self.predictions(readings, scores, "labels" if labelled else "population")

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
        if not isinstance(seed, int) or not 0 <= seed < 1 << 31:
            raise InvalidInputError(f"seed is {seed!r}: give one from 0 to {(1 << 31) - 1}")
        named = [
            pair for chunk in named_graphs(architectures, input_shape, _BATCH) for pair in chunk
        ]
        percent = checked_accuracies(accuracies, len(named), fractions=fractions)
        store, _ = stored(named, self.card)
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
        if not isinstance(member, Member):
            raise InvalidInputError(
                f"{type(member).__name__} is no member: give a subclass of "
                "gennape_plugin.core.members.Member"
            )
        if reference is None:
            cells, rng = family("nasbench101"), random.Random(0)
            reference = [cells.graph(cells.sample(rng)) for _ in range(_REFERENCE)]
        store = GraphStore()
        for chunk in named_graphs(reference, input_shape, _BATCH):
            for _, graph in chunk:
                store.add(graph)
        if len(store) < 2:
            raise InvalidInputError(f"{len(store)} reference networks: give two or more")
        model = copy.deepcopy(self.model)
        model.add_member(name, copy.deepcopy(member), store, in_score=in_score)
        stale = {"calibration", "benchmark", "metrics"} if in_score else set()
        return Gennape(model, {k: v for k, v in self.card.items() if k not in stale})

    def save(self, path: str | Path) -> None:
        """Write weights and card into a folder that :meth:`from_pretrained` reads."""
        written = {"format", "version", "sha256", "vocabulary", "model"}
        save_model(self.model, path, {k: v for k, v in self.card.items() if k not in written})

    def read(self, named: Sequence[tuple[str, ComputeGraph]]) -> Readings:
        """What the model's parts say of networks, for those who combine them their own way.

        Args:
            named: Names and graphs.

        Raises:
            InvalidInputError: for a network without any operation that the estimator knows.
        """
        store, networks = stored(named, self.card)
        return Readings(networks, self.model.predict(store))

    def predictions(
        self, readings: Readings, scores: Tensor | None = None, basis: str = ""
    ) -> list[Prediction]:
        """Readings as predictions, in order.

        Args:
            readings: What :meth:`read` returned.
            scores: A score for each network, ``(networks,)``; single-architecture ones where
                left out.
            basis: What the scores are made of (:attr:`.Prediction.basis`).
        """
        given = self.model.score(readings.outputs) if scores is None else scores
        return predictions(self.model, self.card, readings, given, basis)
