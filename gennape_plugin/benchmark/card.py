"""The benchmark's main table on the card of the weights that it was measured with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gennape_plugin.core.weights import update_card

from .measure import OURS, PAPER, SINGLE

_METRICS = ("srcc", "tau_b", "ndcg@10")
_ZERO_SHOT = (OURS, SINGLE, PAPER, "FLOPs", "effective FLOPs", "params", "conv count", "PRIOR8")
_DIGITS = 4


def card_table(results: Mapping[str, Any]) -> dict[str, Any]:
    """Each pool's figures: zero-shot, and with 50 labels where measured."""
    table = {}
    for task in results["tasks"].values():
        if "figures" not in task:
            continue
        entry: dict[str, Any] = {
            "networks": task["networks"],
            "development_family": task["development"],
            "surrogate_labels": task["surrogate"],
            "zero_shot": _figures({name: task["figures"].get(name, {}) for name in _ZERO_SHOT}),
        }
        if "with_labels" in task:
            entry["with_50_labels"] = _figures(task["with_labels"])
        table[task["title"]] = entry
    return table


def write_card(results: Mapping[str, Any], folder: Path) -> None:
    """Put :func:`card_table` on a weights folder's card, in the place of an earlier one."""
    update_card(folder, {"benchmark": card_table(results)})


def _figures(by_name: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {
            metric: {key: round(value, _DIGITS) for key, value in figures[metric].items()}
            for metric in _METRICS
            if metric in figures
        }
        for name, figures in by_name.items()
        if figures
    }
