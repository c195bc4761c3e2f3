"""Estimators and scores that are kept for the life of a process: hosts ask again and again."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.estimator import Gennape

#: Scores kept for each of the weights in use.
REMEMBERED: Final = 1 << 16
_WEIGHTS: Final = 4


@lru_cache(maxsize=_WEIGHTS)
def estimator(weights: str) -> Gennape:
    """The estimator of some weights, loaded once a process.

    Raises:
        WeightsError: if there are no such weights.
    """
    return Gennape.from_pretrained(weights)


@lru_cache(maxsize=_WEIGHTS)
def _known(weights: str) -> dict[str, float]:
    """Scores by graph hash, the oldest first; they never change within a process."""
    return {}


def forget() -> None:
    """Drop the scores, as for a measurement; estimators stay loaded."""
    _known.cache_clear()


def remembered_scores(weights: str, graphs: Mapping[str, ComputeGraph]) -> dict[str, float]:
    """Scores of single networks; equal graphs are scored once a process.

    Args:
        weights: Name of shipped weights, or a weights folder.
        graphs: The graphs by their hashes.

    Returns:
        Scores by hash, in the order of ``graphs``.
    """
    known = _known(weights)
    missing = [graph for key, graph in graphs.items() if key not in known]
    found = {key: known[key] for key in graphs if key in known}
    new = {p.graph_hash: p.score for p in estimator(weights).score_stream(missing)}
    known.update(new)
    while len(known) > REMEMBERED:
        del known[next(iter(known))]
    found |= new
    return {key: found[key] for key in graphs}
