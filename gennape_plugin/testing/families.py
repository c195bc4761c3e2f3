"""What a family promises."""

import copy
import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from gennape_plugin.adapters.families.base import Family
from gennape_plugin.core.captured import Capture
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import graph_from_dict, graph_to_dict
from gennape_plugin.estimator import Gennape
from gennape_plugin.families import families


class FamilyContract:
    """Subclass it and give the fixtures ``family`` and ``invalid``."""

    #: Architectures drawn in each test.
    draws = 3

    @pytest.fixture
    def family(self) -> Family[Any]:
        """The family."""
        raise NotImplementedError("give a fixture `family` that returns the family")

    @pytest.fixture
    def invalid(self) -> Iterable[object]:
        """Encodings that it must refuse; several are always tried."""
        return ()

    @pytest.fixture
    def archs(self, family: Family[Any]) -> list[Any]:
        """Architectures drawn from it."""
        rng = random.Random(0)
        return [family.sample(rng) for _ in range(self.draws)]

    def test_it_is_registered(self, family: Family[Any]) -> None:
        """Its plugin lists it, under a name that the command line can hold."""
        assert type(families()[family.name]) is type(family)
        assert family.name.isidentifier()
        assert family.title
        assert family.dataset

    def test_sampling_is_fixed_by_the_generator(self, family: Family[Any]) -> None:
        """And draws on nothing else."""
        one, two = random.Random(3), random.Random(3)
        before = random.getstate(), torch.get_rng_state()
        drawn = [family.sample(one) for _ in range(self.draws)]
        assert drawn == [family.sample(two) for _ in range(self.draws)]
        assert random.getstate() == before[0]
        assert torch.equal(torch.get_rng_state(), before[1])

    def test_architectures_parse_and_hash(self, family: Family[Any], archs: list[Any]) -> None:
        """What is drawn is valid, hashable, and reads back from its text."""
        for arch in archs:
            assert family.parse(arch) == arch
            assert family.parse(str(arch)) == arch
            assert hash(arch) == hash(copy.deepcopy(arch))

    def test_bad_encodings_are_refused(
        self, family: Family[Any], invalid: Iterable[object]
    ) -> None:
        """With one error, quickly, whatever they are."""
        for encoding in (*invalid, None, 1.5, b"", object(), [[]], {"": ""}, "\0", "(" * 10_000):
            with pytest.raises(ArchitectureError):
                family.parse(encoding)

    def test_unknown_variants_are_refused(self, family: Family[Any], archs: list[Any]) -> None:
        """By name, for graphs and modules."""
        for make in (family.graph, family.module):
            with pytest.raises(ArchitectureError, match="no-such-variant"):
                make(archs[0], variant="no-such-variant")

    def test_graphs_are_valid(self, family: Family[Any], archs: list[Any]) -> None:
        """At batch size 1, equal when made again, and they survive JSON."""
        for variant in family.variants:
            for arch in archs:
                graph = family.graph(arch, variant=variant)
                assert graph.nodes[0].shape == (1, *family.input_shape)
                assert graph == family.graph(arch, variant=variant)
                # Builders are trusted; here their graphs are validated after all.
                ComputeGraph(
                    graph.nodes, graph.operands, weight_of=graph.weight_of, scopes=graph.scopes
                )
                again = graph_from_dict(json.loads(json.dumps(graph_to_dict(graph))))
                assert again == graph
                assert again.hash == graph.hash

    def test_the_module_is_the_same_network(self, family: Family[Any], archs: list[Any]) -> None:
        """A captured module equals the graph that was built without one."""
        from gennape_plugin.adapters.torch import capture

        for variant in family.variants:
            arch = archs[0]
            module = family.module(arch, variant=variant)
            assert isinstance(module, nn.Module)
            found: Capture = capture(module, input_shape=family.input_shape)
            graph = family.graph(arch, variant=variant)
            assert found.graph.hash == graph.hash
            assert sum(p.numel() for p in module.parameters()) == graph.params

    def test_graphs_are_scored(
        self, family: Family[Any], archs: list[Any], estimator: Gennape
    ) -> None:
        """The estimator knows enough of their operations."""
        for prediction in estimator.score_many([family.graph(arch) for arch in archs]):
            assert -100 < prediction.score < 100
