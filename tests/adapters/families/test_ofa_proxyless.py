import gzip
import json
import random
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.families.ofa_mobilenetv3 import OFAMobileNetV3
from gennape_plugin.adapters.families.ofa_proxyless import OFAProxyless, ProxylessArch
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = OFAProxyless()
VARIANTS = ("benchmark", "paper")
STAGES = 5


def native(
    kernel: Any = 3, expand: Any = 3, depth: Any = 2, blocks: int = 21, **more: object
) -> dict[str, Any]:
    return {"ks": [kernel] * blocks, "e": [expand] * blocks, "d": [depth] * STAGES, **more}


SMALLEST = FAMILY.parse(native())
LARGEST = FAMILY.parse(native(7, 6, 4))


def size(graph: ComputeGraph) -> tuple[int, int]:
    paper = graph.paper_view()
    return paper.num_nodes, paper.num_edges


def labels(graph: ComputeGraph) -> Counter[str]:
    return Counter(op.name for op in graph.paper_view().ops)


def test_published_sizes() -> None:
    """109 / 154 / 199 nodes, 113 / 163 / 213 edges and 0.75 / 1.06 / 1.49 G of 2 x MAC.

    The mean FLOPs tell that the last block was drawn too: always at 7 and 6 it gives 1.09.
    """
    rng = random.Random(0)
    graphs = [FAMILY.graph(FAMILY.sample(rng), variant="paper") for _ in range(400)]
    smallest, largest = (FAMILY.graph(arch, variant="paper") for arch in (SMALLEST, LARGEST))
    assert (size(smallest), size(largest)) == ((109, 113), (199, 213))
    nodes, edges = zip(*map(size, graphs), strict=True)
    assert statistics.mean(nodes) == pytest.approx(154, abs=3)
    assert statistics.mean(edges) == pytest.approx(163, abs=3.5)
    flops = [graph.flops / 1e9 for graph in graphs]
    assert statistics.mean(flops) == pytest.approx(1.06, abs=0.02)
    assert statistics.stdev(flops) == pytest.approx(0.13, abs=0.015)
    # The published extremes are those of a sample, so they lie inside ours.
    assert smallest.flops / 1e9 < 0.75
    assert largest.flops / 1e9 > 1.49


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "ofa_proxyless_surrogate.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.data
def test_every_row_is_an_architecture(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 4000
    for row in rows:
        arch = FAMILY.parse(FAMILY.encoding_of(row))
        assert (arch.width, arch.resolution) == (row["width_mult"], row["r"]) == (1.3, 224)
        assert [len(stage) for stage in arch.blocks] == [*row["d"], 1]
        assert arch.blocks[-1] == ((7, 6),)
        assert [k for k, _ in arch.blocks[2]] == row["ks"][8 : 8 + row["d"][2]]
        assert [e for _, e in arch.blocks[4]] == row["e"][16 : 16 + row["d"][4]]


# -- encodings --------------------------------------------------------------------------------


def test_the_last_block() -> None:
    """Entry 20 where there is one, otherwise what the supernet starts with."""
    short = FAMILY.parse(native(blocks=20))
    assert short.blocks[:STAGES] == SMALLEST.blocks[:STAGES]
    assert (SMALLEST.blocks[STAGES], short.blocks[STAGES]) == (((3, 3),), ((7, 6),))
    # 20 entries, and 21 with 7 and 6 in the last place, are the same network.
    long = native()
    long["ks"][20], long["e"][20] = 7, 6
    assert FAMILY.parse(long) == short
    assert hash(FAMILY.parse(long)) == hash(short)


def test_a_sixth_depth_can_only_be_one() -> None:
    assert FAMILY.parse(native() | {"d": [2] * 5 + [1]}) == SMALLEST
    with pytest.raises(ArchitectureError, match="ProxylessNAS: depth 5 must be one of 1, got 2"):
        FAMILY.parse(native() | {"d": [2] * 6})


def test_defaults() -> None:
    assert (SMALLEST.width, SMALLEST.resolution) == (1.3, 224)
    assert FAMILY.parse(native(r=224, width_mult=1.3)) == SMALLEST
    assert FAMILY.parse(native(r=160)) != SMALLEST


@given(
    st.lists(st.sampled_from([3, 5, 7]), min_size=21, max_size=21),
    st.lists(st.sampled_from([3, 4, 6]), min_size=21, max_size=21),
    st.lists(st.sampled_from([2, 3, 4]), min_size=5, max_size=5),
    st.sampled_from([None, 0, 9]),
)
def test_inactive_entries_make_no_difference(
    ks: list[int], es: list[int], ds: list[int], other: object
) -> None:
    active = [slot == 20 or slot % 4 < ds[slot // 4] for slot in range(21)]
    arch = FAMILY.parse({"ks": ks, "e": es, "d": ds})
    same = FAMILY.parse(
        {
            "ks": [k if on else other for k, on in zip(ks, active, strict=True)],
            "e": [e if on else other for e, on in zip(es, active, strict=True)],
            "d": tuple(ds),
        }
    )
    assert same == arch
    assert hash(same) == hash(arch)
    assert sum(map(len, arch.blocks)) == sum(active)
    assert FAMILY.parse(str(arch)) == arch
    assert FAMILY.parse(arch) is arch


def broken(key: str, index: int, value: object) -> dict[str, Any]:
    encoding = native()
    encoding[key][index] = value
    return encoding


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (None, "not an architecture of ProxylessNAS: give a mapping with ks, e, d"),
        ({}, r"misses \['ks', 'e', 'd'\]"),
        (native(w=1), r"unknown keys \['w'\]"),
        (native(blocks=19), "'ks' must be a list of 20 or 21 values, got 19 of them"),
        (native(blocks=22), "'ks' must be a list of 20 or 21 values, got 22 of them"),
        (native() | {"e": [3] * 20}, "'ks' and 'e' must be equally long, got 21 and 20"),
        (native() | {"d": [2] * 4}, "'d' must be a list of 5 or 6 values, got 4 of them"),
        (broken("d", 1, 5), "depth 1 must be one of 2, 3, 4, got 5"),
        (broken("ks", 20, 4), "kernel of stage 5, block 0 must be one of 3, 5, 7, got 4"),
        (broken("ks", 20, None), "kernel of stage 5, block 0 must be one of 3, 5, 7, got None"),
        (broken("e", 1, 1), "expand ratio of stage 0, block 1 must be one of 3, 4, 6, got 1"),
        (broken("e", 1, True), "expand ratio of stage 0, block 1 must be .* got True"),
        (broken("e", 1, float("nan")), "expand ratio of stage 0, block 1 must be .* got nan"),
        (native(width_mult=1.0), "'width_mult' must be one of 1.3, got 1.0"),
        (native(r=0), "resolution 'r' must be one of multiples of 4 from 128 to 256, got 0"),
    ],
)
def test_wrong_encodings(encoding: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(encoding)


STAGE = "k3e3 k3e3"
LINE = "w1.3 r224: " + " | ".join([*[STAGE] * STAGES, "k3e3"])


def test_one_line_form() -> None:
    assert str(SMALLEST) == LINE
    assert FAMILY.parse(LINE) == SMALLEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k3e3",
        LINE + " k3e3",
        LINE + " | k3e3",
        LINE.removesuffix(" | k3e3"),
        LINE.replace(f" | {STAGE}", "", 1),
        LINE.replace(STAGE, "k3e3", 1),
        LINE.replace(STAGE, f"{STAGE} {STAGE} k3e3", 1),
        LINE * 10,
    ],
)
def test_malformed_lines(text: str) -> None:
    with pytest.raises(ArchitectureError, match=r"not a one-line ProxylessNAS .* last one of 1"):
        FAMILY.parse(text)


