import gzip
import json
import math
import random
from collections import Counter, namedtuple
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.families._darts import OPERATIONS
from gennape_plugin.adapters.families.nasbench301 import (
    SKELETONS,
    Genotype301,
    NASBench301,
    Network301,
    Skeleton,
    network_graph,
)
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = NASBench301()
VARIANTS = ("benchmark", "paper")
#: The second-order cells of DARTS, as its authors print them.
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
#: The cells of P-DARTS.
P_DARTS = (
    "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), "
    "('dil_conv_5x5', 4)], normal_concat=range(2, 6), reduce=[('avg_pool_3x3', 0), "
    "('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), "
    "('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], "
    "reduce_concat=range(2, 6))"
)


def some(count: int, seed: int = 0) -> list[Genotype301]:
    rng = random.Random(seed)
    return [FAMILY.sample(rng) for _ in range(count)]


def uniform(op: str) -> Genotype301:
    edges = [(op, j) for _ in range(4) for j in (0, 1)]
    return FAMILY.parse({"normal": edges, "reduce": edges})


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "nasbench301.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


# -- published figures --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "params"), [(DARTS_V2, 3_349_342), (P_DARTS, 3_433_798)], ids=["darts", "p-darts"]
)
def test_published_parameters_of_larger_networks_of_such_cells(text: str, params: int) -> None:
    """20 cells of 36 initial channels, without the auxiliary head."""
    skeleton = Skeleton(cells=20, stem_channels=108, channels=36, paper=False)
    cells = FAMILY.parse(text)
    assert network_graph(cells, skeleton, "").params == params
    with torch.device("meta"):
        module = Network301(cells, skeleton)
    assert sum(p.numel() for p in module.parameters()) == params


def test_published_macs_of_a_larger_network() -> None:
    """528 M multiply-adds for the cells of DARTS."""
    skeleton = Skeleton(cells=20, stem_channels=108, channels=36, paper=False)
    assert round(network_graph(FAMILY.parse(DARTS_V2), skeleton, "").macs / 1e6) == 528


#: Means over random cells. The row of the benchmark's network was counted without the two
#: moves that TensorFlow puts around a dilated convolution.
SIZES = [
    pytest.param("benchmark", False, 345, 403, 0.30, (190, 580), id="benchmark"),
    pytest.param("paper", True, 895, 1037, 1.55, (420, 1360), id="paper"),
]


@pytest.mark.parametrize(("variant", "moves", "nodes", "edges", "gflops", "limits"), SIZES)
def test_published_sizes(
    variant: str, moves: bool, nodes: int, edges: int, gflops: float, limits: tuple[int, int]
) -> None:
    found = []
    for cells in some(400):
        graph = FAMILY.graph(cells, variant=variant)
        paper = graph.paper_view()
        left_out = (
            0 if moves else sum("toSpace" in o.name or "Spaceto" in o.name for o in paper.ops)
        )
        found.append((paper.num_nodes - left_out, paper.num_edges - left_out, graph.flops / 1e9))
    assert mean(n for n, _, _ in found) == pytest.approx(nodes, rel=0.035)
    assert mean(e for _, e, _ in found) == pytest.approx(edges, rel=0.035)
    assert mean(f for _, _, f in found) == pytest.approx(gflops, rel=0.035)
    assert limits[0] < min(found)[0] < max(found)[0] < limits[1]


def test_counts_by_hand() -> None:
    """Every edge a max pool: its node apart, all cells are alike but for their preprocessing."""
    pools = uniform("max_pool_3x3")
    benchmark, paper = (FAMILY.graph(pools, variant=v).paper_view() for v in VARIANTS)
    # A cell: two times relu, conv, norm; eight pools, four sums, a concatenation. The cells
    # after a reduction have a second convolution and a concatenation more.
    inside = 6 + 8 + 4 + 1
    assert benchmark.num_nodes == 2 + 2 + 8 * inside + 2 * 2 + 2
    assert paper.num_nodes == 2 + 2 * 3 + 20 * inside + 2 * 2 + 2
    # Convolutions: stems, two a cell, one more after a reduction, the head.
    assert benchmark.num_weighted == 1 + 8 * 2 + 2 + 1
    assert paper.num_weighted == 2 + 20 * 2 + 2 + 1
    # Whatever reads more than one: sums, concatenations, joins after a reduction.
    assert benchmark.num_edges == benchmark.num_nodes - 1 + 8 * (4 + 3) + 2
    assert paper.num_edges == paper.num_nodes - 1 + 20 * (4 + 3) + 2


