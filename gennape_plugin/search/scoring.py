"""How a search scores networks: one kind of score for all, and what leaving its region costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.model import Basis, GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.core.search import Scores
from gennape_plugin.core.statistics import STATISTICS
from gennape_plugin.estimator import Gennape
from gennape_plugin.prediction import Prediction
from gennape_plugin.region import Region, known_region, read

_BY_SIZE: Final = (
    "The start is far from the networks that the weights were trained on, so quality is a "
    "size prior: it rewards size and depth as such. That FLOPs fall at equal quality then says "
    "little. Tune weights with some labels of this kind of network (gennape finetune) and give "
    "them with --weights."
)
_FAR: Final = (
    "The start is unlike the networks whose labels the weights were tuned with, so accuracies are "
    "extrapolated. Give weights tuned with labels of this kind of network (gennape finetune)."
)


@dataclass
class Scorer:
    """Scores networks for a search that starts from one of them.

    All get the *kind* of score that the start gets (``basis``): the trained members', the
    size prior's, or that of fine-tuning. Otherwise a network could win by crossing from one
    kind to the other.

    Quality is pessimistic, since a search finds what a predictor overrates: that of the
    member that thinks least of the network (in standard deviations above the average
    NAS-Bench-101 cell), or, after fine-tuning, the accuracy less its deviation (in percent).

    The region that the predictor is trusted in is that of the networks which this kind of
    score was learned from, in all features (:mod:`.region`), or reaches to the start where
    that lies farther out. Of the trained members it also asks for a distance up to 1 and no
    larger a share of operations never trained on than the start's. The size prior has
    learned nothing, so it has no such region.

    Attributes:
        basis: ``"members"``, ``"size"`` or ``"labels"``.
        start: The start's prediction.
        region: Where this kind of score is known.
        reach: How far from those networks is trusted, in units of the region's radius.
        cautious: Whether quality is pessimistic; otherwise it is the usual score.
    """

    estimator: Gennape
    basis: Basis
    start: Prediction
    region: Region | None
    reach: float
    cautious: bool = True

    @classmethod
    def of(cls, estimator: Gennape, start: ComputeGraph, *, cautious: bool = True) -> "Scorer":
        """Take the kind of score, and the least distance that costs something, from the start."""
        prediction, model = estimator.score(start), estimator.model
        basis = model.basis(prediction.distance)
        region, reach = known_region(model, basis), 1.0
        if region is not None:
            outputs = model.predict(GraphStore.of([start]))
            reach = max(reach, float(region.distance(read(model, basis, outputs))[0]))
        return cls(estimator, basis, prediction, region, reach, cautious)

    @property
    def caution(self) -> str:
        """What a person should know before believing the result; empty if nothing."""
        if self.basis == "size":
            return _BY_SIZE
        return _FAR if self.basis == "labels" and self.reach > 1 else ""

    def __call__(self, graphs: Sequence[ComputeGraph]) -> list[Scores]:
        """Scores in order."""
        model = self.estimator.model
        # Below `score_many`, because that gives each network its own kind of score.
        readings = self.estimator.read([(graph.name, graph) for graph in graphs])
        predictions, outputs = self.estimator.predictions(readings), readings.outputs
        quality = _quality(model, self.basis, outputs, self.cautious).double().tolist()
        depths = outputs.statistics[:, STATISTICS.index("longest")].tolist()
        away = [0.0] * len(graphs)
        if self.region is not None:
            away = self.region.distance(read(model, self.basis, outputs)).tolist()
        return [
            Scores(
                quality=q,
                excess=self._excess(p, out),
                accuracy=p.accuracy,
                interval=p.interval,
                distance=p.distance,
                unseen=p.unseen,
                flops=p.flops,
                params=p.params,
                depth=round(layers),
            )
            for q, p, layers, out in zip(quality, predictions, depths, away, strict=True)
        ]

    def _excess(self, p: Prediction, away: float) -> float:
        found = max(0.0, away - self.reach)
        if self.basis == "members":
            found += max(0.0, p.unseen - self.start.unseen) + max(0.0, p.distance - 1)
        return found


def _quality(model: GennapeModel, basis: Basis, outputs: Outputs, cautious: bool) -> Tensor:
    """The score of one kind, in the units that a search shows; a pessimistic one if cautious."""
    if basis == "labels":
        accuracy, deviation = model.accuracy(outputs)
        return 100 * (accuracy - deviation) if cautious else 100 * accuracy
    if basis == "members" and cautious:
        standardised = model.standardised(outputs.members)
        trained = [values for name, values in standardised.items() if name != "flops"]
        return torch.stack(trained).min(dim=0).values
    return model.score_on(basis, outputs)
