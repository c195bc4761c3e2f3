"""Layered drawing of a small acyclic graph: where boxes lie and edges run.

The steps are the usual ones (Sugiyama, Tagawa and Toda, 1981): layers by the longest
path, a place in each layer that an edge crosses, barycentres to order the layers, and
coordinates that draw boxes towards their neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_GAP_X: Final = 22.0
_GAP_Y: Final = 26.0
_MARGIN: Final = 8.0
_LANE: Final = 10.0  # width of an edge that passes a layer
_SWEEPS: Final = 8
#: More passing edges than this are drawn straight through.
_MAX_LANES: Final = 2000

Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """Positions in pixels.

    Attributes:
        boxes: Upper left corner of each box.
        edges: Points of each edge, in the order given, from box to box.
        width: Width of the whole.
        height: Height of the whole.
    """

    boxes: tuple[Point, ...]
    edges: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def layered(count: int, edges: Sequence[tuple[int, int]], width: float, height: float) -> Layout:
    """Lay out equal boxes from top to bottom.

    Args:
        count: Number of boxes, numbered so that edges lead from lower to higher numbers.
        edges: ``(from, to)``, each once.
        width: Width of a box.
        height: Height of a box.
    """
    if not count:
        return Layout((), (), 2 * _MARGIN, 2 * _MARGIN)
    layer = _layers(count, edges)
    sizes = [width] * count
    chains: list[list[int]] = []
    lanes: dict[tuple[int, int], int] = {}
    for source, target in edges:
        chain = [source]
        for level in range(layer[source] + 1, layer[target]):
            # Edges of one source share their way, or dense blocks would be drawn black.
            lane = lanes.get((source, level))
            if lane is None:
                if len(lanes) == _MAX_LANES:
                    break
                lane = lanes[source, level] = len(sizes)
                sizes.append(_LANE)
                layer.append(level)
            chain.append(lane)
        chains.append([*chain, target])
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for item, level in enumerate(layer):
        rows[level].append(item)
    above: list[list[int]] = [[] for _ in sizes]
    below: list[list[int]] = [[] for _ in sizes]
    for a, b in dict.fromkeys(step for chain in chains for step in pairwise(chain)):
        below[a].append(b)
        above[b].append(a)
    centre = _centres(_ordered(rows, above, below), above, below, sizes)
    left = min(c - s / 2 for c, s in zip(centre, sizes, strict=True)) - _MARGIN
    right = max(c + s / 2 for c, s in zip(centre, sizes, strict=True)) + _MARGIN
    top = [_MARGIN + level * (height + _GAP_Y) for level in range(len(rows))]
    lines = []
    for chain in chains:
        points = [(centre[chain[0]] - left, top[layer[chain[0]]] + height)]
        for lane in chain[1:-1]:
            x, y = centre[lane] - left, top[layer[lane]]
            points += [(x, y), (x, y + height)]
        points.append((centre[chain[-1]] - left, top[layer[chain[-1]]]))
        lines.append(tuple(points))
    boxes = tuple((centre[i] - width / 2 - left, top[layer[i]]) for i in range(count))
    return Layout(boxes, tuple(lines), right - left, top[-1] + height + _MARGIN)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    layer = [0] * count
    nearest: list[int | None] = [None] * count
    fed = [False] * count
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        layer[target] = max(layer[target], layer[source] + 1)
        fed[target] = True
    for source, target in edges:
        known = nearest[source]
        nearest[source] = layer[target] if known is None else min(known, layer[target])
    for i in range(count):
        reader = nearest[i]
        if not fed[i] and reader is not None:
            layer[i] = reader - 1  # a source lies right above what reads it first
    return layer


def _ordered(
    rows: list[list[int]], above: list[list[int]], below: list[list[int]]
) -> list[list[int]]:
    """Rows sorted by the mean place of their neighbours, down and up in turn."""
    place = {item: float(i) for row in rows for i, item in enumerate(row)}
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            mean = {
                i: sum(place[n] for n in near[i]) / len(near[i]) if near[i] else place[i]
                for i in row
            }
            row.sort(key=lambda item, mean=mean: mean[item])  # type: ignore[misc]
            place.update({item: float(i) for i, item in enumerate(row)})
    return rows


def _centres(
    rows: list[list[int]], above: list[list[int]], below: list[list[int]], sizes: list[float]
) -> list[float]:
    """Middle of each item on its row: near its neighbours, apart from those beside it."""
    centre = [0.0] * len(sizes)
    for sweep in range(_SWEEPS + 1):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = [
                sum(centre[n] for n in near[i]) / len(near[i]) if near[i] else centre[i]
                for i in row
            ]
            placed: list[float] = []
            for at, item in enumerate(row):
                x = wanted[at]
                if at:
                    apart = (sizes[row[at - 1]] + sizes[item]) / 2 + _GAP_X
                    x = max(x, placed[-1] + apart)
                placed.append(x)
            # Pushing right alone would let rows drift; as much is given back.
            drift = sum(p - w for p, w in zip(placed, wanted, strict=True)) / len(row)
            for item, x in zip(row, placed, strict=True):
                centre[item] = x - drift
    return centre
