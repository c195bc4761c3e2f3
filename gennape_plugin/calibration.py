"""Intervals for predicted accuracies: measured on held-out labels, kept on the weights' card.

Familiar networks (distance up to 1, and no operation that was never trained on) take bounds
from NAS-Bench-101's first validation set. All others take the widest bounds of the
development families, whose labels no weights were trained on, stretched until those of all
families but one cover the one left out, for each of them. Four families are few: what that
covers on families kept apart is measured, too.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from gennape_plugin.core.conformal import Bounds, covered, error_bounds, stretched, widest
from gennape_plugin.core.errors import InvalidInputError, WeightsError
from gennape_plugin.core.model import GennapeModel

from .familiarity import checked_seen, is_familiar
from .label_sets import LABEL_SETS
from .pools import read_pool

#: Coverages that the card keeps bounds for; predictions print the middle one.
LEVELS: Final = (0.8, 0.9, 0.95)
COVERAGE: Final = 0.9
_STRETCHES: Final = tuple(1 + step / 4 for step in range(17))
#: Errors that bound a tail of 2.5 %.
_LEAST: Final = 39
#: Networks of a family, at random, that are predicted.
SAMPLE: Final = 2000


@dataclass(frozen=True)
class Calibration:
    """Bounds on ``truth - prediction`` by coverage, in percentage points.

    Attributes:
        near: For familiar networks.
        far: For all others.
    """

    near: Mapping[float, Bounds]
    far: Mapping[float, Bounds]

    def interval(self, accuracy: float, *, familiar: bool) -> tuple[float, float]:
        """The interval around an accuracy in percent, cut to 0 to 100."""
        low, high = (self.near if familiar else self.far)[COVERAGE]
        return max(0.0, accuracy + low), min(100.0, accuracy + high)


def calibrate(
    model: GennapeModel,
    card: Mapping[str, Any],
    data: Path,
    *,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure bounds, and what they cover where they were not measured.

    Args:
        model: A model that has not been fine-tuned.
        card: Its card, which says what it was trained on.
        data: Folder of labels files (see :mod:`.label_sets`).
        note: Receives one line of text for each figure.

    Returns:
        The card's ``calibration``, plain JSON values.

    Raises:
        LabelsError: for a labels file that cannot be used.
        InvalidInputError: if there are no labels of NAS-Bench-101 or of two families.
    """
    labels = checked_seen(card).get("labels", ())
    if not labels:
        raise InvalidInputError(
            "the card does not say which operations the weights were trained on"
        )
    cells = data / LABEL_SETS["nasbench101"].file
    families = {
        name: data / known.file
        for name, known in LABEL_SETS.items()
        if known.development and (data / known.file).is_file()
    }
    if not cells.is_file() or len(families) < 2:
        raise InvalidInputError(
            f"{data} holds labels of {len(families)} development families: give a folder with "
            f"{cells.name} and at least two of "
            + ", ".join(known.file for known in LABEL_SETS.values() if known.development)
        )
    held_out = _errors(model, labels, cells, "nasbench101", near=True, subset="validation_1")
    again = _errors(model, labels, cells, "nasbench101", near=True, subset="validation_2")
    far = {name: _errors(model, labels, path, name, near=False) for name, path in families.items()}
    apart = {
        name: _errors(model, labels, data / known.file, name, near=False)
        for name, known in LABEL_SETS.items()
        if not (known.development or name == "nasbench101") and (data / known.file).is_file()
    }
    for name, errors in {"nasbench101": held_out, **far}.items():
        if len(errors) < _LEAST:
            raise InvalidInputError(
                f"{name}: {len(errors)} networks "
                f"that are {'unfamiliar' if name in far else 'familiar'} are held out, and at "
                f"least {_LEAST} are needed: give more labels"
            )
    bounds: dict[str, dict[str, Any]] = {"near": {}, "far": {}}
    checks: dict[str, Any] = {}
    far_bounds = {level: _far_bounds(far, level) for level in LEVELS}
    for level in LEVELS:
        bounds["near"][f"{level}"] = error_bounds(held_out, level)
        # Bounds for more coverage, stretched less, can be the narrower ones; they serve too.
        wide, left_out, stretch = min(
            (found for other, found in far_bounds.items() if other >= level),
            key=lambda found: found[0][1] - found[0][0],
        )
        bounds["far"][f"{level}"] = wide
        others = {
            name: covered(e, bounds["far"][f"{level}"]) for name, e in apart.items() if len(e)
        }
        second = covered(again, bounds["near"][f"{level}"])
        checks[f"{level}"] = {
            "validation_2": second, "stretch": stretch, "left_out": left_out, "apart": others
        }  # fmt: skip
        low, high = bounds["near"][f"{level}"]
        note(
            f"{level:.0%} near: {low:+.2f} to {high:+.2f} points, covers {second:.1%} of "
            f"validation 2 ({len(again)} cells)"
        )
        low, high = bounds["far"][f"{level}"]
        note(
            f"{level:.0%} far: {low:+.1f} to {high:+.1f} points, stretched {stretch:g} times; "
            f"left out: {_listed(left_out)}; kept apart: {_listed(others)}"
        )
    return {**bounds, "covered": checks}


