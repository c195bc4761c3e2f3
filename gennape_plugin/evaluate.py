"""Predictions against labels, with the untrained baselines always beside.

``paper rule``, ``population`` and ``PRIOR8`` use the unlabelled population that is evaluated
(its ranks and quantiles); every other predictor is single-architecture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gennape_plugin.core.files import without_nan
from gennape_plugin.core.metrics import RANK_METRICS, bootstrap_interval, mae, spread
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.paper_mode import PAPER_MEMBERS, paper_score, paper_zero_shot

from .pools import BASELINES, read_pool

Array = np.ndarray[Any, np.dtype[np.float64]]

METRICS: Final = {"mae": mae, **RANK_METRICS}
#: Combined scores, which are no accuracies: the paper's ensemble, and the two defaults.
SCORES: Final = ("paper rule", "score", "population")


@dataclass(frozen=True)
class Evaluation:
    """Results of one evaluation.

    Attributes:
        family: Name of the family.
        target: Label column.
        subset: Part of the labels.
        variant: Network that encodings stood for.
        items: Number of architectures.
        rows: Rows of the labels file, those that are not in the part included.
        seeds: Number of models.
        results: For each predictor and metric: ``mean`` and ``sd`` over models, ``low`` and
            ``high`` of the 95 % bootstrap interval over architectures for a single model.
    """

    family: str
    target: str
    subset: str
    variant: str
    items: int
    rows: int
    seeds: int
    results: Mapping[str, Mapping[str, Mapping[str, float]]]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``None`` where a metric is undefined (JSON has no NaN)."""
        return {**vars(self), "results": without_nan(self.results)}

    def __str__(self) -> str:
        lines = [
            f"{self.family}, {self.target}, {self.subset}: {self.items} architectures "
            f"of {self.rows} rows, "
            f"{self.variant} network, {self.seeds} model(s); "
            + ("mean +- sd over models" if self.seeds > 1 else "[95 % bootstrap interval]"),
            f"{'':16s}" + "".join(f"{name:>24s}" for name in ("MAE, points", *list(METRICS)[1:])),
        ]
        for predictor, metrics in self.results.items():
            cells = [_cell(metrics.get(metric)) for metric in METRICS]
            lines.append(f"{predictor:16s}" + "".join(f"{cell:>24s}" for cell in cells))
        return "\n".join(lines)


def _cell(value: Mapping[str, float] | None) -> str:
    if value is None:
        return "-"
    if "sd" in value:
        return f"{value['mean']:.4f} +- {value['sd']:.4f}"
    return f"{value['mean']:.4f} [{value['low']:.3f}, {value['high']:.3f}]"


def evaluate(
    models: Sequence[GennapeModel],
    labels: str | Path,
    *,
    family_name: str,
    target: str | None = None,
    variant: str | None = None,
    subset: str | None = None,
    resamples: int = 1000,
) -> Evaluation:
    """Evaluate members, ensemble and baselines on a labels file.

    Args:
        models: One model, or several that differ in their seed.
        labels: Label file (see :mod:`.labels`).
        family_name: Family of its architectures.
        target: Label column; the family's default where left out.
        variant: Network that an encoding stands for; the family's default where left out.
        subset: Part of the labels; the family's default where left out.
        resamples: Bootstrap resamples.

    Raises:
        LabelsError: for labels that cannot be used.
        InvalidInputError: for an unknown family, variant or subset.
    """
    pool = read_pool(labels, family_name=family_name, target=target, variant=variant, subset=subset)
    truth = pool.truth
    predictions: dict[str, list[Array]] = {}
    orders = set(SCORES)
    for model in models:
        found = model.predict(pool.store)
        for name, values in found.members.items():
            if name != "flops":
                predictions.setdefault(name, []).append(values.double().numpy())
        orders |= set(model.orders)
        trained = [found.members[name] for name in model.ensemble if name not in model.orders]
        combined = {
            "ensemble": torch.stack(trained).mean(dim=0),
            "score": model.score(found),
            "population": model.population_score(found),
        }
        if found.members.keys() >= set(PAPER_MEMBERS):
            weights = model.fine_tuned_weights
            combined["paper rule"] = (
                paper_score(found.members, weights) if weights else paper_zero_shot(found.members)
            )
        for name, values in combined.items():
            predictions.setdefault(name, []).append(values.double().numpy())
    results = {
        name: _metrics(truth, values, resamples, with_mae=name not in orders)
        for name, values in predictions.items()
    }
    for name in BASELINES:
        results[name] = _metrics(truth, [pool.baselines[name]], resamples, with_mae=False)
    return Evaluation(
        family_name,
        pool.target,
        pool.subset,
        pool.variant,
        len(truth),
        pool.rows,
        len(models),
        results,
    )


def _metrics(
    truth: Array, predictions: Sequence[Array], resamples: int, *, with_mae: bool
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, metric in METRICS.items():
        if name == "mae" and not with_mae:
            continue
        if len(predictions) > 1:
            found[name] = spread([metric(truth, predicted) for predicted in predictions])
        else:
            interval = bootstrap_interval(metric, truth, predictions[0], resamples=resamples)
            found[name] = {"mean": interval.estimate, "low": interval.low, "high": interval.high}
    return found
