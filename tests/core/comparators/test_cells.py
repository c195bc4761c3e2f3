import pytest
import torch
from gennape_plugin.adapters.families.nasbench101 import CONV1, CONV3, POOL3
from gennape_plugin.core.comparators.cells import OPERATIONS, CellTensors
from gennape_plugin.core.errors import InvalidInputError

CELL = ([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", POOL3, "output"])


def test_a_cell_is_padded_at_its_end():
    cells = CellTensors.of([CELL])
    expected = torch.zeros(7, 7)
    expected[0, 1] = expected[0, 2] = expected[1, 2] = 1
    assert torch.equal(cells.adjacency[0], expected)
    assert cells.operations[0].nonzero().tolist() == [[0, 0], [1, 3], [2, 4]]
    assert cells.present.tolist() == [[True] * 3 + [False] * 4]


def test_the_operations_are_the_benchmark_s():
    assert OPERATIONS == ("input", CONV3, CONV1, POOL3, "output")


def test_nothing_is_lost(archs):
    cells = CellTensors.of((arch.matrix, arch.ops) for arch in archs(60))
    assert len(cells) == 60
    for arch, edges, operations in zip(archs(60), cells.adjacency, cells.operations, strict=True):
        count = len(arch.ops)
        assert edges[:count, :count].tolist() == [list(map(float, row)) for row in arch.matrix]
        assert edges.sum() == sum(map(sum, arch.matrix))
        assert [OPERATIONS[i] for i in operations[:count].argmax(dim=1)] == list(arch.ops)
        assert operations.sum() == count


def test_rows_are_taken_in_their_order(archs):
    cells = CellTensors.of((arch.matrix, arch.ops) for arch in archs(5))
    taken = cells.take(torch.tensor([4, 0, 4]))
    assert torch.equal(taken.adjacency, cells.adjacency[[4, 0, 4]])
    assert torch.equal(taken.operations, cells.operations[[4, 0, 4]])


@pytest.mark.parametrize(
    ("matrix", "ops", "message"),
    [
        ([[0]], ["input"], "give 2 to 7 ops"),
        ([[0] * 8] * 8, ["input", *[CONV3] * 6, "output"], "give 2 to 7 ops"),
        ([[0, 1]], ["input", "output"], "as many rows and columns"),
        ([[0, 1], [0]], ["input", "output"], "as many rows and columns"),
        ([[0, 2], [0, 0]], ["input", "output"], "order its vertices"),
        ([[0, 1], [1, 0]], ["input", "output"], "order its vertices"),
        ([[0, 1], [0, 1]], ["input", "output"], "order its vertices"),
        (CELL[0], ["output", CONV3, "input"], "start with 'input'"),
        (CELL[0], ["input", "conv5x5", "output"], r"unknown operations \['conv5x5'\]"),
        (CELL[0], ["input", "input", "output"], r"unknown operations \['input'\]"),
    ],
)
def test_malformed_cells_are_named(matrix, ops, message):
    with pytest.raises(InvalidInputError, match=f"cell 1 .*{message}"):
        CellTensors.of([CELL, (matrix, ops)])


def test_no_cells():
    with pytest.raises(InvalidInputError, match="at least one"):
        CellTensors.of([])
