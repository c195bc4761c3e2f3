"""Predictions against labels, with the untrained baselines always beside.

Every predictor is single-architecture: no figure here uses the unlabelled population of
the family that is evaluated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Final

import numpy as np
import torch

from gennape_plugin.adapters.families import family
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.metrics import bootstrap_interval, kendall_tau_b, mae, ndcg_at_k, srcc
from gennape_plugin.core.model import GennapeModel

from .labels import Labelled, read_labels
from .protocol import PRUNE_BELOW, split_nasbench101

Subset = Callable[[Sequence[Labelled]], Sequence[int]]
Array = np.ndarray[Any, np.dtype[np.float64]]

METRICS: Final[Mapping[str, Callable[..., float]]] = {
    "mae": mae,
    "srcc": srcc,
    "tau_b": kendall_tau_b,
    "ndcg@10": partial(ndcg_at_k, k=10),
    "ndcg@50": partial(ndcg_at_k, k=50),
}
#: The paper's zero-shot ensemble, as far as it is built (no pairwise classifiers yet).
PAPER_ENSEMBLE: Final = ("cl+fcm+t", "cl+t", "kgnn", "flops")
#: Combined scores, which are no accuracies: the paper's equal weights, and the default.
SCORES: Final = ("paper rule", "score")
#: Untrained scores printed beside every evaluation; they have no MAE.
BASELINES: Final = ("FLOPs", "params", "conv count")


@dataclass(frozen=True)
class LabelSet:
    """How a family's labels are read.

    Attributes:
        target: Default label column.
        percent: Whether labels are percentages (otherwise fractions).
        variant: Network that an encoding stands for by default.
        subsets: Named parts of a labels file; the first is the default.
    """

    target: str
    percent: bool
    variant: str
    subsets: Mapping[str, Subset]


def _nasbench101(part: str, *, pruned: bool = False) -> Subset:
    def rows_of(rows: Sequence[Labelled]) -> Sequence[int]:
        chosen: Sequence[int] = getattr(split_nasbench101(rows), part)
        return [i for i in chosen if not pruned or rows[i].labels["test_acc"] >= PRUNE_BELOW]

    return rows_of


LABEL_SETS: Final[Mapping[str, LabelSet]] = {
    "nasbench101": LabelSet(
        "test_acc",
        percent=False,
        variant="benchmark",
        subsets={
            "validation_2": _nasbench101("validation_2"),
            "validation_2_from_80": _nasbench101("validation_2", pruned=True),
            "validation_1": _nasbench101("validation_1"),
        },
    ),
    "nasbench201": LabelSet(
        "c10_test_acc_200ep",
        percent=True,
        variant="benchmark",
        subsets={
            "no-none": lambda rows: [i for i, row in enumerate(rows) if "none" not in row.arch.ops],
            "all": lambda rows: range(len(rows)),
        },
    ),
}


@dataclass(frozen=True)
class Evaluation:
    """Results of one evaluation.

    Attributes:
        family: Name of the family.
        target: Label column.
        subset: Part of the labels.
        variant: Network that encodings stood for.
        items: Number of architectures.
        seeds: Number of models.
        results: For each predictor and metric: ``mean`` and ``sd`` over models, ``low`` and
            ``high`` of the 95 % bootstrap interval over architectures for a single model.
    """

    family: str
    target: str
    subset: str
    variant: str
    items: int
    seeds: int
    results: Mapping[str, Mapping[str, Mapping[str, float]]]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; ``None`` where a metric is undefined (JSON has no NaN)."""
        results = {
            predictor: {
                metric: {k: None if isnan(v) else v for k, v in figures.items()}
                for metric, figures in metrics.items()
            }
            for predictor, metrics in self.results.items()
        }
        return {**vars(self), "results": results}

    def __str__(self) -> str:
        lines = [
            f"{self.family}, {self.target}, {self.subset}: {self.items} architectures, "
            f"{self.variant} network, {self.seeds} model(s); "
            + ("mean +- sd over models" if self.seeds > 1 else "[95 % bootstrap interval]"),
            f"{'':12s}" + "".join(f"{name:>24s}" for name in ("MAE, points", *list(METRICS)[1:])),
        ]
        for predictor, metrics in self.results.items():
            cells = [_cell(metrics.get(metric)) for metric in METRICS]
            lines.append(f"{predictor:12s}" + "".join(f"{cell:>24s}" for cell in cells))
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
    space = family(family_name)
    known = LABEL_SETS[family_name]
    target, variant = target or known.target, variant or known.variant
    subset = subset or next(iter(known.subsets))
    if subset not in known.subsets:
        raise InvalidInputError(
            f"{space.title} labels have no part {subset!r}: choose from {', '.join(known.subsets)}"
        )
    rows = list(read_labels(labels, space))
    chosen = [rows[i] for i in known.subsets[subset](rows)]
    truth = _truth(chosen, target, percent=known.percent, path=labels)
    store, sizes = GraphStore(), {name: np.empty(len(chosen)) for name in BASELINES}
    for i, row in enumerate(chosen):
        graph = space.graph(row.arch, variant=variant)
        view = graph.paper_view()
        store.add(graph, view=view)
        sizes["FLOPs"][i], sizes["params"][i] = graph.flops, graph.params
        sizes["conv count"][i] = sum(op.name in ("Conv", "Depthwise") for op in view.ops)
    predictions: dict[str, list[Array]] = {}
    for model in models:
        found = model.predict(store)
        for name, values in found.members.items():
            if name != "flops":
                predictions.setdefault(name, []).append(values.double().numpy())
        trained = [found.members[name] for name in model.ensemble if name != "flops"]
        combined = {"ensemble": torch.stack(trained).mean(dim=0), "score": model.score(found)}
        if found.members.keys() >= set(PAPER_ENSEMBLE):
            combined["paper rule"] = model.ensemble_score(found.members, PAPER_ENSEMBLE)
        for name, values in combined.items():
            predictions.setdefault(name, []).append(values.double().numpy())
    results = {
        name: _metrics(truth, values, resamples, with_mae=name not in SCORES)
        for name, values in predictions.items()
    }
    for name in BASELINES:
        results[name] = _metrics(truth, [sizes[name]], resamples, with_mae=False)
    return Evaluation(family_name, target, subset, variant, len(chosen), len(models), results)


