import random
from collections import Counter

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.families.transnas101_macro import (
    MacroSkeleton,
    ResidualBlock,
    TransNAS101Macro,
    skeletons,
)
from gennape_plugin.core.errors import ArchitectureError
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

FAMILY = TransNAS101Macro()
#: The example of the benchmark's description.
EXAMPLE = "64-1234-basic"


def some_skeletons(count: int) -> list[MacroSkeleton]:
    rng = random.Random(0)
    fixed = [FAMILY.parse(text) for text in (EXAMPLE, "4111", "444131", "342431")]
    return fixed + [FAMILY.sample(rng) for _ in range(count)]


# -- the search space -------------------------------------------------------------------------


def test_published_count() -> None:
    assert len(set(skeletons())) == len(skeletons()) == 3256


def test_networks_named_in_public() -> None:
    for digits in ("2311", "4111", "43243", "41443", "43432", "23344"):
        assert MacroSkeleton(tuple(map(int, digits))) in skeletons()


def test_every_skeleton_is_parsed_and_written_back() -> None:
    for skeleton in skeletons():
        assert FAMILY.parse(str(skeleton)) == FAMILY.parse(skeleton.modules) == skeleton


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_parse_allows_exactly_the_search_space(modules: list[int]) -> None:
    if MacroSkeleton(tuple(modules)) in skeletons():
        assert FAMILY.parse(modules).modules == tuple(modules)
    else:
        with pytest.raises(ArchitectureError, match="TransNAS-Bench-101 macro allows"):
            FAMILY.parse(modules)


def test_forms_of_a_skeleton() -> None:
    skeleton = FAMILY.parse(EXAMPLE)
    assert skeleton.modules == (1, 2, 3, 4)
    assert str(skeleton) == EXAMPLE
    assert FAMILY.parse(skeleton) is skeleton
    assert FAMILY.parse("1234") == FAMILY.parse(f" {EXAMPLE}\n") == skeleton
    assert FAMILY.parse([1, 2, 3, 4]) == FAMILY.parse((1, 2, 3, 4)) == skeleton
    numpy_digits = FAMILY.parse(list(np.array(skeleton.modules)))
    assert numpy_digits == skeleton
    assert all(type(digit) is int for digit in numpy_digits.modules)
    assert FAMILY.encoding_of({"arch": EXAMPLE}) == EXAMPLE


@pytest.mark.parametrize(
    ("digits", "problem"),
    [
        ("123", "3 modules"),
        ("1231111", "7 modules"),
        ("1113", "0 doublings of the channels"),
        ("3222" + "2", "4 doublings of the channels"),
        ("1112", "0 halvings of the resolution"),
        ("343333", "6 halvings of the resolution"),
    ],
)
def test_skeletons_outside_the_benchmark(digits: str, problem: str) -> None:
    for encoding in (digits, f"64-{digits}-basic", [*map(int, digits)]):
        with pytest.raises(ArchitectureError, match=f"{problem} in .* allows [14] to [346]"):
            FAMILY.parse(encoding)


