import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.families.inception import STAGES, Inception, InceptionArch
from gennape_plugin.core.errors import ArchitectureError
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = Inception()
TEXT = (
    "6*(depthwise5x5@16|depthwise5x5+conv5x5@16);2*(conv5x5+double1x1@128>64);"
    "3*(conv3x3@128);2*(conv3x3@256)"
)
BEST = (
    "6*(depthwise5x5@16|inception_s3x3@16|depthwise5x5+conv5x5@16);"
    "2*(conv5x5+double1x1@128>64);5*(conv3x3@128);3*(inception_s5x5@64"
    "|conv5x5+inception_p5x5+conv1x1+conv3x3+inception_s3x3+conv5x5+inception_s3x3+depthwise5x5"
    "+inception_p3x3+inception_s5x5+depthwise5x5@32>64"
    "|inception_p3x3+inception_s3x3@32>64|inception_s3x3@64)"
)


def test_published_graph() -> None:
    graph = FAMILY.graph(FAMILY.parse(BEST))
    paper = graph.paper_view()
    assert (paper.num_nodes, paper.num_edges, paper.num_weighted) == (403, 445, 139)
    assert round(graph.macs / 1e9, 5) == 0.24284


def fields() -> list[dict[str, Any]]:
    """The same network as a list of stages."""
    return [
        {"blocks": 6, "paths": [["depthwise5x5"], ["depthwise5x5", "conv5x5"]], "widths": [16, 16]},
        {"blocks": 2, "paths": [["conv5x5", "double1x1"]], "widths": [64], "internal": [128]},
        {"blocks": 3, "paths": [["conv3x3"]], "widths": [128]},
        {"blocks": 2, "paths": [["conv3x3"]], "widths": [256]},
    ]


def authors() -> dict[str, Any]:
    """The same network as the authors write it."""
    stages = []
    for number, stage in enumerate(fields()):
        internal = stage.get("internal", stage["widths"])
        paths = [
            {"ops": ops, "C_internal": inner, "C_out": width}
            for ops, inner, width in zip(stage["paths"], internal, stage["widths"], strict=True)
        ]
        channels, stride = STAGES[number]
        before = STAGES[max(number - 1, 0)][0]
        shape = {"C_in": before, "C_out": channels, "stride": stride}
        stages.append({"block": {"paths": paths}, "n_blocks": stage["blocks"], **shape})
    return {"stages": stages}


def test_forms_of_a_network() -> None:
    arch = FAMILY.parse(TEXT)
    assert str(arch) == TEXT
    assert FAMILY.parse(arch) is arch
    assert FAMILY.parse(fields()) == arch
    assert FAMILY.parse(authors()) == arch
    assert FAMILY.parse(f" {TEXT.replace(';', ' ; ')}\n") == arch
    assert FAMILY.parse(FAMILY.encoding_of({"net_config": authors(), "max_perf": 92.0})) == arch
    assert FAMILY.encoding_of({}) is None


@given(st.randoms(use_true_random=False))
def test_samples_are_read_back(rng: random.Random) -> None:
    arch = FAMILY.sample(rng)
    assert FAMILY.parse(str(arch)) == arch
    assert hash(FAMILY.parse(str(arch))) == hash(arch)


def test_module_and_graph_are_the_same_network() -> None:
    assert_twins(FAMILY, FAMILY.parse(TEXT))


def test_module_runs() -> None:
    module = FAMILY.module(FAMILY.parse(TEXT))
    loss = module(torch.randn(2, 3, 32, 32)).square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None for p in module.parameters())


def test_shapes_and_biases() -> None:
    graph = FAMILY.graph(FAMILY.parse(TEXT))
    last = {scope: node.shape for node, scope in zip(graph.nodes, graph.scopes, strict=True)}
    assert last["stage0.block5"] == (1, 32, 32, 32)
    assert last["stage1.block1"] == (1, 64, 16, 16)
    assert last["stage3.block1"] == (1, 256, 4, 4)
    without_bias = [
        (scope.split(".")[0], node.attr("kernel"))
        for node, scope in zip(graph.nodes, graph.scopes, strict=True)
        if node.op == "conv" and not node.attr("bias")
    ]
    # The pointwise half of each separable convolution, and nothing else.
    assert Counter(without_bias) == {("stage0", (1, 1)): 2 * 6}


def test_sampler() -> None:
    rng = random.Random(0)
    archs = [FAMILY.sample(rng) for _ in range(400)]
    stages = [stage for arch in archs for stage in arch.stages]
    for counts, values in (
        (Counter(stage.blocks for stage in stages), range(2, 7)),
        (Counter(len(stage.paths) for stage in stages), range(1, 5)),
    ):
        assert set(counts) == set(values)
        expected = len(stages) / len(values)
        assert all(count == pytest.approx(expected, rel=0.2) for count in counts.values())


def test_only_one_variant() -> None:
    arch = FAMILY.parse(TEXT)
    assert isinstance(arch, InceptionArch)
    with pytest.raises(ArchitectureError, match="Inception has no variant 'torch'"):
        FAMILY.graph(arch, variant="torch")


@pytest.mark.parametrize(
    "encoding",
    [None, True, 7, 10**5000, math.nan, b"x", [], {}, fields()[:3], "x;" * 10**5],
    ids=lambda value: type(value).__name__,
)
def test_not_a_network(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not an Inception network: give 4 stages"):
        FAMILY.parse(encoding)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (None, "stage 1 of an Inception network must be a mapping, got None"),
        ({"blocks": 1}, "number of blocks in stage 1 .* from 2 to 6, got 1"),
        ({"blocks": 2.0}, "number of blocks in stage 1"),
        ({"paths": []}, "list of 1 to 4 paths in stage 1"),
        ({"paths": [["conv9x9"], ["conv3x3"]]}, r"unknown Inception operations \['conv9x9'\]"),
        ({"widths": [16]}, "list of 2 widths in stage 1"),
        ({"widths": [16, 0]}, "width of path depthwise5x5"),
        ({"C_out": 64}, "C_out of stage 1 .* got 64"),
    ],
)
def test_malformed_stage(stage: dict[str, Any] | None, message: str) -> None:
    given: list[Any] = fields()
    given[0] = None if stage is None else {**given[0], **stage}
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse(given)


@pytest.mark.parametrize("text", ["6*conv3x3@32", "x*(conv3x3@32)", "2*(conv3x3)", ""])
def test_malformed_text(text: str) -> None:
    with pytest.raises(ArchitectureError, match="not an Inception stage: expected"):
        FAMILY.parse(";".join([text, *TEXT.split(";")[1:]]))
