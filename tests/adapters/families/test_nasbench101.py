import gzip
import itertools
import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.families.nasbench101 import (
    CONV1,
    CONV3,
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    OUTPUT,
    POOL3,
    Cell101,
    NASBench101,
    module_hash,
    vertex_channels,
)
from gennape_plugin.core.errors import ArchitectureError

FAMILY = NASBench101()
#: Its counts are those of the best cell that the authors publish.
ORACLE = "1ace03e360531c5ef2a0b636cd549929"
CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
CHAIN_OPS = [INPUT, CONV3, OUTPUT]


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "nasbench101.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def spread(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return rows[:: max(len(rows) // count, 1)]


def some_cells(count: int, seed: int = 0) -> list[Cell101]:
    rng = random.Random(seed)
    return [FAMILY.sample(rng) for _ in range(count)]


def cell(edges: str, *ops: str) -> Cell101:
    """``cell("01 12", CONV3)``: edges by vertex numbers, interior ops."""
    size = len(ops) + 2
    matrix = [[0] * size for _ in range(size)]
    for u, v in edges.split():
        matrix[int(u)][int(v)] = 1
    return FAMILY.parse({"matrix": matrix, "ops": [INPUT, *ops, OUTPUT]})


# -- against the published figures and the benchmark's own ------------------------------------


@pytest.mark.data
def test_published_graph(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["hash"] == ORACLE)
    graph = FAMILY.graph(FAMILY.parse(row))
    paper = graph.paper_view()
    assert (paper.num_nodes, paper.num_edges, paper.num_weighted) == (225, 251, 65)
    assert round(graph.macs / 1e9, 5) == 5.84202
    assert graph.params == row["params"]


@pytest.mark.data
def test_hashes(rows: list[dict[str, Any]]) -> None:
    for row in spread(rows, 3000):
        assert module_hash(row["matrix"], row["ops"]) == row["hash"]
        assert FAMILY.parse(row).hash == row["hash"]


def relabellings(arch: Cell101) -> list[Cell101]:
    """The same cell with its interior vertices in every order that is topological."""
    size = len(arch.ops)
    made = []
    for inside in itertools.permutations(range(1, size - 1)):
        order = (0, *inside, size - 1)
        matrix = tuple(tuple(arch.matrix[u][v] for v in order) for u in order)
        if all(not matrix[v][u] for u in range(size) for v in range(u, size)):
            made.append(Cell101(matrix, tuple(arch.ops[v] for v in order)))
    return made


@pytest.mark.data
def test_parameters(rows: list[dict[str, Any]]) -> None:
    """The remainder of an uneven split goes to the first vertices, so their order matters.

    The benchmark's record may be of an isomorphic cell in another order; for every row that
    differs, some order of the row's own cell has exactly the recorded parameters.
    """
    sample = spread(rows, 2000)
    differing = []
    for row in sample:
        arch = FAMILY.parse(row)
        if FAMILY.graph(arch).params != row["params"]:
            differing.append((arch, row["params"]))
    assert len(differing) < 0.03 * len(sample)
    for arch, expected in differing:
        feeding = sum(arch.matrix[v][-1] for v in range(1, len(arch.ops) - 1))
        assert 128 % feeding
        orders = relabellings(arch)
        assert {other.hash for other in orders} == {arch.hash}
        assert expected in {FAMILY.graph(other).params for other in orders}


# -- the network ----------------------------------------------------------------------------------


def test_module_runs() -> None:
    arch = cell("01 02 12 13 23", CONV1, POOL3)
    module = FAMILY.module(arch).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 32, 32)).isfinite().all()


def test_weighted_nodes_are_counted_by_hand() -> None:
    arch = cell("01 12", CONV3)  # a stem, nine cells with a projection and a convolution, a head
    graph = FAMILY.graph(arch)
    paper = graph.paper_view()
    assert paper.num_weighted == 1 + 9 * 2 + 1
    # Ends, three of the stem, two poolings, six a cell, mean, linear.
    assert paper.num_nodes == 2 + 3 + 2 + 9 * 6 + 2
    assert paper.num_edges == paper.num_nodes - 1


def test_a_cell_without_interior_vertices_is_a_projection() -> None:
    arch = cell("01")
    graph = FAMILY.graph(arch)
    assert graph.paper_view().num_nodes == 2 + 3 + 2 + 9 * 3 + 2
    with torch.device("meta"):
        module = FAMILY.module(arch)
    assert graph.params == sum(p.numel() for p in module.parameters())


