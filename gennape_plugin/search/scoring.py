"""How a search scores networks: one kind of score for all, and what leaving its region costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.core.search import Scores
from gennape_plugin.core.statistics import STATISTICS
from gennape_plugin.estimator import Gennape
from gennape_plugin.prediction import Prediction

#: What each basis means, for people.
CAUTION: Final = {
    "members": "",
    "labels": "",
    "size": "The start is far from the networks that the weights were trained on, so quality is a "
    "size prior: it rewards size and depth as such. That FLOPs fall at equal quality then says "
    "little. Tune weights with some labels of this kind of network (gennape finetune) and give "
    "them with --weights.",
}


@dataclass
class Scorer:
    """Scores networks for a search that starts from one of them.

    All get the *kind* of score that the start gets (``basis``): the trained members', the
    size prior's, or that of fine-tuning. Otherwise a network could win by crossing from one
    kind to the other.

    The region that the predictor is trusted in reaches as far as the start: a distance from
    the training graphs up to 1, or up to the start's where that is more; no larger share of
    operations never trained on; after fine-tuning, a deviation of the prediction up to that
    of the labels' own errors, or up to the start's.

    Attributes:
        basis: ``"members"``, ``"size"`` or ``"labels"``.
        start: The start's prediction.
        deviation: Largest trusted deviation after fine-tuning, in percentage points.
    """

    estimator: Gennape
    basis: str
    start: Prediction
    deviation: float

    @classmethod
    def of(cls, estimator: Gennape, start: ComputeGraph) -> "Scorer":
        """Take the kind of score, and the least distance that costs something, from the start."""
        prediction = estimator.score(start)
        few, deviation = estimator.model.few_shot, prediction.accuracy_std
        if few is not None:
            deviation = max(deviation, 100 * float(few.residuals.std(correction=0)))
        return cls(estimator, prediction.basis, prediction, deviation)

    def __call__(self, graphs: Sequence[ComputeGraph]) -> list[Scores]:
        """Scores in order."""
        names = [graph.name for graph in graphs]
        model = self.estimator.model
        # Below `score_many`, because that gives each network its own kind of score.
        outputs, news = self.estimator._outputs(graphs, names)
        scores = model.score(outputs)
        predictions = self.estimator._predictions(graphs, names, outputs, scores, news)
        quality = _QUALITY[self.basis](model, outputs).double().tolist()
        depths = outputs.statistics[:, STATISTICS.index("longest")].tolist()
        return [
            Scores(
                quality=q,
                excess=self._excess(p),
                accuracy=p.accuracy,
                interval=p.interval,
                distance=p.distance,
                unseen=p.unseen,
                flops=p.flops,
                params=p.params,
                depth=round(layers),
            )
            for q, p, layers in zip(quality, predictions, depths, strict=True)
        ]

    def _excess(self, p: Prediction) -> float:
        found = max(0.0, p.unseen - self.start.unseen)
        found += max(0.0, p.distance - max(1.0, self.start.distance))
        if self.basis == "labels":
            found += max(0.0, p.accuracy_std - self.deviation)
        return found


def _labels(model: GennapeModel, outputs: Outputs) -> Tensor:
    return 100 * model.accuracy(outputs)[0]


_QUALITY: Final[dict[str, Callable[[GennapeModel, Outputs], Tensor]]] = {
    "members": lambda model, outputs: model.ensemble_score(outputs.members),
    "size": lambda model, outputs: model.ranker.size(outputs.statistics.cpu()),
    "labels": _labels,
}