# -- the network ----------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("op", OPERATIONS)
def test_module_and_graph_are_the_same_network(variant: str, op: str) -> None:
    assert_twins(FAMILY, uniform(op), variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_module_runs(variant: str) -> None:
    module = FAMILY.module(FAMILY.parse(DARTS_V2), variant=variant).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 32, 32)).isfinite().all()


def labels(graph: ComputeGraph) -> Counter[str]:
    return Counter(op.name for op in graph.paper_view().ops)


def test_what_the_two_variants_differ_in() -> None:
    cells = uniform("sep_conv_3x3")
    benchmark, paper = (labels(FAMILY.graph(cells, variant=v)) for v in VARIANTS)
    assert benchmark["Depthwise"] == 8 * 8 * 2
    assert paper["Depthwise"] == 20 * 8 * 2
    # Two ReLUs a separable convolution and one a preprocessing, against one each and the stems'.
    assert benchmark["ReLU"] == 8 * (8 * 2 + 2)
    assert paper["ReLU"] == 20 * (8 + 2) + 2
    assert (benchmark["MatMul"], paper["MatMul"]) == (1, 0)
    widths = {
        v: [n.shape[1:] for n in FAMILY.graph(cells, variant=v).nodes if len(n.in_shapes) == 4]
        for v in VARIANTS
    }
    assert widths["benchmark"] == ([(128, 32, 32)] * 2 + [(256, 16, 16)] * 3 + [(512, 8, 8)] * 3)
    assert widths["paper"] == [(192, 32, 32)] * 6 + [(384, 16, 16)] * 7 + [(768, 8, 8)] * 7
    default = FAMILY.graph(cells)
    assert default == FAMILY.graph(cells, variant="benchmark")
    assert default != FAMILY.graph(cells, variant="paper")


@pytest.mark.parametrize("make", [FAMILY.graph, FAMILY.module])
def test_unknown_variant(make: Any) -> None:
    with pytest.raises(ArchitectureError, match="no variant 'tf': choose from benchmark, paper"):
        make(FAMILY.parse(DARTS_V2), variant="tf")


def test_skips_and_dilated_convolutions() -> None:
    skips = labels(FAMILY.graph(uniform("skip_connect")))
    # Identities in the six normal cells; in the reductions every skip here halves a map.
    assert skips["Identity"] == 6 * 8
    assert skips["Concat"] == 8 + 2 * 8 + 2
    dilated = FAMILY.graph(uniform("dil_conv_5x5"))
    assert labels(dilated)["SpacetoBatchND"] == labels(dilated)["BatchtoSpaceND"] == 8 * 8
    convs = [n for n in dilated.nodes if n.op == "conv" and n.attr("dilation") == (2, 2)]
    assert {n.attr("padding") for n in convs} == {(4, 4)}
    assert Counter(n.attr("stride") for n in convs) == {(1, 1): 6 * 8, (2, 2): 2 * 8}


def test_only_the_inputs_of_a_reduction_are_strided() -> None:
    edges = [("max_pool_3x3", j) for pair in ((0, 1), (2, 0), (3, 2), (4, 1)) for j in pair]
    graph = FAMILY.graph(FAMILY.parse({"normal": edges, "reduce": edges}))
    strides = Counter(n.attr("stride") for n in graph.nodes if n.op == "max_pool")
    assert strides == {(2, 2): 2 * 4, (1, 1): 6 * 8 + 2 * 4}


def test_name_and_scopes() -> None:
    graph = FAMILY.graph(FAMILY.parse(DARTS_V2))
    assert graph.name == f"nasbench301/{DARTS_V2}"
    assert set(graph.scopes) >= {"stem", "cell0", "cell7", "head"}
    assert [SKELETONS[v].reductions for v in VARIANTS] == [(2, 5), (6, 13)]


# -- encodings ------------------------------------------------------------------------------------


@pytest.mark.data
def test_every_row_is_parsed_and_written_back(rows: list[dict[str, Any]]) -> None:
    texts = [FAMILY.encoding_of(row) for row in rows]
    assert [str(FAMILY.parse(text)) for text in texts] == texts
    assert len({FAMILY.parse(text) for text in texts}) > 0.95 * len(rows) > 1000