def test_scopes_and_name() -> None:
    arch = cell("01 12", CONV3)
    graph = FAMILY.graph(arch)
    assert graph.name == f"nasbench101/{arch.hash}"
    assert {s.partition(".")[0] for s in graph.scopes} >= {"stem", "stack0", "stack2", "head"}
    assert FAMILY.graph(arch, variant="paper") == graph
    with pytest.raises(ArchitectureError, match="no variant 'tf': choose from benchmark, paper"):
        FAMILY.graph(arch, variant="tf")
    with pytest.raises(ArchitectureError, match="no variant 'tf'"):
        FAMILY.module(arch, variant="tf")


def test_channels_split_evenly_with_the_remainder_to_the_first() -> None:
    three = cell("01 02 03 14 24 34", CONV3, CONV3, CONV3)
    assert vertex_channels(128, 128, three.matrix) == [128, 43, 43, 42, 128]
    assert vertex_channels(128, 256, three.matrix) == [128, 86, 85, 85, 256]
    # A vertex inside is as wide as its widest reader; one channel is then cut off for the other.
    inside = cell("01 12 13 14 25 35 45", CONV3, CONV1, POOL3, CONV3)
    assert vertex_channels(128, 128, inside.matrix) == [128, 43, 43, 43, 42, 128]
    cut = [node for node in FAMILY.graph(inside).nodes if node.op == "slice"]
    # 128 = 43 + 43 + 42, 256 = 86 + 85 + 85, 512 = 171 + 171 + 170; vertex 1 has the widest.
    assert [(node.in_shapes[0][1], node.shape[1]) for node in cut] == (
        [(43, 42)] * 3 + [(86, 85)] * 6 + [(171, 170)] * 3
    )


def test_channels_of_sampled_cells_add_up() -> None:
    for arch in some_cells(200, seed=1):
        last = len(arch.ops) - 1
        channels = vertex_channels(128, 256, arch.matrix)
        feeding = [v for v in range(1, last) if arch.matrix[v][last]]
        assert not feeding or sum(channels[v] for v in feeding) == 256
        for u, v in itertools.combinations(range(1, last), 2):
            if arch.matrix[u][v]:
                assert 0 <= channels[u] - channels[v] <= 1


def test_isomorphic_cells_have_one_hash() -> None:
    for arch in some_cells(20, seed=2):
        assert {other.hash for other in relabellings(arch)} == {arch.hash}
        changed = tuple(POOL3 if op == CONV3 else CONV3 if op == POOL3 else op for op in arch.ops)
        if changed != arch.ops and sorted(changed) != sorted(arch.ops):
            assert module_hash(arch.matrix, changed) != arch.hash


# -- encodings ------------------------------------------------------------------------------------


def test_every_form_of_a_cell() -> None:
    expected = Cell101(((0, 1, 0), (0, 0, 1), (0, 0, 0)), (INPUT, CONV3, OUTPUT))
    numpy_like = torch.tensor(CHAIN).numpy()
    for form in (
        expected,
        {"matrix": CHAIN, "ops": CHAIN_OPS},
        {"matrix": numpy_like, "ops": tuple(CHAIN_OPS), "hash": "ignored"},
        (CHAIN, CHAIN_OPS),
        [CHAIN, CHAIN_OPS],
        SimpleNamespace(matrix=numpy_like, ops=CHAIN_OPS),
        {"matrix": [[float(x) for x in row] for row in CHAIN], "ops": CHAIN_OPS},
    ):
        assert FAMILY.parse(form) == expected


def test_vertices_on_no_path_are_pruned() -> None:
    # 1 is no successor of the input, 3 reaches no output, 2 is on a path.
    arch = cell("02 12 23 24", CONV1, CONV3, POOL3)
    assert arch == cell("01 12", CONV3)
    assert arch.ops == (INPUT, CONV3, OUTPUT)


def test_limits_hold_after_pruning() -> None:
    size = 9
    matrix = [[0] * size for _ in range(size)]
    for u, v in [(0, 8), *itertools.combinations(range(1, 8), 2)]:
        matrix[u][v] = 1
    ops = [INPUT, *[CONV3] * 7, OUTPUT]
    assert FAMILY.parse({"matrix": matrix, "ops": ops}).ops == (INPUT, OUTPUT)


