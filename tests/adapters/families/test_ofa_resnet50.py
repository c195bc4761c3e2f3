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
from gennape_plugin.adapters.families.ofa_resnet50 import OFAResNet50, ResNet50Arch
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = OFAResNet50()
#: First entry of ``e`` and least number of blocks of each stage.
STAGES = ((0, 2), (4, 2), (8, 4), (14, 2))


def native(depth: Any = 0, expand: Any = 0.2, width: Any = 0, **more: object) -> dict[str, Any]:
    return {"d": [depth] * 5, "e": [expand] * 18, "w": [width] * 6, **more}


SMALLEST = FAMILY.parse(native())
LARGEST = FAMILY.parse(native(2, 0.35, 2))


def size(graph: ComputeGraph) -> tuple[int, int]:
    paper = graph.paper_view()
    return paper.num_nodes, paper.num_edges


# -- published numbers ------------------------------------------------------------------------


def test_published_sizes() -> None:
    """123 / 166 / 203 nodes, 132 / 180 / 220 edges and 2.95 / 5.84 / 10.0 G of 2 x MAC.

    203 and 220 are the largest network without the stem's residual convolution, which adds
    4 nodes and 5 edges.
    """
    rng = random.Random(0)
    graphs = [FAMILY.graph(FAMILY.sample(rng)) for _ in range(400)]
    shallow = FAMILY.parse(native(2, 0.35, 2) | {"d": [0, 2, 2, 2, 2]})
    sizes = [size(FAMILY.graph(arch)) for arch in (SMALLEST, shallow, LARGEST)]
    assert sizes == [(123, 132), (203, 220), (207, 225)]
    nodes, edges = zip(*map(size, graphs), strict=True)
    assert statistics.mean(nodes) == pytest.approx(166, abs=3)
    assert statistics.mean(edges) == pytest.approx(180, abs=3.5)
    flops = [graph.flops / 1e9 for graph in graphs]
    assert statistics.mean(flops) == pytest.approx(5.84, abs=0.15)
    assert statistics.stdev(flops) == pytest.approx(1.21, abs=0.12)
    # The published extremes are those of a sample, so they lie inside ours.
    assert FAMILY.graph(SMALLEST).flops / 1e9 < 2.95
    assert FAMILY.graph(LARGEST).flops / 1e9 > 10.0


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "ofa_resnet50_surrogate.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def counted(graph: ComputeGraph) -> int:
    """FLOPs as the file counts them.

    They are twice the multiply-adds, and for each element of a result: 2 of a batch norm, 1 of
    the max pool, the window's side of an average pool, 16 of the last mean.
    """
    flops = graph.flops
    for node in graph.nodes:
        each = {"batch_norm": 2, "max_pool": 1, "mean": 16}.get(node.op, 0)
        if node.op == "avg_pool":
            each = node.attr("kernel")[0]
        flops += each * math.prod(node.shape)
    return flops


@pytest.mark.data
@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_recorded_parameters_and_flops(rows: list[dict[str, Any]], every: int) -> None:
    """Both agree exactly on all rows that give every width."""
    seen = Counter[str]()
    for row in rows[::every]:
        if None in row["w"]:
            continue
        graph = FAMILY.graph(FAMILY.parse(FAMILY.encoding_of(row)))
        seen.update(row.keys() & {"params", "flops"})
        assert graph.params == row.get("params", graph.params)
        if "flops" in row:
            assert counted(graph) == row["flops"]
    assert min(seen["params"], seen["flops"]) > 3500 / every