def test_forms_of_a_genotype() -> None:
    cells = FAMILY.parse(DARTS_V2)
    assert cells.normal[-1] == ("dil_conv_3x3", 2)
    assert cells.reduce[2:4] == (("skip_connect", 2), ("max_pool_3x3", 1))
    assert FAMILY.parse(cells) is cells
    assert str(cells) == DARTS_V2
    concat = {"normal_concat": range(2, 6), "reduce_concat": (2, 3, 4, 5)}
    fields = {"normal": list(cells.normal), "reduce": [list(pair) for pair in cells.reduce]}
    named = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    of_numpy = [(np.str_(op), np.int64(j)) for op, j in cells.normal]
    swapped = DARTS_V2.replace("normal", "-").replace("reduce", "normal").replace("-", "reduce")
    for form in (
        fields,
        fields | concat,
        fields | {"normal": of_numpy},
        json.loads(json.dumps(fields)),
        named(**fields, **concat),
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)"),
        DARTS_V2.replace(" ", ""),
        f"\n {DARTS_V2}\n".replace(", ", " ,\n\t"),
        DARTS_V2.replace("'", '"'),
        DARTS_V2.replace(", normal_concat=[2, 3, 4, 5]", ""),
    ):
        assert FAMILY.parse(form) == cells, form
    assert FAMILY.parse(swapped) == Genotype301(cells.reduce, cells.normal)
    parsed = FAMILY.parse(fields | {"normal": of_numpy})
    assert {type(value) for pair in parsed.normal for value in pair} == {str, int}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype",
        "Genotype()",
        "Genotype(normal=[])",
        DARTS_V2[:-1],
        DARTS_V2[1:],
        DARTS_V2 + ")",
        DARTS_V2 + DARTS_V2,
        DARTS_V2.replace("Genotype", "Cells"),
        DARTS_V2.replace("reduce=", "normal="),
        DARTS_V2.replace("reduce_concat", "normal_concat"),
        DARTS_V2[:-1] + ", normal=[('sep_conv_3x3', 0)])",
        DARTS_V2.replace("normal=", "other="),
        DARTS_V2.replace("normal=", "normal:"),
        DARTS_V2.replace("), (", ")("),
        DARTS_V2.replace("('dil_conv_3x3', 2)", "(('dil_conv_3x3', 2))"),
        DARTS_V2.replace("'dil_conv_3x3'", "dil_conv_3x3"),
        DARTS_V2.replace("'dil_conv_3x3'", "print('x')"),
        DARTS_V2.replace("'dil_conv_3x3'", "__import__('os')"),
        DARTS_V2.replace("'dil_conv_3x3'", "'dil_' + 'conv_3x3'"),
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6, 0)"),
        DARTS_V2.replace("[2, 3, 4, 5]", "range('a')"),
        DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6"),
        DARTS_V2.replace("[2, 3, 4, 5]", "slice(2, 6)"),
        DARTS_V2.replace("0)", "10)"),
        DARTS_V2.replace("0)", "-1)"),
        DARTS_V2.replace("0)", "0.0)"),
        DARTS_V2.replace("0)", "0x0)"),
        DARTS_V2.replace("0)", "False)"),
        DARTS_V2.replace("0)", f"{'9' * 900})"),
        DARTS_V2 + " " * 3000,
        DARTS_V2 * 1000,
        "(" * 1900,
        "Genotype(normal=" + "[" * 1900,
    ],
    ids=lambda text: text[:12],  # they are long, and many of them alike
)
def test_malformed_texts(text: str) -> None:
    with pytest.raises(ArchitectureError, match="not a NAS-Bench-301 genotype: give"):
        FAMILY.parse(text)


