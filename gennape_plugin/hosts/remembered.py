"""Estimators and scores that are kept for the life of a process: hosts ask again and again."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.weights import CARD_FILE
from gennape_plugin.estimator import Gennape
from gennape_plugin.shipped import weights_folder

#: Scores kept for each of the weights in use.
REMEMBERED: Final = 1 << 16
_WEIGHTS: Final = 4


def estimator(weights: str) -> Gennape:
    """The estimator of some weights, loaded once a process, and again where they were replaced.

    Raises:
        WeightsError: if there are no such weights.
    """
    return _loaded(weights, _written(weights))


@lru_cache(maxsize=_WEIGHTS)
def _loaded(weights: str, written: int) -> Gennape:
    return Gennape.from_pretrained(weights)


def _written(weights: str) -> int:
    """When the weights were written, in nanoseconds; 0 where they are not there."""
    card = weights_folder(weights) / CARD_FILE
    return card.stat().st_mtime_ns if card.is_file() else 0


@lru_cache(maxsize=_WEIGHTS)
def _known(weights: str, written: int) -> dict[str, float]:
    """Scores by graph hash, the oldest first; they never change while the weights do not."""
    return {}


def forget() -> None:
    """Drop the scores, as for a measurement; estimators stay loaded."""
    _known.cache_clear()


def remembered_scores(weights: str, graphs: Mapping[str, ComputeGraph]) -> dict[str, float]:
    """Scores of single networks; equal graphs are scored once.

    Args:
        weights: Name of shipped weights, or a weights folder.
        graphs: The graphs by their hashes.

    Returns:
        Scores by hash, in the order of ``graphs``.
    """
    known = _known(weights, _written(weights))
    missing = [graph for key, graph in graphs.items() if key not in known]
    found = {key: known[key] for key in graphs if key in known}
    new = {p.graph_hash: p.score for p in estimator(weights).score_stream(missing)}
    known.update(new)
    while len(known) > REMEMBERED:
        del known[next(iter(known))]
    found |= new
    return {key: found[key] for key in graphs}
