import gzip
import json
import math
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.families.ofa_mobilenetv3 import MobileNetV3Arch, OFAMobileNetV3
from gennape_plugin.adapters.families.ofa_proxyless import OFAProxyless
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = OFAMobileNetV3()
VARIANTS = ("benchmark", "paper")


def native(kernel: Any = 3, expand: Any = 3, depth: Any = 2, **more: object) -> dict[str, Any]:
    return {"ks": [kernel] * 20, "e": [expand] * 20, "d": [depth] * 5, **more}


SMALLEST = FAMILY.parse(native())
LARGEST = FAMILY.parse(native(7, 6, 4))


def size(graph: ComputeGraph) -> tuple[int, int]:
    paper = graph.paper_view()
    return paper.num_nodes, paper.num_edges


def labels(graph: ComputeGraph) -> Counter[str]:
    return Counter(op.name for op in graph.paper_view().ops)


# -- published numbers ------------------------------------------------------------------------


def test_published_sizes() -> None:
    """155 / 224 / 293 nodes, 181 / 264 / 347 edges and 0.48 / 0.84 / 1.22 G of 2 x MAC."""
    rng = random.Random(0)
    graphs = [FAMILY.graph(FAMILY.sample(rng), variant="paper") for _ in range(400)]
    smallest, largest = (FAMILY.graph(arch, variant="paper") for arch in (SMALLEST, LARGEST))
    assert (size(smallest), size(largest)) == ((155, 181), (293, 347))
    nodes, edges = zip(*map(size, graphs), strict=True)
    assert statistics.mean(nodes) == pytest.approx(224, abs=4)
    assert statistics.mean(edges) == pytest.approx(264, abs=5)
    flops = [graph.flops / 1e9 for graph in graphs]
    assert statistics.mean(flops) == pytest.approx(0.84, abs=0.02)
    assert statistics.stdev(flops) == pytest.approx(0.12, abs=0.015)
    # The published extremes are those of a sample, so they lie inside ours.
    assert smallest.flops / 1e9 < 0.48 < min(flops) < max(flops) < 1.22 < largest.flops / 1e9


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "ofa_mobilenetv3.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.data
@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_recorded_parameters_and_multiply_adds(rows: list[dict[str, Any]], every: int) -> None:
    """Both columns count exactly what a graph counts, batch norm's two parameters included."""
    assert len(rows) > 2000
    for row in rows[::every]:
        arch = FAMILY.parse(FAMILY.encoding_of(row))
        graph = FAMILY.graph(arch)
        assert (graph.params, graph.macs) == (row["params"], row["macs"])
        assert (arch.width, arch.resolution) == (1.0, 224)


# -- encodings --------------------------------------------------------------------------------


def test_defaults_are_the_papers_width_and_resolution() -> None:
    assert (SMALLEST.width, SMALLEST.resolution) == (1.2, 224)
    assert FAMILY.parse(native(r=224, width_mult=1.2)) == SMALLEST
    assert FAMILY.parse(native(width_mult=1)) == FAMILY.parse(native(width_mult=1.0))
    assert len({SMALLEST, FAMILY.parse(native(width_mult=1)), FAMILY.parse(native(r=160))}) == 3


def test_blocks_of_a_stage_are_the_first_of_its_four_entries() -> None:
    kernels = [int(k) for k in "3357 5733 7355 3573 5537".replace(" ", "")]
    expands = [int(e) for e in "6433 3366 4634 6663 3466".replace(" ", "")]
    arch = FAMILY.parse({"ks": kernels, "e": expands, "d": [2, 3, 4, 2, 3], "r": 192})
    assert arch.blocks == (
        ((3, 6), (3, 4)),
        ((5, 3), (7, 3), (3, 6)),
        ((7, 4), (3, 6), (5, 3), (5, 4)),
        ((3, 6), (5, 6)),
        ((5, 3), (5, 4), (3, 6)),
    )
    assert str(arch) == (
        "w1.2 r192: k3e6 k3e4 | k5e3 k7e3 k3e6 | k7e4 k3e6 k5e3 k5e4 | k3e6 k5e6 | k5e3 k5e4 k3e6"
    )


KERNELS, EXPANDS, DEPTHS = (st.sampled_from(values) for values in ((3, 5, 7), (3, 4, 6), (2, 3, 4)))
NATIVE = st.fixed_dictionaries(
    {
        "ks": st.lists(KERNELS, min_size=20, max_size=20),
        "e": st.lists(EXPANDS, min_size=20, max_size=20),
        "d": st.lists(DEPTHS, min_size=5, max_size=5),
    },
    optional={
        "r": st.integers(32, 64).map(lambda n: 4 * n),
        "width_mult": st.sampled_from([1.0, 1.2]),
    },
)