@pytest.mark.parametrize(
    "encoding",
    [
        None,
        7,
        pytest.param(10**5000, id="huge"),  # Python refuses to write so many digits
        math.nan,
        True,
        b"x",
        [],
        {},
        {"genotype": DARTS_V2},
        {10**5000: 1},
        [1, 2],
    ],
)
def test_not_a_genotype(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a NAS-Bench-301 genotype"):
        FAMILY.parse(encoding)


@pytest.mark.parametrize("cell", ["normal", "reduce"])
@pytest.mark.parametrize(
    ("place", "pair", "message"),
    [
        (0, ("none", 0), r"pair 0 of the {} cell is \('none', 0\): it must be .* sep_conv_3x3"),
        (5, ("sep_conv_7x7", 0), "one of the operations max_pool_3x3"),
        (5, (None, 0), "pair 5 of the {} cell"),
        (5, (["sep_conv_3x3"], 0), "pair 5 of the {} cell"),
        (5, "sep_conv_3x3", "pair 5 of the {} cell is 'sep_conv_3x3': it must be"),
        (5, ("sep_conv_3x3",), "it must be"),
        (5, ("sep_conv_3x3", 0, 0), "it must be"),
        (5, None, "it must be"),
        (0, ("sep_conv_3x3", 2), "node 2 reads the states 0 to 1"),
        (7, ("sep_conv_3x3", 5), "node 5 reads the states 0 to 4"),
        (7, ("sep_conv_3x3", -1), "node 5 reads the states 0 to 4"),
        (7, ("sep_conv_3x3", True), "node 5 reads"),
        (7, ("sep_conv_3x3", 1.0), "node 5 reads"),
        (7, ("sep_conv_3x3", math.nan), "node 5 reads"),
        (7, ("sep_conv_3x3", "1"), "node 5 reads"),
        (7, ("sep_conv_3x3", None), "node 5 reads"),
        (7, ("sep_conv_3x3", 10**5000), "node 5 reads"),
        (1, ("sep_conv_3x3", 0), "node 2 of the {} cell reads state 0 twice"),
    ],
)
def test_refused_pairs(cell: str, place: int, pair: object, message: str) -> None:
    cells = FAMILY.parse(DARTS_V2)
    fields: dict[str, list[object]] = {"normal": list(cells.normal), "reduce": list(cells.reduce)}
    fields[cell][place] = pair
    with pytest.raises(ArchitectureError, match=message.format(cell)):
        FAMILY.parse(fields)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "8 pairs .* got 0"),
        ([("sep_conv_3x3", 0)] * 7, "8 pairs .* got 7"),
        ([("sep_conv_3x3", 0)] * 10**5, "got 100000"),
        (None, "8 pairs .* got None"),
        (DARTS_V2, '8 pairs .* got "Genotype'),
    ],
)
def test_refused_cells(value: object, message: str) -> None:
    with pytest.raises(ArchitectureError, match=f"the reduce cell .*{message}"):
        FAMILY.parse({"normal": list(FAMILY.parse(DARTS_V2).normal), "reduce": value})


@pytest.mark.parametrize(
    "value",
    [
        [],
        [2, 3, 4],
        [2, 3, 4, 5, 6],
        [5, 4, 3, 2],
        [1, 2, 3, 4],
        [2, 3, 4, "5"],
        [2.0, 3, 4, 5],
        [2, 3, 4, 10**5000],
        range(6),
        range(10**30),
        np.arange(2, 6),
        "2345",
        None,
        2,
    ],
)
def test_refused_concat(value: object) -> None:
    fields = {"normal": FAMILY.parse(DARTS_V2).normal, "reduce": FAMILY.parse(DARTS_V2).reduce}
    with pytest.raises(ArchitectureError, match=r"reduce_concat .* is always \[2, 3, 4, 5\]"):
        FAMILY.parse({**fields, "reduce_concat": value})


@given(
    st.text("Genotypenrmal_cdu=[]()',0123456789 +-.rsvx\n\\\"", max_size=80), st.integers(0, 400)
)
def test_any_text_is_parsed_or_refused(text: str, place: int) -> None:
    for given_text in (text, DARTS_V2[:place] + text + DARTS_V2[place:]):
        try:
            cells = FAMILY.parse(given_text)
        except ArchitectureError:
            continue
        assert FAMILY.parse(str(cells)) == cells


def test_encoding_of_a_row() -> None:
    assert FAMILY.encoding_of({"genotype": DARTS_V2, "other": 1}) == DARTS_V2
    assert FAMILY.encoding_of({}) is None


def test_sampler() -> None:
    drawn = some(300)
    assert drawn == some(300)
    assert drawn != some(300, seed=1)
    assert len(set(drawn)) == 300
    assert all(FAMILY.parse(str(cells)) == cells for cells in drawn)
    edges = [edge for cells in drawn for edge in (*cells.normal, *cells.reduce)]
    assert {op for op, _ in edges} == set(OPERATIONS)
    counts = Counter(op for op, _ in edges)
    assert max(counts.values()) < 1.2 * min(counts.values())
    assert {j for _, j in edges} == set(range(5))
    assert any(cells.normal != cells.reduce for cells in drawn)
