"""What a model says of some networks, and how that becomes predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.core.ops import PAPER_LABELS

from .calibration import COVERAGE, checked_calibration
from .familiarity import Novelty, checked_seen, novelty
from .hooks import observe, observed
from .prediction import Prediction
from .region import known_region, read

_KNOWN: Final = frozenset(PAPER_LABELS) - {"<OOV>", "Input", "Output"}


@dataclass(frozen=True, slots=True)
class Network:
    """What predictions say of a network besides scores.

    Attributes:
        name: What to call it.
        flops: FLOPs.
        params: Parameters.
        hash: Canonical hash.
        news: What of it the weights have never seen.
        graph: Its graph, where an observer wants it; a population's would fill the memory.
    """

    name: str
    flops: int
    params: int
    hash: str
    news: Novelty
    graph: ComputeGraph | None


@dataclass(frozen=True)
class Readings:
    """A model's outputs for some networks, before they are combined into scores.

    Attributes:
        networks: The networks.
        outputs: What the model's parts say of them, in the same order.
    """

    networks: list[Network]
    outputs: Outputs

    @classmethod
    def joined(cls, parts: Sequence["Readings"]) -> "Readings":
        """Several, at least one, as one."""
        return cls(
            [network for part in parts for network in part.networks],
            Outputs.joined([part.outputs for part in parts]),
        )


def stored(
    named: Sequence[tuple[str, ComputeGraph]], card: Mapping[str, Any]
) -> tuple[GraphStore, list[Network]]:
    """Networks as a model reads them, and what predictions say of them besides.

    Args:
        named: Names and graphs.
        card: The weights' card.

    Raises:
        InvalidInputError: for a network without any operation that the estimator knows.
    """
    store, seen, networks = GraphStore(), checked_seen(card), []
    watched = observed()
    for name, graph in named:
        view = store.add(graph)
        if not any(op.name in _KNOWN for op in view.ops):
            raise InvalidInputError(
                f"{name or 'the network'} holds no operation that the estimator knows, so its "
                "score would say nothing (`gennape trace` shows what was found)"
            )
        news, kept = novelty(graph, view, seen), graph if watched else None
        networks.append(Network(name, graph.flops, graph.params, graph.hash, news, kept))
    return store, networks


def predictions(
    model: GennapeModel,
    card: Mapping[str, Any],
    readings: Readings,
    scores: Tensor,
    basis: str = "",
) -> list[Prediction]:
    """Scores with their meaning, in order; observers are told of them.

    Args:
        model: The model that gave the readings.
        card: Its card.
        readings: The networks and the model's outputs.
        scores: A score for each, higher is better.
        basis: What the scores are made of; by the model and the networks' distance where left out.
    """
    outputs, few = readings.outputs, model.few_shot
    means, deviations = model.accuracy(outputs)
    # Extrapolated accuracies can leave the scale; members keep the raw numbers.
    accuracies = (100 * means).clamp(0, 100).tolist()
    spreads = (100 * deviations).tolist()
    distances, orders = outputs.distance.tolist(), model.orders
    members = {
        name: (values if name in orders else 100 * values).tolist()
        for name, values in outputs.members.items()
    }
    members["flops"] = [network.flops / 1e9 for network in readings.networks]
    facts, unit = card, str(card.get("accuracy", ""))
    if few is not None:
        facts = card.get("fine_tuned", {})
        unit = f"accuracy on the {len(few.residuals)} labels' scale"
    dataset = str(facts.get("dataset", "")) if isinstance(facts, dict) else ""
    interval, away = _intervals(model, card), _from_labels(model, outputs)
    made = [
        Prediction(
            name=network.name,
            score=score,
            accuracy=accuracies[i],
            accuracy_std=spreads[i],
            dataset=dataset,
            unit=unit,
            basis=basis or model.basis(distances[i]),
            flops=network.flops,
            params=network.params,
            members={member: values[i] for member, values in members.items()},
            distance=distances[i],
            graph_hash=network.hash,
            notes=network.news.notes if away is None else _note(away[i]),
            interval=interval(
                accuracies[i],
                distances[i] <= 1 and not network.news.unseen if away is None else away[i] <= 1,
            ),
            unseen=network.news.unseen,
            orders=orders,
            label_distance=None if away is None else away[i],
        )
        for i, (network, score) in enumerate(zip(readings.networks, scores.tolist(), strict=True))
    ]
    graphs = [network.graph for network in readings.networks]
    if None not in graphs:
        observe(graphs, made)
    return made


_Interval = Callable[[float, bool], tuple[float, float] | None]


def _intervals(model: GennapeModel, card: Mapping[str, Any]) -> _Interval:
    """Where an accuracy in percent lies, given that and whether its network is familiar."""
    if model.few_shot is None:
        calibration = checked_calibration(card)
        return lambda accuracy, familiar: (
            calibration.interval(accuracy, familiar=familiar) if calibration else None
        )
    below, above = model.few_shot.bounds(COVERAGE)

    def tuned(accuracy: float, familiar: bool) -> tuple[float, float] | None:
        low, high = accuracy + 100 * below, accuracy + 100 * above
        # Errors of the labelled networks say nothing about others.
        return (max(0.0, low), min(100.0, high)) if familiar and isfinite(low + high) else None

    return tuned


def _from_labels(model: GennapeModel, outputs: Outputs) -> list[float] | None:
    """Distances from the networks that a model was tuned to; ``None`` before tuning."""
    if model.few_shot is None:
        return None
    region = known_region(model, "labels")
    assert region is not None
    found: list[float] = region.distance(read(model, "labels", outputs)).tolist()
    return found


def _note(away: float) -> tuple[str, ...]:
    if away <= 1:
        return ()
    return (
        f"unlike the networks with labels ({away:.3g} times as far as 99 % of those): the accuracy "
        "is extrapolated",
    )
