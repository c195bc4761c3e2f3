import math
import random
from collections import Counter
from statistics import fmean
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.families.two_path import (
    OPERATIONS,
    Path,
    TwoPath,
    TwoPathArch,
)
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = TwoPath()
BEST = (
    "conv5x5/2|conv5x5/2;"
    "double3x3+bottleneck-e2-k3|conv1x1+bottleneck-r2-k3/2"
    "|bottleneck-e2-k3+bottleneck-r2-k3+bottleneck-e2-k1|bottleneck-r2-k3/2"
)
PLAIN = "conv3x3/2|conv3x3/2"
#: Python refuses to write integers of this size.
HUGE = pytest.param(10**5000, id="huge")


def block(names: list[str]) -> dict[str, list[str]]:
    """A block as the authors write it."""
    kinds = ["conv" if name in OPERATIONS.conv else "supp" for name in names]
    return {"op_names": names, "op_types": kinds}


def published() -> dict[str, Any]:
    return {
        "path1": [block(["conv5x5"]), block(["conv5x5"])],
        "path2": [
            block(["double3x3", "bottleneck-e2-k3"]),
            block(["conv1x1", "bottleneck-r2-k3"]),
            block(["bottleneck-e2-k3", "bottleneck-r2-k3", "bottleneck-e2-k1"]),
            block(["bottleneck-r2-k3"]),
        ],
        "path1_reduce_inds": [0, 1],
        "path2_reduce_inds": [1, 3],
    }


def nodes_in(graph: ComputeGraph, scope: str) -> list[str]:
    return [
        node.op for node, where in zip(graph.nodes, graph.scopes, strict=True) if where == scope
    ]


# -- published counts ---------------------------------------------------------------------------


def test_published_graph() -> None:
    graph = FAMILY.graph(FAMILY.parse(BEST))
    paper = graph.paper_view()
    assert (paper.num_nodes, paper.num_edges, paper.num_weighted) == (56, 58, 21)
    assert round(graph.macs / 1e9, 5) == 0.05771


def test_published_sizes() -> None:
    rng = random.Random(0)
    graphs = [FAMILY.graph(FAMILY.sample(rng)) for _ in range(1500)]
    nodes = [graph.paper_view().num_nodes for graph in graphs]
    edges = [graph.paper_view().num_edges for graph in graphs]
    flops = [graph.macs * 2 / 1e9 for graph in graphs]
    assert fmean(nodes) == pytest.approx(68, rel=0.02)
    assert fmean(edges) == pytest.approx(70, rel=0.02)
    assert fmean(flops) == pytest.approx(0.106, rel=0.02)
    # The published extremes are of a larger sample.
    assert 28 <= min(nodes) <= 36
    assert 105 <= max(nodes) <= 117
    assert min(flops) == pytest.approx(0.053, rel=0.05)
    assert 0.18 < max(flops) < 0.22


# -- the network ------------------------------------------------------------------------------

CBR = ["conv", "batch_norm", "relu6"]
#: The nodes of each operation.
NODES = {
    "conv3x3": CBR,
    "double3x3": CBR * 2,
    "conv5x5": CBR,
    "bottleneck-r2-k3": CBR[:2] * 2,
    "bottleneck-r4-k3": CBR[:2] * 2,
    "bottleneck-e2-k3": CBR[:2] * 2,
    "inception_s3x3": CBR * 2,
    "inception_s5x5": CBR * 2,
    "conv1x1": CBR,
    "bottleneck-r2-k1": CBR[:2] * 2,
    "bottleneck-e2-k1": CBR[:2] * 2,
    "avgpool3x3": ["avg_pool", "batch_norm"],
    "maxpool3x3": ["max_pool", "batch_norm"],
}
#: Channels, kernel and stride of the convolutions where the operation halves 32 channels.
CONVS: dict[str, list[tuple[int, tuple[int, int], int]]] = {
    "conv3x3": [(64, (3, 3), 2)],
    "double3x3": [(32, (3, 3), 2), (64, (3, 3), 1)],
    "conv5x5": [(64, (5, 5), 2)],
    "bottleneck-r2-k3": [(16, (3, 3), 2), (64, (3, 3), 1)],
    "bottleneck-r4-k3": [(8, (3, 3), 2), (64, (3, 3), 1)],
    "bottleneck-e2-k3": [(64, (3, 3), 2), (64, (3, 3), 1)],
    "inception_s3x3": [(64, (1, 3), 2), (64, (3, 1), 1)],
    "inception_s5x5": [(64, (1, 5), 2), (64, (5, 1), 1)],
}


