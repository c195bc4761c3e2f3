"""Figures of one pool: zero-shot, and with 50 labels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from gennape_plugin.core.metrics import RANK_METRICS, bootstrap_interval, mae, spread
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.core.paper_mode import PAPER_MEMBERS, paper_score, paper_zero_shot
from gennape_plugin.core.paper_tuning import fine_tune_paper
from gennape_plugin.modes import tune_default
from gennape_plugin.pools import Pool

LABELS: Final = 50
#: Names of combined scores in the results.
OURS, SINGLE, PAPER = "ours", "ours, single", "GENNAPE"

Figures = dict[str, dict[str, dict[str, float]]]


def zero_shot(
    models: Sequence[GennapeModel],
    outputs: Sequence[Outputs],
    pool: Pool,
    *,
    resamples: int,
) -> Figures:
    """Every score's figures: mean and deviation over models, or a bootstrap interval.

    Args:
        models: Models that differ in their seed.
        outputs: What each says of the pool.
        pool: The labelled networks.
        resamples: Bootstrap resamples; 0 for none.
    """
    scores: dict[str, list[Any]] = {}
    for model, found in zip(models, outputs, strict=True):
        for name, values in found.members.items():
            if name != "flops":
                scores.setdefault(name, []).append(values.double().numpy())
        if found.members.keys() >= set(PAPER_MEMBERS):
            scores.setdefault(PAPER, []).append(paper_zero_shot(found.members).numpy())
        scores.setdefault(SINGLE, []).append(model.score(found).double().numpy())
        scores.setdefault(OURS, []).append(model.population_score(found).numpy())
    scores |= {name: [values] for name, values in pool.baselines.items()}
    accuracies = set(outputs[0].members) - set(models[0].orders)
    figures: Figures = {}
    for name, predicted in scores.items():
        figures[name] = {
            metric: _spread(function, pool.truth, predicted, resamples)
            for metric, function in RANK_METRICS.items()
        }
        if name in accuracies:
            errors = [mae(pool.truth, values) for values in predicted]
            figures[name]["mae"] = spread(errors)
    return figures


def _spread(
    metric: Callable[..., float], truth: Any, predicted: Sequence[Any], resamples: int
) -> dict[str, float]:
    values = [metric(truth, one) for one in predicted]
    if len(values) > 1:
        return spread(values)
    if not resamples:
        return {"mean": values[0]}
    interval = bootstrap_interval(metric, truth, predicted[0], resamples=resamples)
    return {"mean": interval.estimate, "low": interval.low, "high": interval.high}


def draws(size: int, seeds: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Labelled and remaining rows for each seed: 50 at random, the same for every method."""
    found = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(size).tolist()
        found.append((order[:LABELS], order[LABELS:]))
    return found


def tuned_default(
    model: GennapeModel, outputs: Outputs, pool: Pool, seeds: Sequence[int]
) -> Figures:
    """The default's fine-tuning: figures on the networks without a label."""
    accuracy = torch.from_numpy(pool.truth)
    runs: list[dict[str, float]] = []
    for seed, (known, rest) in zip(seeds, draws(len(pool.truth), seeds), strict=True):
        few, _ = tune_default(model, outputs.take(known), accuracy[known], seed=seed)
        others = outputs.take(rest)
        predicted = few.predict(others, model.ranker.size(others.statistics))[0].numpy()
        truth = pool.truth[rest]
        ranked = predicted if bool(few.blend) else model.population_score(others).numpy()
        runs.append(
            {name: metric(truth, ranked) for name, metric in RANK_METRICS.items()}
            | {"mae": mae(truth, predicted), "kept_zero_shot": float(not few.blend)}
        )
    return {OURS: _over(runs)}


def tuned_paper(model: GennapeModel, pool: Pool, seeds: Sequence[int]) -> Figures:
    """The paper's fine-tuning of every member, and their weighted ensemble."""
    accuracy = torch.from_numpy(pool.truth).float()
    runs: dict[str, list[dict[str, float]]] = {}
    for seed, (known, rest) in zip(seeds, draws(len(pool.truth), seeds), strict=True):
        # Also CL and CL+FCM, which are in its tables but not in its ensemble.
        tuned = fine_tune_paper(
            model, pool.store, known, accuracy[known], seed=seed, names=list(model.members)
        )
        found = tuned.predict(pool.store.take(rest)).members
        truth = pool.truth[rest]
        scores = {name: values.double().numpy() for name, values in found.items()}
        scores[PAPER] = paper_score(found, tuned.fine_tuned_weights or {}).numpy()
        for name, values in scores.items():
            figures = {metric: function(truth, values) for metric, function in RANK_METRICS.items()}
            if name in found and name not in tuned.orders:
                figures["mae"] = mae(truth, values)
            runs.setdefault(name, []).append(figures)
    return {name: _over(figures) for name, figures in runs.items()}


def _over(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {name: spread([run[name] for run in runs]) for name in runs[0]}