@pytest.mark.data
def test_rows_with_null_widths_name_no_network(rows: list[dict[str, Any]]) -> None:
    """With a shallow stem the file hides one or both of the stem's widths.

    The parameters tell that they are not always the same: rows with equally hidden widths fit
    different ones, and a few fit none that the supernet has.
    """
    fitting = set()
    for row in rows:
        if None not in row["w"]:
            assert row["d"][0] == 2
            continue
        assert row["d"][0] == 0
        assert None not in row["w"][2:]
        with pytest.raises(
            ArchitectureError, match=r"'w'\[[01]\] must be one of 0, 1, 2, got None"
        ):
            FAMILY.parse(FAMILY.encoding_of(row))
        if row["w"][:2] == [None, None] and "params" in row:
            stems = ((inner, last) for inner in (0, 2) for last in (0, 1, 2))
            fits = []
            for stem in stems:
                arch = FAMILY.parse(FAMILY.encoding_of(row | {"w": [*stem, *row["w"][2:]]}))
                if FAMILY.graph(arch).params == row["params"]:
                    fits.append(stem)
            fitting.add(tuple(fits))
    assert len(fitting) > 3
    assert () in fitting


# -- encodings --------------------------------------------------------------------------------


def test_fields() -> None:
    expands = [0.2, 0.25, 0.35, 0.2] + [0.35] * 4 + [0.25] * 6 + [0.2, 0.35, 0.25, 0.25]
    arch = FAMILY.parse({"d": [2, 1, 0, 2, 1], "e": expands, "w": [2, 1, 0, 1, 2, 0], "r": 192})
    assert arch == ResNet50Arch(
        deep_stem=True,
        stem=(2, 1),
        widths=(0, 1, 2, 0),
        expands=((0.2, 0.25, 0.35), (0.35, 0.35), (0.25,) * 6, (0.2, 0.35, 0.25)),
        resolution=192,
    )
    assert str(arch) == (
        "r192: deep stem w2 w1 | w0 e0.2 e0.25 e0.35 | w1 e0.35 e0.35 "
        "| w2 e0.25 e0.25 e0.25 e0.25 e0.25 e0.25 | w0 e0.2 e0.35 e0.25"
    )


def test_encodings_of_one_network_are_equal() -> None:
    assert SMALLEST.resolution == 224
    # Of the stem's depth only 2 makes a difference.
    assert FAMILY.parse(native() | {"d": [1, 0, 0, 0, 0]}) == SMALLEST
    assert FAMILY.parse(native() | {"d": [2, 0, 0, 0, 0]}) != SMALLEST
    # Its two smaller widths have the same 24 channels inside.
    assert FAMILY.parse(native() | {"w": [1, 0, 0, 0, 0, 0]}) == SMALLEST
    for place, width in ((0, 2), *((place, 1) for place in range(1, 6))):
        other = FAMILY.parse(native() | {"w": [width * (i == place) for i in range(6)]})
        assert other != SMALLEST
        assert FAMILY.graph(other).params > FAMILY.graph(SMALLEST).params


@given(
    st.lists(st.sampled_from([0, 1, 2]), min_size=5, max_size=5),
    st.lists(st.sampled_from([0.2, 0.25, 0.35]), min_size=18, max_size=18),
    st.lists(st.sampled_from([0, 1, 2]), min_size=6, max_size=6),
    st.sampled_from([None, 0, "x"]),
)
def test_inactive_entries_make_no_difference(
    d: list[int], e: list[float], w: list[int], other: object
) -> None:
    arch = FAMILY.parse({"d": d, "e": e, "w": w})
    active = {
        first + block
        for (first, least), depth in zip(STAGES, d[1:], strict=True)
        for block in range(least + depth)
    }
    hidden = tuple(ratio if slot in active else other for slot, ratio in enumerate(e))
    same = FAMILY.parse({"d": tuple(d), "e": hidden, "w": tuple(w)})
    assert same == arch
    assert hash(same) == hash(arch)
    assert sum(map(len, arch.expands)) == len(active)
    assert FAMILY.parse(str(arch)) == arch
    assert FAMILY.parse(arch) is arch


def test_encoding_of_a_row() -> None:
    assert FAMILY.encoding_of(native(r=224, flops=1.0, params=2)) == native(r=224)
    assert FAMILY.encoding_of({"other": 2}) == {}