def test_every_operation_is_described() -> None:
    assert set(NODES) == set(OPERATIONS.known)
    assert set(CONVS) == set(OPERATIONS.conv)
    assert (len(OPERATIONS.conv), len(OPERATIONS.supp)) == (8, 5)


@pytest.mark.parametrize("op", OPERATIONS.conv)
def test_reducing_operation(op: str) -> None:
    graph = FAMILY.graph(FAMILY.parse(f"{op}/2|{op}/2;{PLAIN}"))
    assert nodes_in(graph, "path1.block0") == NODES[op]
    convs = [
        (node.shape[1], node.attr("kernel"), *set(node.attr("stride")))
        for node, scope in zip(graph.nodes, graph.scopes, strict=True)
        if scope == "path1.block0" and node.op == "conv"
    ]
    assert convs == CONVS[op]


@pytest.mark.parametrize("op", OPERATIONS.known)
def test_operation_that_keeps_the_shape(op: str) -> None:
    graph = FAMILY.graph(FAMILY.parse(f"{op}+conv3x3|{PLAIN};{PLAIN}"))
    assert nodes_in(graph, "path1.block0") == [*NODES[op], *CBR, "add"]


def test_only_the_first_conv_operation_strides() -> None:
    graph = FAMILY.graph(FAMILY.parse(f"conv1x1+conv5x5+conv3x3/2|conv3x3/2;{PLAIN}"))
    convs = [
        (node.in_shapes[0][1], node.shape[1], *set(node.attr("stride")))
        for node, scope in zip(graph.nodes, graph.scopes, strict=True)
        if scope == "path1.block0" and node.op == "conv"
    ]
    assert convs == [(32, 32, 1), (32, 64, 2), (64, 64, 1)]


def test_shapes() -> None:
    graph = FAMILY.graph(FAMILY.parse(BEST))
    last = {scope: node.shape for node, scope in zip(graph.nodes, graph.scopes, strict=True)}
    assert last["stem"] == (1, 32, 16, 16)
    assert last["path1.block0"] == (1, 64, 8, 8)
    assert last["path2.block0"] == (1, 32, 16, 16)
    assert last["path2.block2"] == (1, 64, 8, 8)
    assert last["path1.block1"] == last["path2.block3"] == (1, 128, 4, 4)
    head = [node for node, scope in zip(graph.nodes, graph.scopes, strict=True) if scope == "head"]
    assert [node.op for node in head] == ["concat", *CBR, "mean", "dropout", "linear", "output"]
    assert [node.shape for node in head][:2] == [(1, 256, 4, 4), (1, 512, 4, 4)]


def test_only_the_classifier_has_a_bias() -> None:
    for op in OPERATIONS.known:
        paper = FAMILY.graph(FAMILY.parse(f"{op}+conv3x3|{PLAIN};{PLAIN}")).paper_view()
        assert [node.name for node in paper.ops if node.bias] == ["MatMul"]


def test_module_and_graph_are_the_same_network() -> None:
    rng = random.Random(0)
    archs = [FAMILY.parse(BEST), *(FAMILY.sample(rng) for _ in range(6))]
    seen = {op for arch in archs for path in arch.paths for ops in path.blocks for op in ops}
    assert seen == set(OPERATIONS.known)
    for arch in archs:
        assert_twins(FAMILY, arch)


def test_module_runs() -> None:
    module = FAMILY.module(FAMILY.parse(BEST))
    loss = module(torch.randn(2, 3, 32, 32)).square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None for p in module.parameters())


