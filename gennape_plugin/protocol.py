"""The NAS-Bench-101 protocol: which cells train, which validate, how labels join.

The paper splits 50,000 random cells 80 / 10 / 10 into training and two validation sets
and prunes cells below 80 % accuracy for regressors with the FLOPs transform. Here the
split is over the rows with ``test_acc``, fixed by one seed; both validation sets hold
such rows only. Rows that only have ``valid_acc_max`` may join the training set: their
test accuracy is then estimated by a line fitted on training cells that have both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gennape_plugin.core.errors import LabelsError

from .labels import Labelled

PRUNE_BELOW: Final = 0.80
SPLIT_SEED: Final = 101


@dataclass(frozen=True)
class Split:
    """Row numbers of the three sets, and the accuracy (fraction) of every row used.

    Attributes:
        train: Training rows with a measured test accuracy.
        extra: Rows that may join training with an estimated one.
        validation_1: Chooses epochs and settings.
        validation_2: Is reported.
        accuracy: Test accuracy of each row, measured or (``extra``) estimated; NaN where
            neither exists.
        slope: Of the joining line ``test = slope * valid + offset``.
        offset: Of the joining line.
    """

    train: tuple[int, ...]
    extra: tuple[int, ...]
    validation_1: tuple[int, ...]
    validation_2: tuple[int, ...]
    accuracy: np.ndarray[Any, np.dtype[np.float64]]
    slope: float
    offset: float


def split_nasbench101(rows: Sequence[Labelled]) -> Split:
    """Split the rows of a NAS-Bench-101 label file.

    Raises:
        LabelsError: if there are too few rows with ``test_acc``, or accuracies in percent.
    """
    test = np.array([row.labels.get("test_acc", np.nan) for row in rows])
    valid = np.array([row.labels.get("valid_acc_max", np.nan) for row in rows])
    for name, values in (("test_acc", test), ("valid_acc_max", valid)):
        if np.nanmax(values, initial=0.0) > 1:
            raise LabelsError(
                f"{name} reaches {np.nanmax(values):.4g}: NAS-Bench-101 labels are fractions; "
                "divide percentages by 100"
            )
    if len({row.key for row in rows}) != len(rows):
        raise LabelsError("a cell occurs twice in the labels file: keep one row for each hash")
    measured = np.flatnonzero(~np.isnan(test))
    if len(measured) < 50:
        raise LabelsError(
            f"{len(measured)} rows have test_acc: at least 50 are needed for three sets"
        )
    order = sorted(measured.tolist(), key=lambda i: rows[i].key)
    order = np.random.default_rng(SPLIT_SEED).permutation(order).tolist()
    tenth = len(order) // 10
    train, first, second = order[: -2 * tenth], order[-2 * tenth : -tenth], order[-tenth:]
    # The line is fitted above 80 %: below, the best of three runs hides failed ones.
    both = [i for i in train if not np.isnan(valid[i]) and min(test[i], valid[i]) > PRUNE_BELOW]
    slope, offset = 1.0, 0.0
    extra: list[int] = []
    if len(both) >= 30:
        slope, offset = np.polyfit(valid[both], test[both], 1).tolist()
        extra = np.flatnonzero(np.isnan(test) & ~np.isnan(valid)).tolist()
    accuracy = np.where(np.isnan(test), slope * valid + offset, test)
    return Split(tuple(train), tuple(extra), tuple(first), tuple(second), accuracy, slope, offset)
