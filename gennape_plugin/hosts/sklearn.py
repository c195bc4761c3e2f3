"""scikit-learn: a regressor and a transformer over architectures.

An ``X`` is a sequence of architectures in any form that :meth:`.Gennape.score` takes (or an
array of them with one column); with ``family`` set, a sequence of that family's encodings.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from gennape_plugin.architectures import to_graph
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.few_shot import features
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.estimator import Gennape
from gennape_plugin.families import family as family_of
from gennape_plugin.hooks import InputShape
from gennape_plugin.shipped import DEFAULT_WEIGHTS

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


class _OverArchitectures(BaseEstimator):
    """What both have in common: ``X`` holds architectures, not numbers."""

    family: str | None
    input_shape: InputShape | None

    def _graphs(self, X: Any) -> list[ComputeGraph]:
        # A pandas frame would be read by the names of its columns.
        X = X.to_numpy() if hasattr(X, "to_numpy") else X
        rows = X.tolist() if isinstance(X, np.ndarray) else X
        if isinstance(rows, str | ComputeGraph) or not hasattr(rows, "__iter__"):
            raise InvalidInputError(
                f"X is a {type(X).__name__}: give a sequence of architectures, one a row"
            )
        rows = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in rows]
        if not rows:
            raise InvalidInputError("X holds no architecture")
        if self.family is None:
            return [to_graph(row, self.input_shape) for row in rows]
        space = family_of(self.family)
        return [space.graph(space.parse(row)) for row in rows]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags


class GennapeRegressor(RegressorMixin, _OverArchitectures):
    """Accuracies of architectures, from a few labels.

    >>> GennapeRegressor(family="nasbench201").fit(encodings, accuracies)  # doctest: +SKIP
    >>> regressor.predict(other_encodings)  # doctest: +SKIP

    Args:
        weights: Name of shipped weights, or a weights folder.
        family: Family whose encodings ``X`` holds; any architectures where left out.
        input_shape: What modules in ``X`` read, without the batch axis.
        seed: Fixes the cross-validation inside.

    Attributes:
        estimator_: The fitted :class:`.Gennape`.
    """

    def __init__(
        self,
        weights: str = DEFAULT_WEIGHTS,
        family: str | None = None,
        input_shape: InputShape | None = None,
        seed: int = 0,
    ) -> None:
        self.weights = weights
        self.family = family
        self.input_shape = input_shape
        self.seed = seed

    def fit(self, X: Any, y: Sequence[float]) -> "GennapeRegressor":
        """Tune to labelled architectures (:meth:`.Gennape.fine_tune`).

        Args:
            X: Architectures, 5 to 5,000.
            y: Their accuracies in percent.

        Raises:
            LabelsError: for accuracies that nothing can be learned from.
        """
        plain = Gennape.from_pretrained(self.weights)
        values = [float(value) for value in np.ravel(np.asarray(y))]
        self.estimator_ = plain.fine_tune(self._graphs(X), values, seed=self.seed)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Predicted accuracies in percent, shape ``(architectures,)``."""
        check_is_fitted(self, "estimator_")
        found = self.estimator_.score_many(self._graphs(X))
        return np.array([prediction.accuracy for prediction in found])


class GennapeFeatures(TransformerMixin, _OverArchitectures):
    """Architectures as numbers, for a regressor of one's own in a pipeline.

    Embeddings of the pretrained encoder with FLOPs, and statistics of size and depth: the
    first view that :meth:`.Gennape.fine_tune` learns from. Nothing is fitted.

    >>> make_pipeline(GennapeFeatures(), StandardScaler(), Ridge())  # doctest: +SKIP

    Args:
        weights: Name of shipped weights, or a weights folder.
        family: Family whose encodings ``X`` holds; any architectures where left out.
        input_shape: What modules in ``X`` read, without the batch axis.
    """

    def __init__(
        self,
        weights: str = DEFAULT_WEIGHTS,
        family: str | None = None,
        input_shape: InputShape | None = None,
    ) -> None:
        self.weights = weights
        self.family = family
        self.input_shape = input_shape

    def fit(self, X: Any, y: Any = None) -> "GennapeFeatures":
        """Load the weights."""
        self.estimator_ = Gennape.from_pretrained(self.weights)
        return self

    def transform(self, X: Any) -> FloatArray:
        """Shape ``(architectures, features)``."""
        check_is_fitted(self, "estimator_")
        outputs = self.estimator_.model.predict(GraphStore.of(self._graphs(X)))
        return features(outputs).numpy()