@pytest.mark.parametrize(
    "encoding",
    [
        "",
        "1230",
        "1235",
        "64-1234",
        "1234-basic",
        "32-1234-basic",
        "64-41414-1_02_333",
        EXAMPLE + EXAMPLE,
        "\N{ARABIC-INDIC DIGIT ONE}234",
        "1" * 10**6,
        None,
        1234,
        1.5,
        b"1234",
        {},
        [],
        [1, 2, 3, 0],
        [1, 2, 3, 5],
        [True, 2, 3, 4],
        [1.0, 2, 3, 4],
        [float("nan"), 2, 3, 4],
        ["1", 2, 3, 4],
        [None, 2, 3, 4],
        [10**5000, 2, 3, 4],
        [1] * 10**6,
        10**5000,
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_not_a_skeleton(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a TransNAS-Bench-101 macro skel") as error:
        FAMILY.parse(encoding)
    assert "1 plain, 2 channels x2, 3 resolution /2, 4 both; got" in str(error.value)
    assert len(str(error.value)) < 500


def test_sampler() -> None:
    def draw(seed: int) -> list[MacroSkeleton]:
        rng = random.Random(seed)
        return [FAMILY.sample(rng) for _ in range(200)]

    drawn = draw(0)
    assert drawn == draw(0)
    assert drawn != draw(1)
    assert {len(skeleton.modules) for skeleton in drawn} == {4, 5, 6}
    assert set(drawn) <= set(skeletons())


# -- the network ------------------------------------------------------------------------------


def counted_by_hand(skeleton: MacroSkeleton, classes: int) -> tuple[int, int]:
    """Parameters and multiply-adds, from the benchmark's description."""
    params = 3 * 32 * 9 + 2 * 32 + 32 * 64 * 9 + 2 * 64
    macs = 3 * 32 * 9 * 128**2 + 32 * 64 * 9 * 64**2
    channels, size = 64, 64
    for digit in skeleton.modules:
        wide = channels * (2 if digit in (2, 4) else 1)
        size //= 2 if digit in (3, 4) else 1
        weights = 9 * channels * wide + 3 * 9 * wide * wide + (channels * wide if digit > 1 else 0)
        params += weights + 2 * wide * (5 if digit > 1 else 4)
        macs += weights * size**2
        channels = wide
    return params + channels * classes + classes, macs + channels * classes


def test_parameters_and_macs_by_hand() -> None:
    scene = TransNAS101Macro("class_scene")
    for skeleton in some_skeletons(100):
        graph = FAMILY.graph(skeleton)
        assert (graph.params, graph.macs) == counted_by_hand(skeleton, 75)
        graph = scene.graph(skeleton)
        assert (graph.params, graph.macs) == counted_by_hand(skeleton, 47)


def test_shapes_after_the_modules() -> None:
    graph = FAMILY.graph(FAMILY.parse(EXAMPLE))
    last = {scope: node.shape for scope, node in zip(graph.scopes, graph.nodes, strict=True)}
    assert [last[f"module{module}.block1"] for module in range(4)] == [
        (1, 64, 64, 64),
        (1, 128, 64, 64),
        (1, 128, 32, 32),
        (1, 256, 16, 16),
    ]
    assert graph.nodes[-1].shape == (1, 75)
    assert graph.name == f"transnas101_macro/{EXAMPLE}"


def test_operations() -> None:
    found = Counter(op.name for op in FAMILY.graph(FAMILY.parse(EXAMPLE)).paper_view().ops)
    # Two of the stem, two in each of eight blocks, three shortcuts.
    assert found == {
        "Input": 1,
        "Conv": 2 + 16 + 3,
        "BatchNorm": 2 + 16 + 3,
        "ReLU": 1 + 16,
        "Add": 8,
        "Mean": 1,
        "MatMul": 1,
        "Output": 1,
    }


def test_batch_norms_of_the_shortcuts() -> None:
    graph = FAMILY.graph(FAMILY.parse(EXAMPLE))
    eps = Counter(node.attr("eps") for node in graph.nodes if node.op == "batch_norm")
    assert eps == {1.0: 3, 1e-5: 18}
    norms = [m for m in FAMILY.module(FAMILY.parse(EXAMPLE)).modules() if type(m) is nn.BatchNorm2d]
    assert Counter((m.eps, m.momentum) for m in norms) == {(1.0, 1.0): 3, (1e-5, 0.1): 18}


def test_a_block_adds_its_shortcut() -> None:
    x = torch.randn(2, 4, 6, 6)
    for c_out, stride in ((4, 1), (8, 1), (4, 2), (8, 2)):
        block = ResidualBlock(4, c_out, stride).eval()
        plain = c_out == 4 and stride == 1
        assert (block.shortcut is None) == plain
        for parameter in block.main[1][2].parameters():  # silence the last batch norm
            nn.init.zeros_(parameter)
        with torch.no_grad():
            shortcut = x if block.shortcut is None else block.shortcut(x)
            assert torch.equal(block(x), shortcut)
        assert shortcut.shape == (2, c_out, 6 // stride, 6 // stride)


def test_module_runs_on_a_batch() -> None:
    module = FAMILY.module(FAMILY.parse("4111")).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 64, 64)).isfinite().all()