def _truth(rows: Sequence[Labelled], target: str, *, percent: bool, path: str | Path) -> Array:
    if len(rows) < 2:
        raise LabelsError(f"{path}: {len(rows)} architectures to evaluate; at least 2 are needed")
    missing = [row.key for row in rows if target not in row.labels]
    if missing:
        raise LabelsError(
            f"{path}: {len(missing)} architectures have no {target!r} (first: {missing[0]}); "
            f"columns are {', '.join(sorted(rows[0].labels))}"
        )
    values = np.array([row.labels[target] for row in rows])
    if percent and values.max() <= 1:
        raise LabelsError(
            f"{path}: {target} never exceeds 1, but percentages are expected: multiply by 100"
        )
    if not percent and values.max() > 1:
        raise LabelsError(
            f"{path}: {target} reaches {values.max():.4g}, but fractions are expected: "
            "divide by 100"
        )
    return values / 100 if percent else values


def _metrics(
    truth: Array, predictions: Sequence[Array], resamples: int, *, with_mae: bool
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, metric in METRICS.items():
        if name == "mae" and not with_mae:
            continue
        if len(predictions) > 1:
            values = [metric(truth, predicted) for predicted in predictions]
            found[name] = {"mean": fmean(values), "sd": pstdev(values)}
        else:
            interval = bootstrap_interval(metric, truth, predictions[0], resamples=resamples)
            found[name] = {"mean": interval.estimate, "low": interval.low, "high": interval.high}
    return found