def broken(key: str, index: int, value: object) -> dict[str, Any]:
    encoding = native()
    encoding[key][index] = value
    return encoding


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (None, "not an architecture of OFA-ResNet50: give a mapping with d, e, w"),
        ([0] * 29, "give a mapping"),
        ({}, r"misses \['d', 'e', 'w'\]"),
        (native(ks=[3]), r"unknown keys \['ks'\]"),
        (native() | {"d": [0] * 4}, "'d' must be a list of 5 values, got 4 of them"),
        (native() | {"e": [0.2] * 20}, "'e' must be a list of 18 values, got 20 of them"),
        (native() | {"w": [0] * 5}, "'w' must be a list of 6 values, got 5 of them"),
        (native() | {"w": 0}, "'w' must be a list of 6 values, got 0"),
        (broken("d", 0, 3), r"'d'\[0\] must be one of 0, 1, 2, got 3"),
        (broken("d", 4, -1), r"'d'\[4\] must be one of 0, 1, 2, got -1"),
        (broken("d", 4, False), r"'d'\[4\] must be one of 0, 1, 2, got False"),
        (broken("w", 1, None), r"'w'\[1\] must be .* got None"),
        (broken("w", 5, 0.65), r"'w'\[5\] must be .* got 0.65"),
        (broken("e", 0, 0.3), "expand ratio of stage 0, block 0 must be one of 0.2, 0.25, 0.35"),
        (broken("e", 11, None), "expand ratio of stage 2, block 3 must be .* got None"),
        (broken("e", 15, math.nan), "expand ratio of stage 3, block 1 must be .* got nan"),
        (broken("e", 15, "0.2"), "expand ratio of stage 3, block 1 must be .* got '0.2'"),
        (native(r=130), "resolution 'r' must be one of multiples of 4 from 128 to 256, got 130"),
        (native(r=[224]), r"resolution 'r' must be .* got \[224\]"),
    ],
)
def test_wrong_encodings(encoding: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(encoding)


@pytest.mark.parametrize(("key", "index"), [("d", 0), ("e", 0), ("w", 0)])
def test_integers_too_long_to_print(key: str, index: int) -> None:
    # pytest would print a parameter, so it is made here.
    with pytest.raises(ArchitectureError, match=r"must be one of .* got a huge int"):
        FAMILY.parse(broken(key, index, 10**5000))


PAIR = "e0.2 e0.2"
LINE = f"r224: stem w0 w0 | w0 {PAIR} | w0 {PAIR} | w0 {PAIR} {PAIR} | w0 {PAIR}"


def test_one_line_form() -> None:
    assert str(SMALLEST) == LINE
    assert FAMILY.parse(f"\t{LINE} ") == SMALLEST


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINE[1:],
        LINE[:-1],
        LINE + " |",
        LINE + f" | w0 {PAIR}",
        LINE.removesuffix(f" | w0 {PAIR}"),
        LINE.replace("stem ", ""),
        LINE.replace("stem", "wide stem"),
        LINE.replace("stem w0 w0", "stem w0"),
        LINE.replace(PAIR, "e0.2", 1),
        LINE.replace(PAIR, f"{PAIR} {PAIR} e0.2", 1),
        LINE.replace(f"{PAIR} {PAIR}", PAIR),
        LINE.replace("e0.2", "e0.200", 1),
        LINE.replace("e0.2", "e1.2", 1),
        LINE.replace("| w0 ", "| ", 1),
        f"r224: stem w0 w0 | w0 {PAIR * 1000}",
    ],
)
def test_malformed_lines(text: str) -> None:
    with pytest.raises(ArchitectureError, match="not a one-line OFA-ResNet50 architecture"):
        FAMILY.parse(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stem w0", "stem w3", r"'w'\[0\] must be one of 0, 1, 2, got 3"),
        ("e0.2", "e0.3", "expand ratio of stage 0, block 0 must be .* got 0.3"),
        ("r224", "r225", "resolution 'r' must be .* got 225"),
    ],
)
def test_lines_with_values_that_are_not_allowed(old: str, new: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(LINE.replace(old, new, 1))


def test_sampler() -> None:
    def draw(seed: int) -> list[ResNet50Arch]:
        rng = random.Random(seed)
        return [FAMILY.sample(rng) for _ in range(200)]

    archs = draw(0)
    assert archs == draw(0)
    assert archs != draw(1)
    assert all(FAMILY.parse(str(arch)) == arch for arch in archs)
    assert {arch.deep_stem for arch in archs} == {False, True}
    assert {arch.stem for arch in archs} == {(inner, last) for inner in (0, 2) for last in range(3)}
    assert {width for arch in archs for width in arch.widths} == {0, 1, 2}
    for stage, (_, least) in enumerate(STAGES):
        assert {len(arch.expands[stage]) - least for arch in archs} == {0, 1, 2}


# -- the network ------------------------------------------------------------------------------


def some() -> list[ResNet50Arch]:
    # 156, 196 and 236 leave maps of odd sides, which the shortcuts' pools round up.
    odd = [FAMILY.parse(native(1, 0.25, 1, r=side)) for side in (128, 156, 196, 236)]
    return [SMALLEST, LARGEST, *odd]


def test_module_and_graph_are_the_same_network() -> None:
    for arch in some():
        assert_twins(FAMILY, arch)


@pytest.mark.parametrize("deep", [0, 2])
def test_module_runs(deep: int) -> None:
    module = FAMILY.module(FAMILY.parse(native() | {"d": [deep, 0, 0, 0, 0]})).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 132, 132)).isfinite().all()


