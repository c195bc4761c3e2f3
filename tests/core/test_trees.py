"""Boosted trees: against scikit-learn's own predictions, and the constraints."""

import numpy as np
import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.trees import BoostedTrees
from sklearn.tree import DecisionTreeRegressor


def data(rows: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(rows, 4, generator=draw, dtype=torch.float64)
    noise = 0.3 * torch.randn(rows, generator=draw, dtype=torch.float64)
    return x, 3 * x[:, 0] - 2 * x[:, 1] + torch.sin(9 * x[:, 2]) + noise


def test_one_tree_is_scikit_learns() -> None:
    x, y = data()
    ours = BoostedTrees.fit(x, y, rising=[0] * 4, trees=1, leaves=8, rate=1.0, share=1.0)
    tree = DecisionTreeRegressor(max_leaf_nodes=8, min_samples_leaf=20)
    tree.fit(x.float().numpy(), (y - y.mean()).numpy())
    np.testing.assert_allclose(ours(x).numpy(), tree.predict(x.float().numpy()), atol=1e-5)


def test_boosting_learns() -> None:
    x, y = data(2000)
    model = BoostedTrees.fit(x[:1500], y[:1500], rising=[0] * 4, trees=100, seed=1)
    rest = y[1500:] - y[:1500].mean() - model(x[1500:])
    assert float(rest.std()) < 0.45 * float(y.std())


def test_predictions_rise_and_fall_as_told_everywhere() -> None:
    x, y = data()
    model = BoostedTrees.fit(x, y, rising=[1, -1, 1, 0], trees=60, leaves=8)
    far = 6 * torch.rand(200, 4, generator=torch.Generator().manual_seed(1)) - 3
    for column, sign in ((0, 1), (1, -1), (2, 1)):
        higher = far.clone()
        higher[:, column] += 0.7
        assert bool((sign * (model(higher) - model(far)) >= -1e-6).all())


def test_rows_are_independent() -> None:
    x, y = data()
    model = BoostedTrees.fit(x, y, rising=[0] * 4, trees=20)
    together = model(x.repeat(4, 1))
    assert torch.equal(together[:600], torch.cat([model(row[None]) for row in x]))


def test_a_seed_fixes_the_trees_and_global_randomness_is_left_alone() -> None:
    x, y = data()
    state = np.random.get_state()[1].copy()
    first, second = (BoostedTrees.fit(x, y, rising=[0] * 4, trees=5, seed=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))
    assert (np.random.get_state()[1] == state).all()


def test_no_trees_say_nothing() -> None:
    assert BoostedTrees(0, 1)(torch.rand(3, 2)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("table", "value"),
    [("left", 0.0), ("left", 99.0), ("right", -1.0), ("feature", 7.0), ("feature", 0.5)],
)
def test_damaged_tables_are_refused(table: str, value: float) -> None:
    x, y = data()
    model = BoostedTrees.fit(x, y, rising=[0] * 4, trees=3, leaves=4)
    model.check(4)
    getattr(model, table)[1, 1 if table == "left" else 0] = value
    with pytest.raises(InvalidInputError, match="leads nowhere"):
        model.check(4)


def test_a_walk_that_would_not_end_is_refused() -> None:
    model = BoostedTrees(1, 3)
    model.left[0, 0] = model.right[0, 0] = 1  # to a row of zeros, which leads back to the root
    with pytest.raises(InvalidInputError, match="leads out of its table"):
        model.check(4)
    with pytest.raises(InvalidInputError, match="trees without nodes"):
        BoostedTrees(2, 0).check(4)