def chain(vertices: int) -> dict[str, Any]:
    matrix = [[int(v == u + 1) for v in range(vertices)] for u in range(vertices)]
    return {"matrix": matrix, "ops": [INPUT, *[CONV3] * (vertices - 2), OUTPUT]}


def dense(vertices: int) -> dict[str, Any]:
    matrix = [[int(v > u) for v in range(vertices)] for u in range(vertices)]
    return {"matrix": matrix, "ops": [INPUT, *[CONV3] * (vertices - 2), OUTPUT]}


def test_largest_cells() -> None:
    assert len(FAMILY.parse(chain(MAX_VERTICES)).ops) == 7
    assert sum(map(sum, FAMILY.parse(dense(4)).matrix)) == 6
    with pytest.raises(ArchitectureError, match=r"8 vertices and 7 edges: at most 7 and 9"):
        FAMILY.parse(chain(8))
    with pytest.raises(ArchitectureError, match=r"5 vertices and 10 edges"):
        FAMILY.parse(dense(5))


@pytest.mark.parametrize(
    ("matrix", "ops", "message"),
    [
        (CHAIN, [INPUT, "conv5x5", OUTPUT], r"unknown operations \['conv5x5'\]: allowed are"),
        (CHAIN, [CONV3, CONV3, OUTPUT], "must start with 'input'"),
        (CHAIN, [INPUT, CONV3, CONV3], "end with 'output'"),
        (CHAIN, [INPUT, INPUT, OUTPUT], "unknown operations"),
        (CHAIN, [INPUT, OUTPUT], "needs a 2 x 2 matrix, got rows of lengths"),
        (CHAIN[:2], CHAIN_OPS, "needs a 3 x 3 matrix"),
        ([[0, 1], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, r"rows of lengths \[2, 3, 3\]"),
        ([], [], "must start with"),
        ([[0]], [INPUT], "must start with"),
        ([[0, 2, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, r"matrix\[0\]\[1\] is 2"),
        ([[0, -1, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, r"matrix\[0\]\[1\] is -1"),
        ([[0, 1, 0], [1, 0, 1], [0, 0, 0]], CHAIN_OPS, r"matrix\[1\]\[0\] is 1.*above"),
        ([[1, 1, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, r"matrix\[0\]\[0\] is 1"),
        ([[0, 1, 0], [0, 0, 0], [0, 0, 0]], CHAIN_OPS, "no path from its input"),
        ([[0, 0.5, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, "not a NAS-Bench-101 cell"),
        ([[0, math.nan, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, "not a NAS-Bench-101 cell"),
        ([[0, math.inf, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, "not a NAS-Bench-101 cell"),
        ([[0, "a", 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, "not a NAS-Bench-101 cell"),
        ([[0, None, 0], [0, 0, 1], [0, 0, 0]], CHAIN_OPS, "not a NAS-Bench-101 cell"),
        ([0, 1, 2], CHAIN_OPS, "not a NAS-Bench-101 cell"),
        (None, CHAIN_OPS, "no matrix or no ops"),
        (CHAIN, None, "no matrix or no ops"),
        (CHAIN, 3, "not a NAS-Bench-101 cell"),
    ],
)
def test_refused(matrix: Any, ops: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        FAMILY.parse({"matrix": matrix, "ops": ops})


@pytest.mark.parametrize("encoding", [None, 3, "", "conv3x3", "ab", [], {}, [1], [1, 2, 3], 0.5])
def test_not_a_cell(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a NAS-Bench-101 cell"):
        FAMILY.parse(encoding)


def test_sampler() -> None:
    cells = some_cells(300)
    assert cells == some_cells(300)
    assert cells != some_cells(300, seed=1)
    for arch in cells:
        assert FAMILY.parse((arch.matrix, arch.ops)) == arch  # valid and pruned already
        assert sum(map(sum, arch.matrix)) <= MAX_EDGES
    assert len({arch.hash for arch in cells}) > 150  # small cells are drawn again and again
    assert {op for arch in cells for op in arch.ops} == {INPUT, OUTPUT, *OPERATIONS}
    assert max(len(arch.ops) for arch in cells) == MAX_VERTICES