def test_layers() -> None:
    found = Counter(op.name for op in FAMILY.graph(LARGEST).paper_view().ops)
    blocks = 18
    assert found["Conv"] == found["BatchNorm"] == 3 + 3 * blocks + 4
    assert found["ReLU"] == 3 + 3 * blocks
    assert found["Add"] == 1 + blocks
    # Every stage's first shortcut has a pool, that of the first stage one of a single pixel.
    pools = [node for node in FAMILY.graph(LARGEST).nodes if node.op == "avg_pool"]
    assert [node.attr("kernel") for node in pools] == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert (found["Avgpool"], found["Maxpool"], found["Mean"]) == (4, 1, 1)
    assert (found["MatMul"], found["Identity"]) == (1, 0)


@pytest.mark.parametrize(
    ("width", "inner", "last", "stages"),
    [
        (0, 24, 40, (168, 336, 664, 1328)),
        (1, 24, 48, (208, 408, 816, 1640)),
        (2, 32, 64, (256, 512, 1024, 2048)),
    ],
)
def test_channels(width: int, inner: int, last: int, stages: tuple[int, ...]) -> None:
    graph = FAMILY.graph(FAMILY.parse(native(0, 0.2, width)))
    ends = {
        scope: node.shape[1:3]
        for scope, node in zip(graph.scopes, graph.nodes, strict=True)
        if len(node.shape) == 4
    }
    assert graph.nodes[1].shape == (1, inner, 112, 112)
    assert ends["stem"] == (last, 56)
    blocks = ("stage0.block1", "stage1.block1", "stage2.block3", "stage3.block1")
    assert [ends[name] for name in blocks] == list(zip(stages, (56, 28, 14, 7), strict=True))


def test_there_is_one_variant() -> None:
    assert FAMILY.variants == ("benchmark",)
    for build in (FAMILY.graph, FAMILY.module):
        with pytest.raises(ArchitectureError, match="no variant 'paper': choose from benchmark"):
            build(SMALLEST, variant="paper")


def test_name_and_scopes() -> None:
    graph = FAMILY.graph(SMALLEST)
    assert graph.name == f"ofa_resnet50/{LINE}"
    assert set(graph.scopes) >= {"stem", "stage0.block0", "stage3.block1", "head"}
