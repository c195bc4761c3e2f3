"""Where a network lies among the benchmark families: a flat map of their embeddings.

The map is made of sampled architectures alone, no label is read. It belongs to the
weights that embed them: a file beside this module holds the map of the shipped ones
(``python benchmarks/make_report_map.py`` writes it), that of others is made when asked for.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gennape_plugin.adapters.families import families
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.model import GennapeModel

from .attribution import FloatArray

ASSET: Final = Path(__file__).with_name("families.json")
SAMPLES: Final = 60  # architectures of each family in the file
_QUICK: Final = 20  # and in a map that somebody waits for
#: Directions that distances are taken over; two of them are drawn.
COMPONENTS: Final = 6
NEIGHBOURS: Final = 5


@dataclass(frozen=True)
class FamilyPoints:
    """A family's place.

    Attributes:
        title: Its name, for people.
        points: Sampled architectures, ``(samples, COMPONENTS)``.
    """

    title: str
    points: FloatArray


@dataclass(frozen=True)
class FamilyMap:
    """Principal components of the families' embeddings, and where the families lie.

    Attributes:
        sha256: Hash of the weights that made the embeddings.
        mean: Mean of all embeddings.
        axes: The directions, ``(COMPONENTS, features)``, the first two to be drawn.
        explained: Share of the variance along each.
        families: The families by name.
    """

    sha256: str
    mean: FloatArray
    axes: FloatArray
    explained: tuple[float, ...]
    families: Mapping[str, FamilyPoints]

    def place(self, embedding: torch.Tensor) -> FloatArray:
        """Where one standardised embedding lies, ``(COMPONENTS,)``."""
        place: FloatArray = (_bounded(embedding) - self.mean) @ self.axes.T
        return place

    def distances(self, embedding: torch.Tensor) -> dict[str, float]:
        """Mean distance from the nearest sampled architectures of each family."""
        place = self.place(embedding)
        lengths = {
            name: np.sort(np.linalg.norm(family.points - place, axis=1))
            for name, family in self.families.items()
        }
        return {name: float(found[:NEIGHBOURS].mean()) for name, found in lengths.items()}


def family_map(model: GennapeModel, card: Mapping[str, Any]) -> FamilyMap:
    """The map of a model: from the file where it belongs to its weights, otherwise made now.

    Fine-tuning leaves the encoder as it is and keeps the card's hash, so the file then holds.
    """
    if ASSET.is_file():
        kept = from_json(json.loads(ASSET.read_text(encoding="utf-8")))
        if kept.sha256 == card.get("sha256"):
            return kept
    return make_map(model, str(card.get("sha256", "")), samples=_QUICK)


def make_map(model: GennapeModel, sha256: str, *, samples: int = SAMPLES) -> FamilyMap:
    """Embed sampled architectures of every family and find what directions they differ in."""
    embedded, titles = {}, {}
    for name, family in families().items():
        draws = [random.Random(f"{name} {i}") for i in range(samples)]
        store = GraphStore.of(family.graph(family.sample(rng)) for rng in draws)
        embedded[name] = _bounded(model.predict(store).embedding)
        titles[name] = family.title
    everything = np.concatenate(list(embedded.values()))
    mean = everything.mean(axis=0)
    _, strengths, directions = np.linalg.svd(everything - mean, full_matrices=False)
    # The sign of a component is arbitrary; its largest entry is made positive.
    axes = directions[:COMPONENTS]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    shares = strengths**2 / max(float(np.sum(strengths**2)), 1e-12)
    placed = {name: FamilyPoints(titles[name], (x - mean) @ axes.T) for name, x in embedded.items()}
    return FamilyMap(sha256, mean, axes, tuple(map(float, shares[:COMPONENTS])), placed)


def to_json(made: FamilyMap) -> dict[str, Any]:
    """Plain JSON values, rounded to what a drawing shows."""
    return {
        "sha256": made.sha256,
        "explained": [round(share, 4) for share in made.explained],
        "mean": np.round(made.mean, 4).tolist(),
        "axes": np.round(made.axes, 5).tolist(),
        "families": {
            name: {
                "title": family.title,
                "points": np.round(family.points, 2).tolist(),
            }
            for name, family in made.families.items()
        },
    }


def from_json(data: Mapping[str, Any]) -> FamilyMap:
    """Read what :func:`to_json` wrote."""
    return FamilyMap(
        data["sha256"],
        np.array(data["mean"]),
        np.array(data["axes"]),
        tuple(data["explained"]),
        {
            name: FamilyPoints(family["title"], np.array(family["points"]))
            for name, family in data["families"].items()
        },
    )


def _bounded(embedding: torch.Tensor) -> FloatArray:
    """Embeddings on a scale on which families far out do not crush the others together."""
    return np.asarray(np.arcsinh(embedding.detach().cpu().double().numpy()), dtype=np.float64)
