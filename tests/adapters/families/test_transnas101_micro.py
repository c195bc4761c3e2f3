import gzip
import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.families.transnas101_micro import (
    EDGES,
    OPERATIONS,
    MicroCell,
    MicroCellModule,
    Reduction,
    TransNAS101Micro,
    Zero,
)
from gennape_plugin.core.errors import ArchitectureError, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from torch import nn

FAMILY = TransNAS101Micro()
#: The example of the benchmark's description.
EXAMPLE = "64-41414-1_02_333"
NONE, SKIP, CONV1X1, CONV3X3 = range(4)
#: Channels before and after, and resolution after, each of the ten cells.
CELLS = [
    (64, 128, 32),
    *[(128, 128, 32)] * 3,
    (128, 256, 16),
    *[(256, 256, 16)] * 3,
    (256, 512, 8),
    (512, 512, 8),
]


def uniform(op: int) -> MicroCell:
    return FAMILY.parse([op] * 6)


def labels(graph: ComputeGraph) -> Counter[str]:
    return Counter(op.name for op in graph.paper_view().ops)


def some_cells(count: int) -> list[MicroCell]:
    rng = random.Random(0)
    return [uniform(op) for op in range(4)] + [FAMILY.sample(rng) for _ in range(count)]


# -- the encoding -----------------------------------------------------------------------------


def test_every_cell_is_parsed_and_written_back() -> None:
    strings = set()
    for ops in itertools.product(range(4), repeat=6):
        cell = FAMILY.parse(ops)
        assert cell.ops == ops
        assert FAMILY.parse(str(cell)) == cell
        strings.add(str(cell))
    assert len(strings) == 4096
    assert EXAMPLE in strings


@pytest.mark.data
def test_the_file_has_every_cell(data_dir: Path) -> None:
    path = data_dir / "transnas101_micro.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        rows: list[dict[str, Any]] = [json.loads(line) for line in file]
    assert len({FAMILY.parse(FAMILY.encoding_of(row)) for row in rows}) == len(rows) == 4096


def test_forms_of_a_cell() -> None:
    cell = FAMILY.parse(EXAMPLE)
    assert cell.ops == (SKIP, NONE, CONV1X1, CONV3X3, CONV3X3, CONV3X3)
    assert str(cell) == EXAMPLE
    assert FAMILY.parse(cell) is cell
    assert FAMILY.parse([1, 0, 2, 3, 3, 3]) == FAMILY.parse((1, 0, 2, 3, 3, 3)) == cell
    numpy_digits = FAMILY.parse(list(np.array(cell.ops)))
    assert numpy_digits == cell
    assert all(type(op) is int for op in numpy_digits.ops)
    assert FAMILY.parse("1_02_333") == FAMILY.parse(f"  {EXAMPLE}\n") == cell


