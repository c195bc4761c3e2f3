import random

import pytest
import torch
from gennape_plugin.adapters.families import families
from gennape_plugin.adapters.torch import capture


def recaptured(graph, module):
    inputs = tuple(torch.empty(graph.nodes[i].shape, device="meta") for i in graph.inputs)
    return capture(module, inputs=inputs).graph


@pytest.mark.parametrize("name", families())
def test_every_family_comes_back(name):
    family = families()[name]
    for variant in family.variants:
        graph = family.graph(family.sample(random.Random(name + variant)), variant=variant)
        with torch.device("meta"):
            module = graph.to_module()
        assert recaptured(graph, module) == graph
        assert sum(p.numel() for p in module.parameters()) == graph.params
        twice = tuple(
            torch.empty(2, *graph.nodes[i].shape[1:], device="meta") for i in graph.inputs
        )
        assert module.eval()(*twice).shape == (2, *graph.nodes[graph.operands[-1][0]].shape[1:])
