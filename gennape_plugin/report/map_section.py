"""The map of families as SVG, with the network on it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from .attribution import FloatArray
from .embedding_map import NEIGHBOURS, FamilyMap
from .markup import bar, section, table, text

_WIDTH: Final = 860.0
_HEIGHT: Final = 520.0
_MARGIN: Final = 34.0
_LABEL: Final = 15.0  # height of a family's name


def map_section(made: FamilyMap, embedding: torch.Tensor, name: str) -> str:
    """Map and distances of one network, HTML.

    Args:
        made: The map.
        embedding: The network's standardised embedding.
        name: Its name, foreign text.
    """
    far = made.distances(embedding)
    order = sorted(far, key=lambda key: far[key])
    largest = max(far.values())
    rows = [
        (text(made.families[key].title), f"{far[key]:.2f}", bar(far[key] / largest))
        for key in order
    ]
    nearest = text(made.families[order[0]].title)
    samples = max(len(family.points) for family in made.families.values())
    first, second, *_ = (f"{100 * share:.0f} %" for share in made.explained)
    intro = (
        f"<p>Each small mark is one of {samples} architectures sampled from a family, placed by "
        "its embedding; the ring is this network. The plane shows the two main directions "
        f"({first} and {second} of the variance), so what looks close need not be: the table "
        f"compares along {len(made.explained)}. Nearest is <b>{nearest}</b>.</p>"
    )
    distances = table(
        f"Mean distance from the {NEIGHBOURS} nearest of each family's samples, along "
        f"{len(made.explained)} directions ({sum(made.explained):.0%} of the variance)",
        ("family", "distance", ""),
        rows,
    )
    svg = _svg(made, made.place(embedding)[:2], name, nearest)
    return section("map", "Among the benchmark families", intro + svg + distances)


def _svg(made: FamilyMap, place: FloatArray, name: str, nearest: str) -> str:
    everything = np.concatenate([*(f.points[:, :2] for f in made.families.values()), place[None]])
    low, high = everything.min(axis=0), everything.max(axis=0)
    room = np.array([_WIDTH, _HEIGHT]) - 2 * _MARGIN

    def pixels(points: FloatArray) -> FloatArray:
        scaled = (points - low) / np.maximum(high - low, 1e-9)
        scaled = np.stack([scaled[:, 0], 1 - scaled[:, 1]], axis=1)
        return np.asarray(_MARGIN + scaled * room, dtype=np.float64)

    marks, names = [], []
    taken: list[tuple[float, float]] = []
    for at, family in enumerate(made.families.values()):
        points = pixels(family.points[:, :2])
        colour = f"hsl({360 * at // len(made.families)} 65% var(--mark))"
        shapes = "".join(_mark(at % 3, x, y) for x, y in points)
        marks.append(f'<g style="fill:{colour}"><title>{text(family.title)}</title>{shapes}</g>')
        x, y = np.median(points, axis=0)
        x, y = _free(float(x), float(y), taken)
        taken.append((x, y))
        names.append(
            f'<text x="{x:.0f}" y="{y:.0f}" style="fill:{colour}">{text(family.title)}</text>'
        )
    ((x, y),) = pixels(place[None])
    label = f"Map of embeddings: {text(name)} lies nearest to {nearest}"
    side = ("end", -12) if x > _WIDTH / 2 else ("start", 12)
    return (
        f'<div class="scroll"><svg class="map" role="img" aria-label="{label}" '
        f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}">'
        f'{"".join(marks)}<g class="names">{"".join(names)}</g>'
        f'<circle class="here" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
        f'<text class="here-name" text-anchor="{side[0]}" x="{x + side[1]:.0f}" '
        f'y="{y - 10:.0f}">{text(name, 40)}</text></svg></div>'
    )


def _mark(shape: int, x: float, y: float) -> str:
    """A disc, square or triangle: hues alone do not tell twelve families apart for everyone."""
    if shape == 0:
        return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="2.5"/>'
    if shape == 1:
        return f'<path d="M{x - 2:.0f} {y - 2:.0f}h4v4h-4z"/>'
    return f'<path d="M{x:.0f} {y - 3:.0f}l3 5h-6z"/>'


def _free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The nearest height at which a name covers no other."""
    for step in range(40):
        shift = (step + 1) // 2 * _LABEL * (1 if step % 2 else -1)
        if all(abs(x - a) > 130 or abs(y + shift - b) >= _LABEL for a, b in taken):
            y += shift
            break
    return min(max(x, 70), _WIDTH - 70), min(max(y, _LABEL), _HEIGHT - 4)