@given(NATIVE, st.sampled_from([None, 0, 9, "x"]))
def test_inactive_entries_make_no_difference(encoding: dict[str, Any], other: object) -> None:
    arch = FAMILY.parse(encoding)
    same = dict(encoding)
    for key in ("ks", "e"):
        same[key] = tuple(
            value if slot % 4 < encoding["d"][slot // 4] else other
            for slot, value in enumerate(encoding[key])
        )
    assert FAMILY.parse(same) == arch
    assert hash(FAMILY.parse(same)) == hash(arch)
    assert FAMILY.parse(str(arch)) == arch
    assert FAMILY.parse(arch) is arch


def test_encoding_of_a_row() -> None:
    row = native(width_mult=1.0, r=224, imagenet_top1=75.0, macs=1)
    assert FAMILY.encoding_of(row) == native(width_mult=1.0, r=224)
    assert FAMILY.encoding_of({"d": 1, "other": 2}) == {"d": 1}


def changed(key: str, index: int, value: object) -> dict[str, Any]:
    encoding = native()
    encoding[key][index] = value
    return encoding


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (None, r"not an architecture of OFA-MobileNetV3: give a mapping with ks, e, d"),
        (7, "got 7"),
        ([3] * 45, "give a mapping"),
        ({}, r"misses \['ks', 'e', 'd'\]"),
        ({"ks": [3] * 20, "e": [3] * 20}, r"misses \['d'\]"),
        (native(width=1.0), r"unknown keys \['width'\]"),
        (native() | {"ks": [3] * 19}, "'ks' must be a list of 20 values, got 19 of them"),
        (native() | {"e": [3] * 21}, "'e' must be a list of 20 values, got 21 of them"),
        (native() | {"e": [3] * 100_000}, "got 100000 of them"),
        (native() | {"d": [2] * 6}, "'d' must be a list of 5 values, got 6 of them"),
        (native() | {"ks": 3}, "'ks' must be a list of 20 values, got 3"),
        (native() | {"ks": "3" * 20}, "'ks' must be a list of 20 values, got '3+'"),
        (native() | {"d": None}, "'d' must be a list of 5 values, got None"),
        (changed("d", 0, 1), "depth 0 must be one of 2, 3, 4, got 1"),
        (changed("d", 4, True), "depth 4 must be one of 2, 3, 4, got True"),
        (changed("d", 2, "2"), "depth 2 must be one of 2, 3, 4, got '2'"),
        (changed("ks", 5, 4), "kernel of stage 1, block 1 must be one of 3, 5, 7, got 4"),
        (changed("ks", 0, math.nan), "kernel of stage 0, block 0 .* got nan"),
        (changed("ks", 0, [3]), r"kernel of stage 0, block 0 .* got \[3\]"),
        (changed("e", 16, 5), "expand ratio of stage 4, block 0 must be one of 3, 4, 6, got 5"),
        (changed("e", 16, None), "expand ratio of stage 4, block 0 .* got None"),
        (native(width_mult=1.3), r"'width_mult' must be one of 1.2, 1.0, got 1.3"),
        (native(width_mult=True), "'width_mult' must be .* got True"),
        (native(r=223), "resolution 'r' must be one of multiples of 4 from 128 to 256, got 223"),
        (native(r=math.inf), "resolution 'r' must be .* got inf"),
        (native(r=10**9), "resolution 'r' must be .* got 1000000000"),
    ],
)
def test_wrong_encodings(encoding: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(encoding)


@pytest.mark.parametrize("place", [("ks", 0), ("e", 1), ("d", 2)])
def test_integers_too_long_to_print(place: tuple[str, int]) -> None:
    # pytest would print a parameter, so it is made here.
    huge = 10**5000
    with pytest.raises(ArchitectureError, match=r"must be one of .* got a huge int"):
        FAMILY.parse(changed(*place, -huge))
    with pytest.raises(ArchitectureError, match=r"give a mapping .* got a huge int"):
        FAMILY.parse(huge)


STAGE = "k3e3 k3e3"
LINE = "w1.2 r224: " + " | ".join([STAGE] * 5)


def test_one_line_form() -> None:
    assert str(SMALLEST) == LINE
    assert FAMILY.parse(f" {LINE}\n") == SMALLEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        STAGE,
        LINE[1:],
        LINE[:-1],
        LINE + " |",
        LINE + " | k3e3",
        LINE + f" | {STAGE}",
        LINE.replace(f" | {STAGE}", "", 1),
        LINE.replace(STAGE, "k3e3", 1),
        LINE.replace(STAGE, "k3e3 " * 4 + "k3e3", 1),
        LINE.replace(" | ", "|"),
        LINE.replace("r224", "r٢٢٤"),
        LINE.replace(" ", "  ", 1),
        LINE + " " * 10 + "x",
        "w1.2 r224: " + "k3e3 " * 10_000,
    ],
)
def test_malformed_lines(text: str) -> None:
    with pytest.raises(ArchitectureError, match="not a one-line OFA-MobileNetV3 architecture"):
        FAMILY.parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("k3", "k4", "kernel of stage 0, block 0 must be one of 3, 5, 7, got 4"),
        ("e3", "e5", "expand ratio of stage 0, block 0 must be one of 3, 4, 6, got 5"),
        ("w1.2", "w1.3", "'width_mult' must be one of 1.2, 1.0, got 1.3"),
        ("r224", "r999", "resolution 'r' must be one of .* got 999"),
    ],
)
def test_lines_with_values_that_are_not_allowed(old: str, new: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(LINE.replace(old, new, 1))


def test_another_familys_architecture_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="not an architecture of OFA-MobileNetV3"):
        FAMILY.parse(OFAProxyless().sample(random.Random(0)))


