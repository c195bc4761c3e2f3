import gzip
import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.families.nasbench201 import OPERATIONS, Cell201, NASBench201
from gennape_plugin.core.errors import ArchitectureError
from gennape_plugin.core.graph import ComputeGraph
from twins import assert_twins

FAMILY = NASBench201()
#: The best cell that the authors publish.
BEST = (
    "|nor_conv_3x3~0|"
    "+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
)
VARIANTS = ("benchmark", "paper")


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "nasbench201.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def uniform(op: str) -> Cell201:
    return FAMILY.parse([op] * 6)


def test_published_graph() -> None:
    graph = FAMILY.graph(FAMILY.parse(BEST), variant="paper")
    paper = graph.paper_view()
    assert (paper.num_nodes, paper.num_edges, paper.num_weighted) == (306, 352, 83)
    assert round(graph.macs / 1e9, 5) == 0.15327


NOT_NONE = [op for op in OPERATIONS if op != "none"]
SIZES = {"nodes": (156, 268.5, 336), "edges": (202, 314.5, 382)}


def sizes_of(cells: dict[tuple[str, ...], int]) -> dict[str, tuple[float, float, float]]:
    """Least, mean and greatest of weighted cells."""
    found: dict[str, list[tuple[int, int]]] = {"nodes": [], "edges": []}
    for ops, weight in cells.items():
        paper = FAMILY.graph(FAMILY.parse(ops), variant="paper").paper_view()
        found["nodes"].append((paper.num_nodes, weight))
        found["edges"].append((paper.num_edges, weight))
    assert sum(cells.values()) == 4096
    return {
        name: (min(counts)[0], sum(n * w for n, w in counts) / 4096, max(counts)[0])
        for name, counts in found.items()
    }


def test_published_sizes() -> None:
    """Which operations a cell has decides its size, so one order of each is enough."""
    orders = Counter(tuple(sorted(ops)) for ops in itertools.product(NOT_NONE, repeat=6))
    assert len(orders) == 84
    rng = random.Random(0)
    assert sizes_of({tuple(rng.sample(ops, 6)): n for ops, n in orders.items()}) == SIZES


@pytest.mark.slow
def test_published_sizes_of_all_cells_without_none() -> None:
    assert sizes_of(dict.fromkeys(itertools.product(NOT_NONE, repeat=6), 1)) == SIZES


def check_parameters(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        graph = FAMILY.graph(FAMILY.parse(FAMILY.encoding_of(row)))
        assert round(graph.params / 1e6, 4) == row["params_M"], row["arch_str"]


@pytest.mark.data
def test_some_recorded_parameters(rows: list[dict[str, Any]]) -> None:
    check_parameters([row for row in rows if "params_M" in row][::12])


@pytest.mark.data
@pytest.mark.slow
def test_all_recorded_parameters(rows: list[dict[str, Any]]) -> None:
    recorded = [row for row in rows if "params_M" in row]
    assert len(recorded) > 9000
    check_parameters(recorded)


@pytest.mark.data
def test_recorded_flops(rows: list[dict[str, Any]]) -> None:
    """The benchmark counts 2 for batch norm, 1 for ReLU and the window's size for a pool.

    What is left is one constant for the head, up to the rounding of the record.
    """
    each = {"batch_norm": 2, "relu": 1}
    left = []
    for row in [row for row in rows if "flops_M" in row][::40]:
        graph = FAMILY.graph(FAMILY.parse(row["arch_str"]))
        total = graph.macs
        for node in graph.nodes:
            window = math.prod(node.attr("kernel")) if node.op == "avg_pool" else 0
            total += math.prod(node.shape) * (each.get(node.op, 0) + window)
        left.append(row["flops_M"] * 1e6 - total)
    assert max(left) - min(left) <= 101
    assert 0 < min(left) < 0.01 * 1e6


def test_every_cell_is_parsed_and_written_back() -> None:
    strings = set()
    for ops in itertools.product(OPERATIONS, repeat=6):
        cell = FAMILY.parse(ops)
        assert cell.ops == ops
        text = str(cell)
        assert FAMILY.parse(text) == cell
        strings.add(text)
    assert len(strings) == 15625
    assert BEST in strings


@pytest.mark.data
def test_the_file_has_every_cell(rows: list[dict[str, Any]]) -> None:
    cells = {FAMILY.parse(FAMILY.encoding_of(row)) for row in rows}
    assert len(cells) == len(rows) == 15625
    assert all(str(FAMILY.parse(row["arch_str"])) == row["arch_str"] for row in rows[::7])


def test_forms_of_a_cell() -> None:
    cell = FAMILY.parse(BEST)
    assert cell.ops[:3] == ("nor_conv_3x3",) * 3
    assert cell.ops[3:] == ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")
    assert FAMILY.parse(cell) is cell
    assert FAMILY.parse(list(cell.ops)) == FAMILY.parse(cell.ops) == cell
    assert FAMILY.parse(f"  {BEST}\n") == cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nor_conv_3x3",
        BEST[1:],
        BEST[:-1],
        BEST.replace("+", ""),
        BEST.replace("+", "-"),
        BEST.replace("~2", "~3"),
        BEST.replace("~2", "~1"),
        BEST.replace("~1", "~0"),
        BEST.replace("~", ""),
        BEST.replace("|+|", "||+||"),
        BEST + "+|nor_conv_3x3~0|",
        BEST + BEST,
        BEST.replace("|skip_connect~0", ""),
        BEST.replace("|skip_connect~0", "|skip_connect~0|none~0"),
        BEST.replace("skip_connect", "SKIP"),
        BEST.replace("skip_connect", ""),
        "+".join(reversed(BEST.split("+"))),
        BEST.replace("|skip", "| skip"),
        "|" * 900,
        BEST * 100,
    ],
)
def test_malformed_strings(text: str) -> None:
    with pytest.raises(ArchitectureError, match="NAS-Bench-201"):
        FAMILY.parse(text)


