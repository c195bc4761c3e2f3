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
from .hooks import observe
from .prediction import Prediction

_KNOWN: Final = frozenset(PAPER_LABELS) - {"<OOV>", "Input", "Output"}


@dataclass(frozen=True)
class Readings:
    """A model's outputs for some networks, before they are combined into scores.

    Attributes:
        named: Name and graph of each network.
        outputs: What the model's parts say of them, in the same order.
        news: What of each the weights have never seen.
    """

    named: list[tuple[str, ComputeGraph]]
    outputs: Outputs
    news: list[Novelty]

    @classmethod
    def joined(cls, parts: Sequence["Readings"]) -> "Readings":
        """Several, at least one, as one."""
        return cls(
            [pair for part in parts for pair in part.named],
            Outputs.joined([part.outputs for part in parts]),
            [new for part in parts for new in part.news],
        )


def stored(
    named: Sequence[tuple[str, ComputeGraph]], card: Mapping[str, Any]
) -> tuple[GraphStore, list[Novelty]]:
    """Networks as a model reads them, and what of each its weights have never seen.

    Args:
        named: Names and graphs.
        card: The weights' card.

    Raises:
        InvalidInputError: for a network without any operation that the estimator knows.
    """
    store, seen, news = GraphStore(), checked_seen(card), []
    for name, graph in named:
        view = store.add(graph)
        if not any(op.name in _KNOWN for op in view.ops):
            raise InvalidInputError(
                f"{name or 'the network'} holds no operation that the estimator knows, so its "
                "score would say nothing (`gennape trace` shows what was found)"
            )
        news.append(novelty(graph, view, seen))
    return store, news


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
    members["flops"] = [graph.flops / 1e9 for _, graph in readings.named]
    tuned = card.get("fine_tuned", {}) if few is not None else {}
    labelled = few is not None and bool(few.blend)  # otherwise the zero-shot order was kept
    unit = f"accuracy on the {tuned['labels']} labels' scale" if tuned else ""
    interval = _intervals(model, card)
    made = [
        Prediction(
            name=name,
            score=score,
            accuracy=accuracies[i],
            accuracy_std=spreads[i],
            dataset=str((tuned or card).get("dataset", "")),
            unit=unit or str(card.get("accuracy", "")),
            basis=basis or ("labels" if labelled else "members" if near else "size"),
            flops=graph.flops,
            params=graph.params,
            members={member: values[i] for member, values in members.items()},
            distance=distances[i],
            graph_hash=graph.hash,
            notes=() if tuned else new.notes,
            interval=interval(accuracies[i], near and not new.unseen),
            unseen=new.unseen,
            orders=orders,
        )
        for i, ((name, graph), new, score) in enumerate(
            zip(readings.named, readings.news, scores.tolist(), strict=True)
        )
        for near in [distances[i] <= 1]
    ]
    observe([graph for _, graph in readings.named], made)
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
        return (max(0.0, low), min(100.0, high)) if isfinite(low + high) else None

    return tuned
