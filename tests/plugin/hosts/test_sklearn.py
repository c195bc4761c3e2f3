"""The scikit-learn estimators, inside scikit-learn."""

import random

import numpy as np
import pytest
from gennape_plugin.core.errors import ArchitectureError, InvalidInputError, LabelsError
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_models import chain

from gennape_plugin import Gennape
from gennape_plugin.families import family
from gennape_plugin.hosts.sklearn import GennapeFeatures, GennapeRegressor

CELLS = [str(family("nasbench201").sample(random.Random(i))) for i in range(12)]


def labels(cells: list[str]) -> list[float]:
    """Made-up accuracies that rise with the number of 3x3 convolutions."""
    return [80.0 + 2 * cell.count("3x3~") + 0.1 * i for i, cell in enumerate(cells)]


def test_it_is_the_fine_tuned_estimator() -> None:
    y = labels(CELLS)
    regressor = GennapeRegressor(family="nasbench201").fit(CELLS, y)
    graphs = [family("nasbench201").graph(family("nasbench201").parse(c)) for c in CELLS]
    tuned = Gennape.from_pretrained().fine_tune(graphs, y)
    found = regressor.predict(CELLS)
    np.testing.assert_allclose(found, [p.accuracy for p in tuned.score_many(graphs)])
    column = np.array(CELLS, dtype=object)[:, None]
    np.testing.assert_array_equal(regressor.predict(column), found)
    assert regressor.score(CELLS, y) > 0.5


def test_clone_and_parameters() -> None:
    regressor = GennapeRegressor(family="nasbench201", seed=3)
    copy = clone(regressor)
    assert copy.get_params() == regressor.get_params()
    assert not hasattr(copy, "estimator_")
    with pytest.raises(NotFittedError):
        copy.predict(CELLS)
    assert copy.set_params(seed=4).seed == 4


def test_grid_search_over_a_pipeline() -> None:
    pipeline = make_pipeline(GennapeFeatures(family="nasbench201"), StandardScaler(), Ridge())
    search = GridSearchCV(pipeline, {"ridge__alpha": [1.0, 100.0]}, cv=2, error_score="raise")
    search.fit(CELLS, labels(CELLS))
    assert search.best_params_["ridge__alpha"] in (1.0, 100.0)
    assert search.predict(CELLS).shape == (12,)


def test_features_are_numbers_of_each_architecture() -> None:
    made = GennapeFeatures().fit_transform([chain(1), chain(2), chain(1)])
    assert made.shape[0] == 3
    assert np.isfinite(made).all()
    np.testing.assert_allclose(made[0], made[2])
    assert (made[0] != made[1]).any()


def test_bad_input() -> None:
    regressor = GennapeRegressor(family="nasbench201")
    with pytest.raises(InvalidInputError, match="give a sequence of architectures"):
        regressor.fit(CELLS[0], [1.0])
    with pytest.raises(InvalidInputError, match="X holds no architecture"):
        regressor.fit([], [])
    with pytest.raises(LabelsError, match="give at least 5"):
        regressor.fit(CELLS[:2], [90.0, 91.0])
    with pytest.raises(LabelsError, match="12 networks and 2 accuracies"):
        regressor.fit(CELLS, [90.0, 91.0])
    with pytest.raises(ArchitectureError):
        regressor.fit(["no cell"] * 5, [90.0] * 5)
    with pytest.raises(InvalidInputError, match="unknown family 'x'"):
        GennapeRegressor(family="x").fit(CELLS, labels(CELLS))


def test_columns_of_a_frame_are_architectures_and_not_names() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"arch": CELLS[:3]})
    regressor = GennapeRegressor(family="nasbench201")
    assert [g.hash for g in regressor._graphs(frame)] == [
        g.hash for g in regressor._graphs(CELLS[:3])
    ]
