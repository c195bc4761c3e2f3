"""Graph and module are the same network, in every family; corners are in the families' tests."""

import random
from typing import Any

import pytest
from gennape_plugin.adapters.families import Family, families
from twins import assert_twins

PAIRS = [
    pytest.param(space, variant, id=f"{name}-{variant}")
    for name, space in families().items()
    for variant in space.variants
]


@pytest.mark.parametrize(("space", "variant"), PAIRS)
def test_module_and_graph_are_the_same_network(space: Family[Any], variant: str) -> None:
    rng = random.Random(0)
    for _ in range(2):
        assert_twins(space, space.sample(rng), variant=variant)
