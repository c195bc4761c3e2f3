import itertools
import random
from collections import Counter

import pytest
import torch
from gennape_plugin.adapters.families.hiaml import (
    BLOCKS,
    RECIPES,
    STAGES,
    HiAML,
    HiAMLArch,
)
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = HiAML()
BEST = "src1,src1,r30,src3"
#: Python refuses to write integers of this size.
HUGE = pytest.param(10**5000, id="huge")
Sizes = tuple[int, int, float]


def uniform(block: str) -> HiAMLArch:
    return FAMILY.parse([block] * STAGES)


def labels(graph: ComputeGraph) -> Counter[str]:
    return Counter(op.name for op in graph.paper_view().ops)


# -- published counts ---------------------------------------------------------------------------


def test_published_graph() -> None:
    graph = FAMILY.graph(FAMILY.parse(BEST))
    paper = graph.paper_view()
    assert (paper.num_nodes, paper.num_edges, paper.num_weighted) == (107, 118, 32)
    assert round(graph.macs / 1e9, 5) == 0.12208


def sizes(arch: HiAMLArch) -> Sizes:
    graph = FAMILY.graph(arch)
    paper = graph.paper_view()
    return paper.num_nodes, paper.num_edges, graph.macs * 2 / 1e9


def test_published_sizes() -> None:
    """The stages add up, so 56 networks give the mean over all of the search space."""
    start = sizes(uniform("z"))
    means, least, most = list(start), list(start), list(start)
    for stage in range(STAGES):
        found = []
        for block in BLOCKS:
            names = ["z"] * STAGES
            names[stage] = block
            found.append(sizes(FAMILY.parse(names)))
        for i, values in enumerate(zip(*found, strict=True)):
            means[i] += sum(values) / len(BLOCKS) - start[i]
            least[i] += min(values) - start[i]
            most[i] += max(values) - start[i]
    # The published figures are of a random sample.
    assert means == pytest.approx([109, 118, 0.207], rel=0.01)
    assert (least[0], least[1]) == (55, 54)
    assert (most[0], most[1]) == (167, 190)
    assert least[0] <= 63 <= 159 <= most[0]
    assert least[1] <= 64 <= 180 <= most[1]
    assert least[2] <= 0.117 <= 0.301 <= most[2]


def test_stages_add_up() -> None:
    rng = random.Random(5)
    start = sizes(uniform("z"))
    for _ in range(5):
        arch = FAMILY.sample(rng)
        total = list(start)
        for stage, block in enumerate(arch.blocks):
            names = ["z"] * STAGES
            names[stage] = block
            for i, value in enumerate(sizes(FAMILY.parse(names))):
                total[i] += value - start[i]
        assert sizes(arch) == pytest.approx(tuple(total))


# -- the network ------------------------------------------------------------------------------

#: Convolutions, batch norms, sums, ReLU and ReLU6 of a stage's second block, which has no
#: projections, and how many projections its first block has where it halves the resolution.
SECOND_BLOCKS = {
    "z": (3, 3, 1, 2, 2, 0),
    "a22": (3, 3, 1, 3, 0, 0),
    "b23": (4, 4, 1, 1, 4, 1),
    "j30": (3, 3, 1, 2, 2, 1),
    "g30": (5, 5, 2, 1, 4, 1),
    "r30": (5, 5, 3, 1, 4, 2),
    "l20": (2, 2, 0, 2, 0, 0),
    "t20": (3, 3, 1, 1, 2, 0),
    "t31": (5, 5, 3, 2, 4, 2),
    "src0": (3, 3, 1, 3, 0, 0),
    "src1": (3, 3, 1, 3, 0, 0),
    "src3": (4, 4, 1, 3, 0, 0),
    "src7": (5, 5, 1, 1, 4, 0),
    "src8": (4, 4, 1, 1, 2, 0),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_block(block: str) -> None:
    graph = FAMILY.graph(uniform(block))

    def count(scope: str) -> tuple[int, ...]:
        ops = Counter(
            node.op for node, where in zip(graph.nodes, graph.scopes, strict=True) if where == scope
        )
        assert set(ops) <= {"conv", "batch_norm", "add", "relu", "relu6"}
        return tuple(ops[op] for op in ("conv", "batch_norm", "add", "relu", "relu6"))

    *counts, projections = SECOND_BLOCKS[block]
    same = tuple(counts)
    with_projections = (same[0] + projections, same[1] + projections, *same[2:])
    for stage in range(STAGES):
        first = with_projections if stage in (1, 3) else same
        assert (count(f"stage{stage}.block0"), count(f"stage{stage}.block1")) == (first, same)


def test_every_block_is_described() -> None:
    assert set(SECOND_BLOCKS) == set(BLOCKS) == set(RECIPES)
    assert len(BLOCKS) == 14


def test_shapes() -> None:
    graph = FAMILY.graph(FAMILY.parse("z,t31,src1,src3"))
    last = {scope: node.shape for node, scope in zip(graph.nodes, graph.scopes, strict=True)}
    assert last["stem"] == (1, 64, 16, 16)
    expected = [(1, 64, 16, 16), (1, 128, 8, 8), (1, 128, 8, 8), (1, 256, 4, 4)]
    assert [last[f"stage{stage}.block1"] for stage in range(STAGES)] == expected
    assert last["head"] == (1, 10)


def test_only_the_classifier_has_a_bias_and_nothing_is_dropped_out() -> None:
    for block in BLOCKS:
        paper = FAMILY.graph(uniform(block)).paper_view()
        assert [op.name for op in paper.ops if op.bias] == ["MatMul"]
        assert all(op.name != "Identity" for op in paper.ops)


def test_narrow_layers_keep_the_channels_of_a_reducing_blocks_input() -> None:
    for block, kernels in {"src1": (1, 3, 3), "src3": (1, 1, 3, 1)}.items():
        graph = FAMILY.graph(uniform(block))
        convs = [
            (node.attr("kernel")[0], node.in_shapes[0][1], node.shape[1], node.attr("stride")[0])
            for node, scope in zip(graph.nodes, graph.scopes, strict=True)
            if scope == "stage1.block0" and node.op == "conv"
        ]
        assert [conv[0] for conv in convs] == list(kernels)
        assert convs[0][1:] == (64, 128, 2)
        assert convs[1][1:] == (64, 64, 1)
        assert convs[2][1:] == (64, 128, 2)
        assert all(conv[1:] == (128, 128, 1) for conv in convs[3:])


@pytest.mark.parametrize("block", BLOCKS)
def test_module_and_graph_are_the_same_network(block: str) -> None:
    assert_twins(FAMILY, uniform(block))


def test_module_runs() -> None:
    module = FAMILY.module(FAMILY.parse("t31,r30,src3,g30"))
    loss = module(torch.randn(2, 3, 32, 32)).square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None for p in module.parameters())


