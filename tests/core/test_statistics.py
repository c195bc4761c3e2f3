"""Statistics of graphs: known values on small networks, and what must not change them."""

import random
from math import exp, log

import numpy as np
import pytest
from gennape_plugin.adapters.families import families
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.statistics import STATISTICS, _facts, statistics

from gennape_plugin.testing import renumbered


def named(graph: ComputeGraph) -> dict[str, float]:
    return dict(zip(STATISTICS, statistics(graph).tolist(), strict=True))


def residual() -> ComputeGraph:
    """Stem, a block of two convolutions that can be skipped, and a classifier."""
    b = GraphBuilder()
    x = b.relu(b.conv(b.input((1, 3, 8, 8)), 4, kernel=3, stride=2))
    y = b.batch_norm(b.conv(x, 4, kernel=1))
    y = b.depthwise(b.relu(y), kernel=3)
    return b.build(b.linear(b.mean(b.join("add", x, y), (2, 3)), 10))


def test_sizes() -> None:
    graph, found = residual(), named(residual())
    assert exp(found["log_macs"]) == pytest.approx(graph.macs)
    assert exp(found["log_params"]) == pytest.approx(graph.params)
    assert exp(found["log_activations"]) == pytest.approx(3 * 4 * 4 * 4 + 10)
    assert exp(found["log_weighted"]) == pytest.approx(4)
    assert exp(found["log_spatial"]) - 1 == pytest.approx(2)
    macs = [3 * 9 * 4 * 16, 4 * 4 * 16, 9 * 4 * 16, 40]
    assert found["sum_log_macs"] == pytest.approx(sum(map(log, macs)))
    assert found["log_reuse"] == pytest.approx(log(graph.macs / graph.params))
    assert found["log_nodes"] == pytest.approx(log(len(graph)))


def test_depth_is_that_of_a_random_path() -> None:
    found = named(residual())
    assert found["depth"] == pytest.approx(1 + 2 / 2 + 1)
    assert found["spatial_depth"] == pytest.approx(1 + 1 / 2)
    assert found["nonlinear_depth"] == pytest.approx(1 + 1 / 2)
    assert (found["longest"], found["longest_spatial"], found["shortest"]) == (4, 2, 2)
    assert found["depth_variance"] == pytest.approx(1)
    assert exp(found["log_paths"]) == pytest.approx(2)
    # Two pixels beyond its own from the stem, four (of the input) from the block.
    assert exp(found["log_receptive_field"]) - 1 == pytest.approx(2 + 4 / 2)


def test_kinds() -> None:
    found = named(residual())
    assert found["depthwise_share"] == found["grouped_share"] == pytest.approx(1 / 4)
    assert found["mean_log_kernel"] == pytest.approx(2 * log(9) / 4)
    assert found["mean_log_channels"] == pytest.approx((3 * log(4) + log(10)) / 4)
    assert found["last_log_channels"] == pytest.approx(log(4))
    assert found["mean_scale"] == pytest.approx((3 * -1 + -3) / 4)
    counted = ("nonlinear", "norms", "pools", "identities", "joins", "concats", "gates")
    assert [found[name] for name in counted] == [2, 1, 0, 0, 1, 0, 0]


def test_numbering_does_not_matter() -> None:
    b = GraphBuilder()
    x = b.input((1, 4, 8, 8))
    short = b.conv(x, 4, kernel=1)
    y = b.relu(b.conv(x, 4, kernel=3))
    one = b.build(b.join("add", y, short))
    b = GraphBuilder()
    x = b.input((1, 4, 8, 8))
    y = b.relu(b.conv(x, 4, kernel=3))
    other = b.build(b.join("add", y, b.conv(x, 4, kernel=1)))
    np.testing.assert_allclose(statistics(one), statistics(other))


@pytest.mark.parametrize("name", sorted(families()))
def test_every_family(name: str) -> None:
    family, rng = families()[name], random.Random(0)
    for _ in range(5):
        found = statistics(family.graph(family.sample(rng)))
        assert found.shape == (len(STATISTICS),)
        assert np.isfinite(found).all()


def test_a_network_without_layers() -> None:
    b = GraphBuilder()
    assert np.isfinite(statistics(b.build(b.relu(b.input((1, 3, 4, 4)))))).all()
    b = GraphBuilder()
    assert np.isfinite(statistics(b.build(b.linear(b.input((1, 7)), 3)))).all()


def test_two_ends_count_alike_in_either_order() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 8, kernel=3)
    ends = [b.conv(x, channels, kernel=1) for channels in (16, 4)]
    graph = b.build(*(b.conv(end, 5, kernel=1) for end in ends))
    others = [renumbered(graph, random.Random(seed)) for seed in range(8)]
    assert len({other.nodes for other in others}) > 2
    for other in others:
        assert other.hash == graph.hash
        assert named(other)["last_log_channels"] == pytest.approx(log(16))
        np.testing.assert_allclose(statistics(other), statistics(graph), rtol=1e-12)


def test_what_was_measured_before_does_not_matter() -> None:
    """Equal operations whose channels lie elsewhere: nodes compare equal, statistics differ."""

    def network(dims: tuple[int, ...]) -> ComputeGraph:
        b = GraphBuilder()
        x = b.add("permute", (b.input((1, 9, 9)),), dims=dims)
        return b.build(b.linear(b.relu(x), 9))

    alone = statistics(network((0, 1, 2)))
    _facts.cache_clear()
    statistics(network((0, 2, 1)))
    np.testing.assert_array_equal(statistics(network((0, 1, 2))), alone)


def test_operations_on_scalars_can_be_measured() -> None:
    b = GraphBuilder()
    x = b.add("input", shape=())
    y = b.add("relu", (b.add("einsum", (x, x), out_shape=(), equation=",->"),))
    assert np.isfinite(statistics(b.build(y))).all()
