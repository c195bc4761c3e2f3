"""Table 3's comparators on NAS-Bench-101, under the split and labels of our own members."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from gennape_plugin.core.comparators.bananas import BANANAS_CONFIG, fit_bananas
from gennape_plugin.core.comparators.cells import CellTensors
from gennape_plugin.core.comparators.npn import NPN_CONFIG, fit_npn
from gennape_plugin.core.comparators.tnasp import TNASP_CONFIG, fit_tnasp
from gennape_plugin.core.comparators.training import CellPredictor, ComparatorConfig
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.metrics import mae, srcc
from gennape_plugin.core.regression import Fitted
from gennape_plugin.core.training import Progress, silent
from gennape_plugin.families import family

from .labels import Labelled, read_labels
from .protocol import PRUNE_BELOW, split_nasbench101

#: How each comparator is trained, and its settings.
COMPARATORS: Final[
    Mapping[str, tuple[Callable[..., tuple[CellPredictor, Fitted]], ComparatorConfig]]
] = {
    "npn": (fit_npn, NPN_CONFIG),
    "bananas": (fit_bananas, BANANAS_CONFIG),
    "tnasp": (fit_tnasp, TNASP_CONFIG),
    "tnasp-eigenvectors": (partial(fit_tnasp, positions="eigenvectors"), TNASP_CONFIG),
}


def table3_comparators(
    data: str | Path | Sequence[Labelled],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    names: Sequence[str] = tuple(COMPARATORS),
    epochs: int | None = None,
    pruned: bool = True,
    progress: Progress = silent,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Train comparators and measure them on the second validation set.

    Args:
        data: NAS-Bench-101 label file (see :mod:`.labels`), or its rows.
        seeds: One training each.
        names: Comparators, out of :data:`COMPARATORS`.
        epochs: Passes over the training set, in the place of each comparator's own.
        pruned: Leave cells below 80 % out of training and the choice of the epoch, as for the
            members with the FLOPs transform.
        progress: Called after every epoch.
        note: Receives one line of text after each training.

    Returns:
        Plain JSON values. ``runs`` holds, for each comparator, a list with ``seed``, the chosen
        ``epoch``, ``validation_1_srcc``, ``seconds`` and, under ``validation_2``, ``mae``
        (points) and ``srcc`` on cells ``from_80`` and on ``all``; ``None`` where undefined.

    Raises:
        LabelsError: for labels that cannot be used.
        InvalidInputError: for unknown comparators, or no seeds.
    """
    unknown = [name for name in names if name not in COMPARATORS]
    if unknown or not seeds or min(seeds) < 0:
        raise InvalidInputError(
            f"comparators {list(names)} with seeds {list(seeds)}: choose from "
            f"{', '.join(COMPARATORS)}, and give at least one seed, none negative"
        )
    if isinstance(data, str | Path):
        data = list(read_labels(data, family("nasbench101")))
    split = split_nasbench101(data)
    train, first = (
        _examples(data, split.accuracy, part, pruned=pruned)
        for part in (split.train, split.validation_1)
    )
    second = _examples(data, split.accuracy, split.validation_2, pruned=False)
    configs = {name: COMPARATORS[name][1] for name in names}
    if epochs is not None:
        configs = {name: replace(config, epochs=epochs) for name, config in configs.items()}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for name in names:
        for seed in seeds:
            started = time.perf_counter()
            model, fitted = COMPARATORS[name][0](
                *train, first, config=configs[name], seed=seed, progress=progress
            )
            run = {
                "seed": seed,
                "epoch": fitted.epoch,
                "validation_1_srcc": _json(fitted.validation_srcc),
                "seconds": round(time.perf_counter() - started, 1),
                "validation_2": _figures(second[1], model.predict(second[0])),
            }
            runs[name].append(run)
            note(f"{name}: {run}")
    return {
        "protocol": {
            "measured_rows": len(train[1]),
            "pruned_below": PRUNE_BELOW if pruned else None,
            "epochs_chosen_on": "validation_1",
            "validation_1_rows": len(first[1]),
            "validation_2_rows": len(second[1]),
            "validation_2_rows_from_80": int((second[1] >= PRUNE_BELOW).sum()),
        },
        "configs": {name: config.to_dict() for name, config in configs.items()},
        "runs": runs,
    }


def _examples(
    rows: Sequence[Labelled],
    accuracy: np.ndarray[Any, np.dtype[np.float64]],
    part: Iterable[int],
    *,
    pruned: bool,
) -> tuple[CellTensors, Tensor]:
    """Cells and accuracies of a part of the split."""
    labels = torch.from_numpy(accuracy.astype(np.float32))
    chosen = [i for i in part if not pruned or labels[i] >= PRUNE_BELOW]
    if not chosen:
        raise LabelsError(f"no cell of a set reaches {PRUNE_BELOW:.0%}: nothing is left to train")
    cells = CellTensors.of((rows[i].arch.matrix, rows[i].arch.ops) for i in chosen)
    return cells, labels[chosen]


def _figures(truth: Tensor, predicted: Tensor) -> dict[str, dict[str, float | None]]:
    kept = truth >= PRUNE_BELOW
    figures = {}
    for part, rows in (("from_80", kept), ("all", torch.ones_like(kept))):
        found = (mae(truth[rows], predicted[rows]), srcc(truth[rows], predicted[rows]))
        figures[part] = dict(zip(("mae", "srcc"), map(_json, found), strict=True))
    return figures


def _json(value: float) -> float | None:
    return None if isnan(value) else value