def test_each_projection_has_its_own_weights() -> None:
    graph = FAMILY.graph(uniform("r30"))
    assert graph.weight_of == tuple(range(len(graph)))
    narrow = [
        node.in_shapes[0][1]
        for node, scope in zip(graph.nodes, graph.scopes, strict=True)
        if scope == "stage1.block0" and node.op == "conv" and node.attr("kernel") == (1, 1)
    ]
    assert narrow == [64, 64, 128]


def test_only_one_variant() -> None:
    arch = uniform("z")
    assert FAMILY.graph(arch) == FAMILY.graph(arch, variant="benchmark")
    with pytest.raises(ArchitectureError, match="HiAML has no variant 'torch'"):
        FAMILY.graph(arch, variant="torch")
    with pytest.raises(ArchitectureError, match="HiAML has no variant 'torch'"):
        FAMILY.module(arch, variant="torch")


# -- encodings --------------------------------------------------------------------------------


def test_forms_of_a_network() -> None:
    arch = FAMILY.parse(BEST)
    assert arch.blocks == ("src1", "src1", "r30", "src3")
    assert str(arch) == BEST
    assert FAMILY.parse(arch) is arch
    published = ["hiaml_src1", "hiaml_src1", "hiaml_r30", "hiaml_src3"]
    for given_form in (
        published,
        tuple(published),
        ",".join(published),
        list(arch.blocks),
        " src1, src1,hiaml_r30 ,src3\n",
    ):
        assert FAMILY.parse(given_form) == arch
    row = {"net_config": published, "max_perf": 93.4}
    assert FAMILY.parse(FAMILY.encoding_of(row)) == arch
    assert FAMILY.encoding_of({}) is None


@given(st.tuples(*[st.sampled_from(BLOCKS)] * STAGES))
def test_text_is_read_back(blocks: tuple[str, ...]) -> None:
    arch = HiAMLArch(blocks)
    assert FAMILY.parse(str(arch)) == arch
    assert FAMILY.parse([f"hiaml_{block}" for block in blocks]) == arch


@pytest.mark.parametrize(
    "encoding",
    [
        None,
        True,
        4,
        HUGE,
        float("nan"),
        b"src1,src1,r30,src3",
        "",
        "z",
        "z,z,z",
        "z,z,z,z,z",
        "z;z;z;z",
        pytest.param("z," * 10**5, id="long"),
        [],
        ["z"] * 3,
        ["z"] * 5,
        {"blocks": ["z"] * 4},
        {"z", "a22", "b23", "j30"},
    ],
)
def test_not_a_network(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a HiAML network: give the block names of 4"):
        FAMILY.parse(encoding)


@pytest.mark.parametrize(
    "block",
    ["", "Z", "hiaml", "hiaml_", "hiaml_hiaml_z", "src2", 0, True, None, HUGE, ["z"], {}, b"z"],
)
def test_unknown_blocks(block: object) -> None:
    with pytest.raises(ArchitectureError, match=r"unknown HiAML blocks .*: allowed are z, a22"):
        FAMILY.parse(["z", block, "z", "z"])


def test_unknown_blocks_are_named() -> None:
    with pytest.raises(ArchitectureError, match=r"blocks \['src2', 'hiaml_q'\]: allowed"):
        FAMILY.parse("z,src2,z,hiaml_q")


def test_sampler() -> None:
    rng = random.Random(0)
    archs = [FAMILY.sample(rng) for _ in range(400)]
    for stage in range(STAGES):
        counts = Counter(arch.blocks[stage] for arch in archs)
        assert set(counts) == set(BLOCKS)
        assert max(counts.values()) < 60
    assert all(FAMILY.parse(str(arch)) == arch for arch in archs)


def test_name_and_scopes() -> None:
    graph = FAMILY.graph(FAMILY.parse(BEST))
    assert graph.name == f"hiaml/{BEST}"
    blocks = {f"stage{s}.block{b}" for s, b in itertools.product(range(STAGES), range(2))}
    assert set(graph.scopes) == {"stem", "head", *blocks}


def test_labels_of_the_published_graph() -> None:
    found = labels(FAMILY.graph(FAMILY.parse(BEST)))
    assert found["Conv"] == 31
    assert found["MatMul"] == found["Mean"] == found["Input"] == found["Output"] == 1