def test_only_one_variant() -> None:
    arch = FAMILY.parse(BEST)
    assert FAMILY.graph(arch) == FAMILY.graph(arch, variant="benchmark")
    with pytest.raises(ArchitectureError, match="Two-Path has no variant 'torch'"):
        FAMILY.graph(arch, variant="torch")
    with pytest.raises(ArchitectureError, match="Two-Path has no variant 'torch'"):
        FAMILY.module(arch, variant="torch")


# -- encodings --------------------------------------------------------------------------------


def test_forms_of_a_network() -> None:
    arch = FAMILY.parse(BEST)
    assert str(arch) == BEST
    assert FAMILY.parse(arch) is arch
    assert [path.reductions for path in arch.paths] == [(0, 1), (1, 3)]
    assert FAMILY.parse(published()) == arch
    names = {
        key: [b["op_names"] for b in value] if key in ("path1", "path2") else tuple(value)
        for key, value in published().items()
    }
    assert FAMILY.parse(names) == arch
    assert FAMILY.parse({**published(), "path2_reduce_inds": [3, 1]}) == arch
    assert FAMILY.parse(f" {BEST.replace('|', ' | ').replace('+', ' + ')}\n") == arch
    row = {"net_config": published(), "max_perf": 92.3}
    assert FAMILY.parse(FAMILY.encoding_of(row)) == arch
    assert FAMILY.encoding_of({}) is None


@given(st.randoms(use_true_random=False))
def test_samples_are_read_back(rng: random.Random) -> None:
    arch = FAMILY.sample(rng)
    assert FAMILY.parse(str(arch)) == arch
    fields: dict[str, object] = {}
    for name, path in zip(("path1", "path2"), arch.paths, strict=True):
        fields[name] = [block(list(ops)) for ops in path.blocks]
        fields[f"{name}_reduce_inds"] = list(path.reductions)
    assert FAMILY.parse(fields) == arch