def test_another_familys_architecture_is_refused() -> None:
    other = OFAMobileNetV3().sample(random.Random(0))
    with pytest.raises(ArchitectureError, match="not an architecture of ProxylessNAS"):
        FAMILY.parse(other)
    # Even with equal contents the two are different networks.
    copy = ProxylessArch(other.blocks, other.width, other.resolution)
    assert len({copy, other}) == 2


def test_sampler() -> None:
    def draw(seed: int) -> list[ProxylessArch]:
        rng = random.Random(seed)
        return [FAMILY.sample(rng) for _ in range(200)]

    archs = draw(0)
    assert archs == draw(0)
    assert archs != draw(1)
    assert all(FAMILY.parse(str(arch)) == arch for arch in archs)
    assert {len(stage) for arch in archs for stage in arch.blocks[:STAGES]} == {2, 3, 4}
    assert {len(arch.blocks[STAGES]) for arch in archs} == {1}
    assert len({arch.blocks[STAGES][0] for arch in archs}) == 9


# -- the network ------------------------------------------------------------------------------


def some() -> list[ProxylessArch]:
    archs = [SMALLEST, LARGEST, FAMILY.parse(native(5, 4, 3, blocks=20, r=128))]
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
    graph = FAMILY.graph(SMALLEST)
    found = labels(graph)
    blocks = 1 + 2 * STAGES + 1
    assert found["Depthwise"] == blocks
    assert found["Conv"] == 1 + (2 * blocks - 1) + 1  # the first block does not expand
    assert found["BatchNorm"] == found["Conv"] + found["Depthwise"]
    assert found["ReLU6"] == found["BatchNorm"] - blocks  # none at the end of a block
    assert found["Add"] == STAGES  # only the second block of each stage keeps its shape
    assert {node.attr("eps") for node in graph.nodes if node.op == "batch_norm"} == {1e-3}


def test_channels_and_sides() -> None:
    graph = FAMILY.graph(FAMILY.parse(native(r=160)))
    ends = {
        scope: node.shape[1:3]
        for scope, node in zip(graph.scopes, graph.nodes, strict=True)
        if len(node.shape) == 4
    }
    assert ends.pop("head") == (1664, 5)
    assert [ends[f"stage{i}.block{int(0 < i < 6)}"] for i in range(7)] == [
        (24, 80),
        (32, 40),
        (56, 20),
        (104, 10),
        (128, 10),
        (248, 5),
        (416, 5),
    ]
    assert ends["stem"] == (40, 80)


def test_name() -> None:
    assert FAMILY.graph(SMALLEST).name == f"ofa_proxyless/{LINE}"