@pytest.mark.parametrize(
    "ops", [["none"] * 5 + ["conv"], ["none"] * 5 + [3], ["none"] * 5 + [None]]
)
def test_unknown_operations(ops: list[object]) -> None:
    with pytest.raises(ArchitectureError, match=r"unknown operations .*allowed are \['none'"):
        FAMILY.parse(ops)
    with pytest.raises(ArchitectureError, match=r"unknown operations \['sep_conv'\]"):
        FAMILY.parse(BEST.replace("skip_connect", "sep_conv"))


@pytest.mark.parametrize("encoding", [None, 7, 1.5, {}, {"arch_str": BEST}, [], ["none"] * 5, b"x"])
def test_not_a_cell(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a NAS-Bench-201 cell"):
        FAMILY.parse(encoding)


def test_encoding_of_a_row() -> None:
    assert FAMILY.encoding_of({"arch_str": BEST, "other": 1}) == BEST
    assert FAMILY.encoding_of({}) is None


# -- the network ------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_module_and_graph_are_the_same_network(variant: str) -> None:
    for op in NOT_NONE:
        assert_twins(FAMILY, uniform(op), variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_module_runs(variant: str) -> None:
    module = FAMILY.module(FAMILY.parse(BEST), variant=variant).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 32, 32)).isfinite().all()


def labels(graph: ComputeGraph) -> Counter[str]:
    return Counter(op.name for op in graph.paper_view().ops)


def test_what_the_two_variants_differ_in() -> None:
    pools = uniform("avg_pool_3x3")
    benchmark, paper = (labels(FAMILY.graph(pools, variant=v)) for v in VARIANTS)
    # Six pools in each of fifteen cells, one in each reduction.
    assert benchmark["Avgpool"] == paper["Avgpool"] == 6 * 15 + 2
    assert benchmark["BatchNorm"] == 1 + 2 * 2 + 1  # stem, two a reduction, before the mean
    assert paper["BatchNorm"] == 1 + 6 * 15  # stem, one after each pool of a cell
    assert (benchmark["Identity"], paper["Identity"]) == (0, 1)  # dropout
    assert (benchmark["ReLU"], paper["ReLU"]) == (2 * 2 + 1, 2 * 2)
    default = FAMILY.graph(pools)
    assert default == FAMILY.graph(pools, variant="benchmark")
    assert default != FAMILY.graph(pools, variant="paper")
    with pytest.raises(ArchitectureError, match="no variant 'tf'"):
        FAMILY.graph(pools, variant="tf")
    with pytest.raises(ArchitectureError, match="no variant 'tf'"):
        FAMILY.module(pools, variant="tf")


def test_skips_are_identities() -> None:
    found = labels(FAMILY.graph(uniform("skip_connect"), variant="paper"))
    assert found["Identity"] == 6 * 15 + 1
    assert found["Add"] == 3 * 15 + 2


def test_operations_that_only_a_zero_reads_still_count() -> None:
    """The benchmark's networks hold them, and so do its recorded parameters."""
    dead_end = FAMILY.parse(["nor_conv_3x3", "none", "none", "skip_connect", "none", "none"])
    without = FAMILY.parse(["none", "none", "none", "skip_connect", "none", "none"])
    graph = FAMILY.graph(dead_end)
    module = FAMILY.module(dead_end)
    assert graph.params == sum(p.numel() for p in module.parameters())
    assert graph.params > FAMILY.graph(without).params


def test_sampler() -> None:
    def draw(seed: int) -> list[Cell201]:
        rng = random.Random(seed)
        return [FAMILY.sample(rng) for _ in range(200)]

    cells = draw(0)
    assert cells == draw(0)
    assert cells != draw(1)
    assert {op for cell in cells for op in cell.ops} == set(OPERATIONS)
    assert all(FAMILY.parse(str(cell)) == cell for cell in cells)


def test_name_and_scopes() -> None:
    cell = FAMILY.parse(BEST)
    graph = FAMILY.graph(cell)
    assert graph.name == f"nasbench201/{BEST}"
    assert set(graph.scopes) >= {"stem", "reduction1", "reduction2", "stage0.cell0", "head"}