@pytest.mark.parametrize(
    "encoding",
    [
        None,
        True,
        7,
        HUGE,
        math.nan,
        b"x",
        [],
        {},
        ["conv3x3"],
        {"path1": [["conv3x3"], ["conv3x3"]]},
        pytest.param("conv3x3|" * 10**5, id="long"),
    ],
)
def test_not_a_network(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a Two-Path network: give a mapping with"):
        FAMILY.parse(encoding)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "two paths with ';' between them"),
        (PLAIN, "two paths with ';' between them"),
        (f"{PLAIN};{PLAIN};{PLAIN}", "two paths with ';' between them"),
        (f"{PLAIN};", "list of 2 to 4 blocks as the path2"),
        (f"conv3x3/2;{PLAIN}", "list of 2 to 4 blocks as the path1"),
        (f"{'conv3x3|' * 3}{PLAIN};{PLAIN}", "list of 2 to 4 blocks as the path1"),
        (f"{PLAIN};conv3x3|conv3x3/2", "list of 2 positions as path2_reduce_inds"),
        (f"{PLAIN};conv3x3/2|{PLAIN}", "list of 2 positions as path2_reduce_inds"),
        (f"conv7x7/2|conv3x3/2;{PLAIN}", r"unknown Two-Path operations \['conv7x7'\]: allowed are"),
        (f"CONV3x3/2|conv3x3/2;{PLAIN}", r"unknown Two-Path operations \['CONV3x3'\]: allowed are"),
        (f"/2|conv3x3/2;{PLAIN}", r"unknown Two-Path operations \[''\]: allowed are"),
        (f"conv3x3/2/2|conv3x3/2;{PLAIN}", "unknown Two-Path operations"),
        (f"conv3x3/3|{PLAIN};{PLAIN}", "unknown Two-Path operations"),
        (f"{'conv3x3+' * 3}conv3x3/2|conv3x3/2;{PLAIN}", "list of 1 to 3 Two-Path operations"),
        (f"conv1x1/2|conv3x3/2;{PLAIN}", "conv1x1: at least one of conv3x3"),
        (f"conv1x1+conv3x3+conv1x1/2|conv3x3/2;{PLAIN}", "at most one of conv1x1"),
        (f"avgpool3x3+conv3x3+maxpool3x3/2|conv3x3/2;{PLAIN}", "at most one of conv1x1"),
    ],
)
def test_malformed_text(text: str, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(text)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("path1", None, "list of 2 to 4 blocks as the path1"),
        ("path1", "conv3x3", "list of 2 to 4 blocks as the path1"),
        ("path1", [["conv3x3"]] * 10**5, "list of 2 to 4 blocks as the path1"),
        ("path1", [["conv3x3"], 3], "list of 1 to 3 Two-Path operations, got 3"),
        ("path1", [["conv3x3"], []], r"list of 1 to 3 Two-Path operations, got \[\]"),
        ("path1", [["conv3x3"], "conv3x3"], "list of 1 to 3 Two-Path operations"),
        ("path1", [["conv3x3"], {"ops": ["conv3x3"]}], "list of 1 to 3 .*, got None"),
        ("path1", [["conv3x3"], [["conv3x3"]]], "unknown Two-Path operations"),
        ("path1", [["conv3x3"], [{}]], "unknown Two-Path operations"),
        ("path1", [["conv3x3"], [True]], r"unknown Two-Path operations \[True\]"),
        (
            "path1",
            [["conv3x3"], {"op_names": ["conv3x3"], "op_types": ["supp"]}],
            r"op_types of conv3x3 are \['conv'\], got \['supp'\]",
        ),
        (
            "path1",
            [["conv3x3"], {"op_names": ["conv3x3"], "op_types": "conv"}],
            "op_types of conv3x3",
        ),
        ("path1_reduce_inds", None, "list of 2 positions as path1_reduce_inds, got None"),
        ("path1_reduce_inds", [0], "list of 2 positions"),
        ("path1_reduce_inds", [0, 1, 1], "list of 2 positions"),
        ("path1_reduce_inds", "01", "list of 2 positions"),
        ("path1_reduce_inds", [0, 2], "path1_reduce_inds must be an integer from 0 to 1, got 2"),
        ("path1_reduce_inds", [-1, 1], "integer from 0 to 1, got -1"),
        ("path1_reduce_inds", [0, True], "integer from 0 to 1, got True"),
        ("path1_reduce_inds", [0, 1.0], r"integer from 0 to 1, got 1\.0"),
        ("path1_reduce_inds", [0, math.nan], "integer from 0 to 1, got nan"),
        ("path1_reduce_inds", [0, "1"], "integer from 0 to 1, got '1'"),
        pytest.param("path1_reduce_inds", [0, 10**5000], "from 0 to 1, got a huge int", id="huge"),
        ("path1_reduce_inds", [1, 1], r"must be two different blocks, got \[1, 1\]"),
    ],
)
def test_malformed_fields(key: str, value: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse({**published(), key: value})


def test_sampler() -> None:
    rng = random.Random(0)
    archs = [FAMILY.sample(rng) for _ in range(1000)]
    paths = [path for arch in archs for path in arch.paths]
    lengths = Counter(len(path.blocks) for path in paths)
    assert set(lengths) == {2, 3, 4}
    assert all(count == pytest.approx(len(paths) / 3, rel=0.15) for count in lengths.values())
    places = Counter(path.reductions for path in paths if len(path.blocks) == 4)
    assert len(places) == 6
    blocks = [ops for path in paths for ops in path.blocks]
    counts = Counter(map(len, blocks))
    assert set(counts) == {1, 2, 3}
    assert all(count == pytest.approx(len(blocks) / 3, rel=0.1) for count in counts.values())
    # A block of two operations has a supporting one with probability 5/13, in either place.
    pairs = [ops for ops in blocks if len(ops) == 2]
    supported = [ops for ops in pairs if set(ops) & set(OPERATIONS.supp)]
    assert len(supported) / len(pairs) == pytest.approx(5 / 13, abs=0.04)
    first = [ops for ops in supported if ops[0] in OPERATIONS.supp]
    assert len(first) / len(supported) == pytest.approx(0.5, abs=0.06)


def test_architectures_are_values() -> None:
    path = Path((("conv3x3",), ("conv5x5",)), (0, 1))
    arch = TwoPathArch((path, path))
    assert hash(arch) == hash(FAMILY.parse("conv3x3/2|conv5x5/2;conv3x3/2|conv5x5/2"))
    assert FAMILY.graph(arch).name == f"two_path/{arch}"
