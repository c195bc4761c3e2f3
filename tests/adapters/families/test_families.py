"""What every built-in family promises."""

import copy
import pickle
import random
from typing import Any

import pytest
from gennape_plugin.adapters.families import Family, NASBench101, NASBench201, families, family
from gennape_plugin.adapters.families.base import conv_bn_relu, conv_node, node_of
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from twins import assert_twins

from gennape_plugin.testing import FamilyContract, estimator

__all__ = ["estimator"]  # a fixture of the contract

FAMILIES = [pytest.param(f, id=name) for name, f in families().items()]
built_in = pytest.mark.parametrize("space", FAMILIES)


def test_families_by_name() -> None:
    assert {"nasbench101", "nasbench201"} <= set(families())
    assert all(f.name == name for name, f in families().items())
    assert isinstance(family("nasbench101"), NASBench101)
    assert isinstance(family("nasbench201"), NASBench201)
    assert family("nasbench101") is family("nasbench101")
    with pytest.raises(TypeError):
        families()["new"] = NASBench101()  # type: ignore[index]


@pytest.mark.parametrize("name", ["", "NASBench101", "resnet"])
def test_unknown_family(name: str) -> None:
    with pytest.raises(
        InvalidInputError, match=f"unknown family {name!r}: choose from .*nasbench101"
    ):
        family(name)


@built_in
def test_description(space: Family[Any]) -> None:
    assert len(space.input_shape) == 3
    assert space.variants[0] == "benchmark"


class TestBuiltIn(FamilyContract):
    """What plugins' families are held to; networks even to the order of their nodes."""

    draws = 4

    @pytest.fixture(params=list(families()))
    def family(self, request: pytest.FixtureRequest) -> Family[Any]:
        return families()[request.param]

    def test_architectures_parse_and_hash(self, family: Family[Any], archs: list[Any]) -> None:
        if family.name == "nasbench101":
            pytest.xfail("cells of NAS-Bench-101 have no text of their own")
        super().test_architectures_parse_and_hash(family, archs)

    def test_the_module_is_the_same_network(self, family: Family[Any], archs: list[Any]) -> None:
        for variant in family.variants:
            for arch in archs:
                assert_twins(family, arch, variant=variant)


@built_in
@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_graphs_survive_copying(space: Family[Any], how: str) -> None:
    """Fast builders make nodes without asking for the channel axes of what they read."""
    rng = random.Random(1)
    for variant in space.variants:
        graph = space.graph(space.sample(rng), variant=variant)
        made = pickle.loads(pickle.dumps(graph)) if how == "pickle" else copy.deepcopy(graph)
        assert made == graph
        assert made.hash == graph.hash
        assert made.name == graph.name
        assert made.paper_view().ops == graph.paper_view().ops
        assert (made.paper_view().edges == graph.paper_view().edges).all()


def test_fast_nodes_equal_the_builders() -> None:
    b = GraphBuilder()
    x = b.input((1, 3, 8, 8))
    y = b.conv(x, 6, kernel=5, stride=2, groups=3, bias=True)
    assert conv_node((1, 3, 8, 8), 6, 5, 2, 3, True) == b.nodes[y]
    assert conv_node((1, 3, 8, 8), 6, 5, 2, 3, True).axis == b.nodes[y].axis
    z = b.mean(y, (2, 3))
    assert node_of("mean", (1, 6, 4, 4), axes=(2, 3)) == b.nodes[z]
    assert node_of("mean", (1, 6, 4, 4), axes=(2, 3)).paper == b.nodes[z].paper
    assert node_of("input", shape=(1, 3, 8, 8)) == b.nodes[x]


def test_conv_bn_relu() -> None:
    b = GraphBuilder()
    x = conv_bn_relu(b, b.input((1, 3, 8, 8)), 6, 3, stride=2)
    assert [node.op for node in b.nodes] == ["input", "conv", "batch_norm", "relu"]
    assert b.shape(x) == (1, 6, 4, 4)