def _far_bounds(errors: Mapping[str, Any], level: float) -> tuple[Bounds, dict[str, float], float]:
    """Bounds for unfamiliar networks, what they cover of each family left out, and the stretch."""
    by_family = {name: error_bounds(found, level) for name, found in errors.items()}
    stretch = next(
        factor
        for factor in _STRETCHES
        if min(_left_out(errors, by_family, factor).values()) >= level or factor == _STRETCHES[-1]
    )
    left_out = _left_out(errors, by_family, stretch)
    return stretched(widest(list(by_family.values())), stretch), left_out, stretch


def _left_out(
    errors: Mapping[str, Any], bounds: Mapping[str, Bounds], stretch: float
) -> dict[str, float]:
    """What all families' bounds but its own cover of each family."""
    return {
        name: covered(
            errors[name],
            stretched(widest([b for other, b in bounds.items() if other != name]), stretch),
        )
        for name in errors
    }


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in shares.items()) or "none"


def checked_calibration(card: Mapping[str, Any]) -> Calibration | None:
    """The calibration on a card; ``None`` where it has none.

    Raises:
        WeightsError: if it is not what :func:`calibrate` writes.
    """
    given = card.get("calibration")
    if given is None:
        return None
    try:
        parts = []
        for part in ("near", "far"):
            table = {float(level): tuple(map(float, given[part][level])) for level in given[part]}
            low, high = table[COVERAGE]
            if not (isfinite(low) and isfinite(high) and low <= high):
                raise ValueError
            parts.append({level: (pair[0], pair[1]) for level, pair in table.items()})
        return Calibration(*parts)
    except (LookupError, TypeError, ValueError):
        raise WeightsError(
            "the card's 'calibration' is not what `gennape calibrate` writes: the weights folder "
            "is damaged"
        ) from None


def _errors(
    model: GennapeModel,
    seen: Collection[str],
    labels: Path,
    family: str,
    *,
    near: bool,
    subset: str | None = None,
) -> Any:
    """Errors in percentage points of a family's familiar or unfamiliar networks."""
    pool = read_pool(labels, family_name=family, subset=subset)
    rows = np.random.default_rng(0).permutation(len(pool.truth))[:SAMPLE]
    store = pool.store.take(rows.tolist())
    outputs = model.predict(store)
    predicted = model.accuracy(outputs)[0].double().clamp(0, 1).numpy()
    familiar = is_familiar(outputs.distance, store.unseen(seen)).numpy()
    return 100 * (pool.truth[rows] - predicted)[familiar == near]