@pytest.mark.parametrize(
    "encoding",
    [
        "",
        "102333",
        EXAMPLE[:-1],
        EXAMPLE + "0",
        EXAMPLE + EXAMPLE,
        EXAMPLE.replace("64", "32"),
        EXAMPLE.replace("41414", "14141"),
        EXAMPLE.replace("1_02", "4_02"),
        EXAMPLE.replace("1_02", "\N{SUPERSCRIPT ONE}_02"),
        EXAMPLE.replace("1_02", "\N{ARABIC-INDIC DIGIT ONE}_02"),
        EXAMPLE.replace("_", "-"),
        EXAMPLE.replace("1_02_333", "10_2_333"),
        "64-1234-basic",
        "1" * 10**6,
        None,
        102333,
        1.5,
        b"1_02_333",
        {},
        {"arch": [1, 0, 2, 3, 3, 3]},
        [],
        [1] * 5,
        [1] * 7,
        [1] * 10**6,
        [1] * 5 + [4],
        [1] * 5 + [-1],
        [1] * 5 + [True],
        [1] * 5 + [np.True_],
        [1] * 5 + [1.0],
        [1] * 5 + [float("nan")],
        [1] * 5 + [None],
        [1] * 5 + ["1"],
        [1] * 5 + [[1]],
        [1] * 5 + [10**5000],
        10**5000,
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_not_a_cell(encoding: object) -> None:
    with pytest.raises(ArchitectureError, match="not a TransNAS-Bench-101 micro cell") as error:
        FAMILY.parse(encoding)
    assert "0 none, 1 skip, 2 conv1x1, 3 conv3x3; got" in str(error.value)
    assert len(str(error.value)) < 500


def test_encoding_of_a_row() -> None:
    assert FAMILY.encoding_of({"arch": [1, 0, 2, 3, 3, 3], "val_class_object": 1.0}) == [
        *FAMILY.parse(EXAMPLE).ops
    ]
    assert FAMILY.encoding_of({}) is None


def test_sampler() -> None:
    def draw(seed: int) -> list[MicroCell]:
        rng = random.Random(seed)
        return [FAMILY.sample(rng) for _ in range(200)]

    cells = draw(0)
    assert cells == draw(0)
    assert cells != draw(1)
    for edge in range(len(EDGES)):
        assert {cell.ops[edge] for cell in cells} == set(range(len(OPERATIONS)))
    assert all(FAMILY.parse(str(cell)) == cell for cell in cells)


# -- the network ------------------------------------------------------------------------------


def parameters(cell: MicroCell, classes: int) -> int:
    """By hand, from the benchmark's description."""
    total = 3 * 32 * 9 + 2 * 32 + 32 * 64 * 9 + 2 * 64 + 512 * classes + classes
    for c_in, c_out, _ in CELLS:
        for (source, _), op in zip(EDGES, cell.ops, strict=True):
            wide = c_in if source == 0 else c_out
            if op == CONV3X3:
                total += 9 * wide * c_out + 2 * c_out
            elif op == CONV1X1 or (op == SKIP and wide != c_out):
                total += wide * c_out + 2 * c_out
    return total


def test_parameters_by_hand() -> None:
    for cell in some_cells(50):
        assert FAMILY.graph(cell).params == parameters(cell, 75)


def test_the_largest_network_and_the_two_heads() -> None:
    """The counts are those of the benchmark's published code."""
    cell = uniform(CONV3X3)
    scene = TransNAS101Micro("class_scene")
    assert FAMILY.graph(cell).params == 41_450_091
    assert scene.graph(cell).params == 41_435_727
    assert scene.graph(cell).nodes[-1].shape == (1, 47)
    assert sum(p.numel() for p in scene.module(cell).parameters()) == 41_435_727
    assert FAMILY.graph(cell) == TransNAS101Micro("class_object").graph(cell)


@pytest.mark.parametrize("task", ["", "jigsaw", "Class_Scene", 3])
def test_unknown_head(task: str) -> None:
    with pytest.raises(InvalidInputError, match=r"no head for task .*: choose from class_object"):
        TransNAS101Micro(task)


def test_macs_by_hand() -> None:
    stem = 3 * 32 * 9 * 128**2 + 32 * 64 * 9 * 64**2
    for op, each in ((CONV3X3, 9), (CONV1X1, 1)):
        cells = sum((3 * c_in + 3 * c_out) * c_out * each * size**2 for c_in, c_out, size in CELLS)
        assert FAMILY.graph(uniform(op)).macs == stem + cells + 512 * 75


def test_shapes_after_the_cells() -> None:
    graph = FAMILY.graph(FAMILY.parse(EXAMPLE))
    last = {scope: node.shape for scope, node in zip(graph.scopes, graph.nodes, strict=True)}
    assert last["stem"] == (1, 64, 64, 64)
    assert [last[f"module{module}.block{block}"] for module in range(5) for block in range(2)] == [
        (1, c_out, size, size) for _, c_out, size in CELLS
    ]
    assert graph.name == f"transnas101_micro/{EXAMPLE}"


def test_what_the_operations_become() -> None:
    # Beside the ends, the stem has two convolutions, the head a mean and a linear layer.
    assert labels(FAMILY.graph(uniform(CONV1X1)))["Conv"] == 2 + 60
    skips = labels(FAMILY.graph(uniform(SKIP)))
    # Three of six edges change the shape in three of ten cells.
    assert skips["Identity"] == 60 - 9
    assert skips["Conv"] == 2 + 2 * 9
    assert skips["Concat"] == skips["Paddings"] == 9
    assert skips["Add"] == 3 * 10
    zeros = FAMILY.graph(uniform(NONE))
    assert labels(zeros)["Zero"] == 60
    assert labels(zeros)["Conv"] == 2
    sizes = {op.resolution for op in zeros.paper_view().ops if op.name == "Zero"}
    assert sizes == {(s, s, s, s, c, c) for _, c, s in CELLS}


def test_a_network_of_zeros_still_has_its_head() -> None:
    module = FAMILY.module(uniform(NONE)).eval()
    with torch.no_grad():
        logits = module(torch.randn(2, *FAMILY.input_shape))
    assert logits.shape == (2, 75)
    assert torch.equal(logits[0], logits[1])


def test_operations_that_only_a_zero_reads_still_count() -> None:
    dead_end = FAMILY.parse([CONV3X3, NONE, NONE, SKIP, NONE, NONE])
    without = FAMILY.parse([NONE, NONE, NONE, SKIP, NONE, NONE])
    assert FAMILY.graph(dead_end).params > FAMILY.graph(without).params


def test_module_runs_on_a_batch() -> None:
    module = FAMILY.module(FAMILY.parse(EXAMPLE)).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 64, 64)).isfinite().all()


# -- the parts of a cell ----------------------------------------------------------------------


def test_zeros_of_another_shape() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(Zero(6, 2)(x), torch.zeros(2, 6, 4, 4))
    assert torch.equal(Zero(3, 1)(x), torch.zeros(2, 3, 8, 8))


def test_a_skip_to_another_shape_reads_even_and_odd_pixels() -> None:
    skip = Reduction(1, 2, 2).eval()
    nn.init.ones_(skip.even.weight)
    nn.init.ones_(skip.odd.weight)
    x = torch.arange(16.0).view(1, 1, 4, 4) - 3
    positive = x.clamp(min=0)[0, 0]
    expected = torch.stack((positive[::2, ::2], positive[1::2, 1::2]))
    with torch.no_grad():
        torch.testing.assert_close(skip(x)[0] * (1 + 1e-5) ** 0.5, expected)


def test_nodes_of_a_cell_sum_what_reaches_them() -> None:
    """With skips alone, each node is the sum of the nodes before it."""
    x = torch.randn(1, 4, 5, 5)
    cell = MicroCellModule(uniform(SKIP), 4, 4, 1)
    torch.testing.assert_close(cell(x), 4 * x)  # x, then 2 x, then x + x + 2 x
    for position, factor in enumerate((2, 3, 3, 3, 3, 2)):
        ops = [SKIP] * 6
        ops[position] = NONE
        module = MicroCellModule(FAMILY.parse(ops), 4, 4, 1)
        torch.testing.assert_close(module(x), factor * x)
