"""Cells as dense tensors, padded to seven vertices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from gennape_plugin.core.errors import InvalidInputError
from jaxtyping import Bool, Float, Int
from torch import Tensor

#: Most vertices of a cell, its input and output among them.
VERTICES: Final = 7
#: Positions of the one-hot codes: the input, the operations inside, the output.
OPERATIONS: Final = ("input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "output")


@dataclass(frozen=True)
class CellTensors:
    """Cells in one tensor each for edges and operations.

    Attributes:
        adjacency: 1 where an edge leads from the row's vertex to the column's.
        operations: One-hot codes in the order of :data:`OPERATIONS`; all 0 for padding.
    """

    adjacency: Float[Tensor, "cells 7 7"]
    operations: Float[Tensor, "cells 7 5"]

    def __len__(self) -> int:
        return int(self.adjacency.shape[0])

    @property
    def present(self) -> Bool[Tensor, "cells 7"]:
        """Which vertices are no padding."""
        return self.operations.any(dim=2)

    @classmethod
    def of(cls, cells: Iterable[tuple[Sequence[Sequence[int]], Sequence[str]]]) -> "CellTensors":
        """Put ``(matrix, ops)`` pairs into tensors.

        Raises:
            InvalidInputError: naming the cell, if it is no directed acyclic graph in topological
                order with known operations, or if there are none.
        """
        adjacency, codes = [], []
        for number, (matrix, ops) in enumerate(cells):
            edges = _edges(matrix, ops, number)
            space = VERTICES - len(ops)
            adjacency.append([[*row, *[0] * space] for row in edges] + [[0] * VERTICES] * space)
            codes.append([OPERATIONS.index(op) for op in ops] + [len(OPERATIONS)] * space)
        if not codes:
            raise InvalidInputError("no cells: give at least one (matrix, ops) pair")
        one_hot = torch.eye(len(OPERATIONS) + 1)[:, :-1]
        return cls(torch.tensor(adjacency, dtype=torch.float32), one_hot[torch.tensor(codes)])

    def take(self, rows: Int[Tensor, "taken"]) -> "CellTensors":
        """The cells of these row numbers, in this order."""
        return CellTensors(self.adjacency[rows], self.operations[rows])


def _edges(matrix: Sequence[Sequence[int]], ops: Sequence[str], number: int) -> list[list[int]]:
    """The checked matrix as lists."""
    count = len(ops)
    edges = [[int(entry) for entry in row] for row in matrix]
    if not 2 <= count <= VERTICES or len(edges) != count or any(len(r) != count for r in edges):
        raise InvalidInputError(
            f"cell {number} has {count} ops and matrix rows of lengths {[len(r) for r in edges]}: "
            f"give 2 to {VERTICES} ops and as many rows and columns"
        )
    if any(entry not in (0, 1) or (entry and v <= u) for u, v, entry in _entries(edges)):
        raise InvalidInputError(
            f"cell {number} has a matrix with entries other than 0 and 1, or at or below the "
            "diagonal: order its vertices so that every edge leads forward"
        )
    if ops[0] != OPERATIONS[0] or ops[-1] != OPERATIONS[-1]:
        raise InvalidInputError(
            f"cell {number} has ops {list(ops)}: start with 'input', end with 'output'"
        )
    wrong = sorted({op for op in ops[1:-1] if op not in OPERATIONS[1:-1]})
    if wrong:
        raise InvalidInputError(
            f"cell {number} has unknown operations {wrong}: choose from {list(OPERATIONS[1:-1])}"
        )
    return edges


def _entries(edges: list[list[int]]) -> Iterable[tuple[int, int, int]]:
    return ((u, v, entry) for u, row in enumerate(edges) for v, entry in enumerate(row))
