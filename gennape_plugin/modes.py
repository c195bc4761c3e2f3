"""The two modes: the paper's ensemble, and our default; zero-shot and with labels."""

import copy
from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.few_shot import (
    MAX_LABELS,
    MIN_LABELS,
    CrossValidation,
    FewShot,
    fit_few_shot,
)
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.core.paper_mode import paper_score, paper_zero_shot
from gennape_plugin.core.paper_tuning import fine_tune_paper

from .labels import check_percent

Mode = Literal["default", "paper"]


def check_mode(mode: str) -> None:
    """Refuse modes that do not exist.

    Raises:
        InvalidInputError: naming those that do.
    """
    if mode not in get_args(Mode):
        raise InvalidInputError(f"unknown mode {mode!r}: choose from {', '.join(get_args(Mode))}")


def population_scores(model: GennapeModel, outputs: Outputs, mode: Mode) -> Tensor:
    """Scores of networks that are ranked against each other; higher is better."""
    if mode == "default":
        return model.population_score(outputs)
    weights = model.fine_tuned_weights
    return paper_score(outputs.members, weights) if weights else paper_zero_shot(outputs.members)


def checked_accuracies(accuracies: Sequence[float], count: int, *, fractions: bool) -> list[float]:
    """Accuracies in percent that can be learned from.

    Raises:
        LabelsError: saying what is wrong with them.
    """
    try:
        values = [float(value) for value in accuracies]
    except (TypeError, ValueError) as error:
        raise LabelsError(f"accuracies are numbers, one for each network: {error}") from None
    if len(values) != count:
        raise LabelsError(f"{count} networks and {len(values)} accuracies: give one for each")
    if not MIN_LABELS <= count <= MAX_LABELS:
        raise LabelsError(
            f"{count} labelled networks: give at least {MIN_LABELS} and at most {MAX_LABELS}"
        )
    top = 1 if fractions else 100
    for place, value in enumerate(values):
        if not (isfinite(value) and 0 <= value <= top):
            raise LabelsError(f"accuracy {place} is {value:g}: give numbers from 0 to {top}")
    if min(values) == max(values):
        raise LabelsError(f"all {count} accuracies are {values[0]:g}: there is no order to learn")
    return check_percent(values, "the list of accuracies", fractions=fractions)


def fine_tuned(
    model: GennapeModel, store: GraphStore, percent: Sequence[float], *, mode: Mode, seed: int
) -> tuple[GennapeModel, dict[str, Any]]:
    """A tuned copy of a model, and what there is to say of the tuning.

    Args:
        model: The model; it stays as it is.
        store: The labelled graphs.
        percent: Their accuracies in percent.
        mode: Whose protocol.
        seed: Fixes everything random.
    """
    accuracy = torch.tensor(percent, dtype=torch.float64) / 100
    if mode == "paper":
        rows = range(len(percent))
        tuned = fine_tune_paper(model, store, rows, accuracy.float(), seed=seed)
        # Regressions that an earlier default tuning left would speak of other labels.
        tuned.few_shot = tuned.untrained = None
        return tuned, {}
    tuned = copy.deepcopy(model)
    tuned.few_shot = None
    tuned.add_untrained()
    outputs = tuned.predict(store)
    tuned.few_shot, checked = tune_default(tuned, outputs, accuracy, seed=seed)
    return tuned, {
        "cross_validated_srcc": checked.tuned,
        "zero_shot_srcc": checked.zero_shot,
        "kept_zero_shot_order": not checked.helps,
    }


def tune_default(
    model: GennapeModel, outputs: Outputs, accuracy: Tensor, *, seed: int
) -> tuple[FewShot, CrossValidation]:
    """Fit the default's regressions.

    Args:
        model: A model that has not been tuned, its untrained networks added.
        outputs: What it says of the labelled graphs.
        accuracy: Their accuracies, fractions.
        seed: Fixes the folds.
    """
    return fit_few_shot(
        outputs,
        accuracy,
        model.ranker.size(outputs.statistics),
        rankings=[model.score(outputs), model.population_score(outputs)],
        seed=seed,
    )