def test_sampler() -> None:
    def draw(seed: int) -> list[MobileNetV3Arch]:
        rng = random.Random(seed)
        return [FAMILY.sample(rng) for _ in range(200)]

    archs = draw(0)
    assert archs == draw(0)
    assert archs != draw(1)
    assert all(FAMILY.parse(str(arch)) == arch for arch in archs)
    stages = [stage for arch in archs for stage in arch.blocks]
    assert {len(stage) for stage in stages} == {2, 3, 4}
    assert len({block for stage in stages for block in stage}) == 9


# -- the network ------------------------------------------------------------------------------


def some() -> list[MobileNetV3Arch]:
    archs = [SMALLEST, LARGEST, FAMILY.parse(native(5, 4, 3, width_mult=1.0, r=128))]
    # 156 and 196 leave maps of odd sides.
    return archs + [FAMILY.parse(native(3, 6, 2, r=side)) for side in (156, 196, 256)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_module_and_graph_are_the_same_network(variant: str) -> None:
    for arch in some():
        assert_twins(FAMILY, arch, variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_module_runs(variant: str) -> None:
    module = FAMILY.module(SMALLEST, variant=variant).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 128, 128)).isfinite().all()


def test_what_the_two_variants_differ_in() -> None:
    benchmark, paper = (FAMILY.graph(SMALLEST, variant=v) for v in VARIANTS)
    assert labels(paper) - labels(benchmark) == {"Identity": 1}  # dropout
    assert labels(benchmark) - labels(paper) == {}
    assert FAMILY.graph(SMALLEST) == benchmark
    with pytest.raises(ArchitectureError, match="no variant 'tf'"):
        FAMILY.graph(SMALLEST, variant="tf")
    with pytest.raises(ArchitectureError, match="no variant 'tf'"):
        FAMILY.module(SMALLEST, variant="tf")


def test_layers() -> None:
    found = labels(FAMILY.graph(SMALLEST))
    assert found["Depthwise"] == 1 + 10
    assert found["Add"] == 1 + 5  # the first block's, and each stage's second block's
    # Hard-swish after the stem, twice in each block of the last three stages, twice in the head.
    swishes = 1 + 2 * 6 + 2
    gates = 6  # squeeze-and-excitation in stages 2, 4 and 5
    assert found["ReLU6"] == found["Mul"] == swishes + gates
    assert found["ReLU"] == 1 + 2 * 4 + gates
    assert found["Mean"] == gates + 1
    # The head's second convolution has neither batch norm nor bias, the gates' have a bias.
    assert found["Conv"] + found["Depthwise"] - found["BatchNorm"] == 1 + 2 * gates
    ops = FAMILY.graph(SMALLEST).paper_view().ops
    assert sum(op.bias for op in ops if op.name == "Conv") == 2 * gates


def test_width_and_resolution() -> None:
    narrow = FAMILY.graph(FAMILY.parse(native(width_mult=1.0, r=160)))
    assert narrow.nodes[0].shape == (1, 3, 160, 160)
    assert narrow.nodes[1].shape == (1, 16, 80, 80)
    assert FAMILY.graph(SMALLEST).nodes[1].shape == (1, 24, 112, 112)
    weighted = [node.shape[1] for node in narrow.nodes if node.op in ("conv", "linear")]
    assert weighted[-3:] == [960, 1280, 1000]


def test_name_and_scopes() -> None:
    graph = FAMILY.graph(SMALLEST)
    assert graph.name == f"ofa_mobilenetv3/{LINE}"
    assert set(graph.scopes) >= {"stem", "stage0.block0", "stage5.block1", "head"}
