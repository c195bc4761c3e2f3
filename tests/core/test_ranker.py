"""The default rankings: scale-free in a population, one graph at a time otherwise."""

import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.ranker import RISING, SIZE, Ranker, normal_scores, quantiles
from gennape_plugin.core.statistics import STATISTICS
from gennape_plugin.core.trees import BoostedTrees
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from small_models import store_of


def ranker() -> Ranker:
    table = store_of("nasbench101", 60).statistics
    trees = BoostedTrees.fit(
        quantiles(table),
        table[:, 0].double(),
        rising=[int(name in RISING) for name in STATISTICS],
        trees=10,
        leaves=4,
    )
    made = Ranker(trees)
    made.measure(table)
    made.set_reference(table)
    return made


def test_names() -> None:
    assert set(SIZE) <= set(RISING) <= set(STATISTICS)


def test_quantiles() -> None:
    values = torch.tensor([[3.0, 1.0], [1.0, 1.0], [3.0, 1.0], [9.0, 1.0]])
    assert quantiles(values).tolist() == [[0.5, 0.5], [0.125, 0.5], [0.5, 0.5], [0.875, 0.5]]


def test_rounding_makes_no_order() -> None:
    x = torch.tensor([[1.0], [1.0 + 1e-7], [2.0]])
    assert quantiles(x)[0] == quantiles(x)[1]


def test_normal_scores() -> None:
    found = normal_scores(torch.tensor([5.0, -1.0, 2.0]))
    assert found.tolist() == pytest.approx(norm.ppf([5 / 6, 1 / 6, 1 / 2]).tolist())


@given(st.permutations(range(12)))
def test_order_of_the_population_does_not_matter(order: list[int]) -> None:
    table, made = store_of("nasbench201", 12).statistics, ranker()
    torch.testing.assert_close(made(table)[order], made(table[order]))


def test_scale_of_a_family_does_not_matter_to_the_population() -> None:
    table, made = store_of("nasbench201", 20).statistics, ranker()
    assert torch.equal(made(table), made(4 * table))


def test_size_is_of_one_graph_alone_and_standardised_over_the_cells() -> None:
    made, cells = ranker(), store_of("nasbench101", 60).statistics
    sizes = made.size(cells)
    assert float(sizes.mean()) == pytest.approx(0, abs=1e-6)
    assert float(sizes.std()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(sizes[:5], made.size(cells[:5]))
    larger = cells.clone()
    larger[:, STATISTICS.index("log_macs")] += 1
    assert bool((made.size(larger) > sizes).all())


def test_without_trees_the_size_ranks() -> None:
    table = store_of("nasbench201", 20).statistics
    found = Ranker()(table)
    order = normal_scores(table[:, [STATISTICS.index(name) for name in SIZE]].mean(dim=1))
    assert float(torch.corrcoef(torch.stack([found, order]))[0, 1]) > 0.8


def test_empty() -> None:
    with pytest.raises(InvalidInputError, match="empty population"):
        Ranker()(torch.zeros(0, len(STATISTICS)))
