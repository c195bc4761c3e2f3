"""The region in which a predictor may be believed.

``Prediction.distance`` looks at 32 principal components of the embedding. That tells
families apart, but a search moves along the other components, in which the training graphs
hardly differ and the heads were never checked: it finds networks at a distance below 1
that are predicted far above 100 % (docs/search.md). Here all features count, each in units
of how much the known networks vary along it, with a shrunk covariance (Ledoit and Wolf,
2004).
"""

import random
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from torch import nn

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.few_shot import features
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs
from gennape_plugin.families import family

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

#: NAS-Bench-101 cells that stand for the training graphs.
_CELLS: Final = 500
#: Share of the known networks that lie inside.
_INSIDE: Final = 0.99
_FOLDS: Final = 5


@dataclass(frozen=True)
class Region:
    """An ellipsoid around known networks, in the features that the predictor reads.

    Attributes:
        mean: Their mean.
        whitening: Turns differences from the mean into independent ones of variance 1.
        radius: Distance that 99 % of the known networks stay below when they are left out.
    """

    mean: FloatArray
    whitening: FloatArray
    radius: float

    @classmethod
    def fit(cls, known: FloatArray) -> "Region":
        """Fit to the features of known networks, a row each."""
        distances = []
        for fold in range(_FOLDS):
            held = np.arange(len(known)) % _FOLDS == fold
            mean, whitening = _moments(known[~held])
            distances.append(np.linalg.norm((known[held] - mean) @ whitening, axis=1))
        mean, whitening = _moments(known)
        radius = float(np.quantile(np.concatenate(distances), _INSIDE))
        return cls(mean, whitening, max(radius, 1e-9))  # 0 where all of them are alike

    def distance(self, rows: FloatArray) -> FloatArray:
        """Distances from the known networks, in units of the radius."""
        lengths = np.linalg.norm((rows - self.mean) @ self.whitening, axis=1)
        return np.asarray(lengths / self.radius, dtype=np.float64)


#: Regions of the models, and of the regressions, that are in use.
_KNOWN: WeakKeyDictionary[nn.Module, Region] = WeakKeyDictionary()


def _moments(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(rows)
    variances, vectors = np.linalg.eigh(covariance)
    return rows.mean(axis=0), vectors / np.sqrt(np.maximum(variances, 1e-12))


def known_region(model: GennapeModel, basis: str) -> Region | None:
    """The region that a kind of score is known in; ``None`` for the size prior, which has none."""
    if basis == "labels":
        assert model.few_shot is not None
        if model.few_shot not in _KNOWN:
            labelled = model.few_shot.first.support.double().numpy()
            _KNOWN[model.few_shot] = Region.fit(labelled)
        return _KNOWN[model.few_shot]
    if basis == "members":
        if model not in _KNOWN:
            cells, rng = family("nasbench101"), random.Random(0)
            store = GraphStore.of([cells.graph(cells.sample(rng)) for _ in range(_CELLS)])
            _KNOWN[model] = Region.fit(read(model, basis, model.predict(store)))
        return _KNOWN[model]
    return None


def read(model: GennapeModel, basis: str, outputs: Outputs) -> FloatArray:
    """The features that a kind of score reads (after tuning: of the first view), a row each."""
    if basis == "labels":
        assert model.few_shot is not None
        rows = model.few_shot.first.scaled(features(outputs))
    else:
        rows = outputs.embedding.double()
    return np.asarray(rows.numpy(), dtype=np.float64)
