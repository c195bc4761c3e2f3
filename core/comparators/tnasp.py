"""TNASP (Lu et al., NeurIPS 2021): a transformer over the vertices of the cell.

Its self-evolution is left out: it goes on optimising with the labels of validation cells.
Sizes that the paper leaves open are those of its first author's next predictor (PINAT, AAAI
2023), which extends TNASP. Unlike there, padding is masked. That predictor feeds the rows of the
Laplacian as positions; they rank the first validation set far better than the eigenvectors
(SRCC 0.958 against 0.884), so they are the default here.
"""

from typing import Final

import numpy as np
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.regression import Fitted
from gennape_plugin.core.training import Progress, seeded, silent
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from .cells import OPERATIONS, VERTICES, CellTensors
from .training import ComparatorConfig, StandardizedPredictor, check_examples, train

#: How positions are told: by the directed Laplacian's rows, or the undirected one's eigenvectors.
POSITIONS: Final = ("laplacian", "eigenvectors")
#: Its first author's settings but for the epochs: 300 were meant for some hundred cells.
TNASP_CONFIG: Final = ComparatorConfig(
    epochs=25, batch_size=10, learning_rate=1e-4, weight_decay=1e-3, cosine=True
)


def laplacian_eigenvectors(cells: CellTensors) -> Float[Tensor, "cells 7 6"]:
    """Eigenvectors of each cell's normalised undirected Laplacian, smallest eigenvalues first.

    The first, constant up to degrees, is left out; columns beyond the cell's vertices and rows
    of padding are 0. Of the two signs the one that makes the largest entry positive is taken.
    """
    present = cells.present
    edges = (cells.adjacency + cells.adjacency.transpose(1, 2)).double()
    # A table, and NumPy's one buffer for all cells below: where an eigenvalue repeats, the last
    # bit decides which of its vectors come out, and that must not depend on the batch.
    root = torch.arange(VERTICES).clamp(min=1).double().rsqrt()[edges.sum(dim=2).long()]
    laplacian = torch.eye(VERTICES) - root[:, :, None] * edges * root[:, None, :]
    # Eigenvalues reach 2: with 3 the vectors of padding come last and touch no vertex.
    laplacian += torch.diag_embed(2.0 * ~present)
    vectors = torch.from_numpy(np.linalg.eigh(laplacian.numpy()).eigenvectors)
    largest = vectors.gather(1, vectors.abs().round(decimals=6).argmax(dim=1, keepdim=True))
    vectors = vectors * largest.sign()
    # As many columns as vertices are real.
    kept = vectors * present[:, :, None] * present.sort(descending=True).values[:, None, :]
    result: Tensor = kept[:, :, 1:].float()
    return result


def laplacian_rows(cells: CellTensors) -> Float[Tensor, "cells 7 7"]:
    """Rows of ``D - A`` with the number of outgoing edges in ``D``.

    They tell directions, which eigenvectors do not, but depend on the order of the vertices.
    """
    return torch.diag_embed(cells.adjacency.sum(dim=2)) - cells.adjacency


class Tnasp(StandardizedPredictor):
    """Operation and position embeddings, transformer blocks, mean over vertices, perceptron."""

    def __init__(
        self,
        width: int = 80,
        layers: int = 3,
        *,
        heads: int = 4,
        head_width: int = 64,
        inner: int = 512,
        hidden: int = 96,
        dropout: float = 0.1,
        positions: str = "laplacian",
    ) -> None:
        """Make the network.

        Args:
            width: Size of a vertex's vector.
            layers: Transformer blocks.
            heads: Attention heads of each.
            head_width: Size of a head's queries, keys and values.
            inner: Width of the blocks' perceptrons.
            hidden: Width of the layer before the output.
            dropout: Share of values dropped.
            positions: ``laplacian`` or ``eigenvectors``.
        """
        super().__init__()
        if positions not in POSITIONS:
            raise InvalidInputError(
                f"positions is {positions!r}: choose from {', '.join(POSITIONS)}"
            )
        self.encode = laplacian_rows if positions == "laplacian" else laplacian_eigenvectors
        length = VERTICES if positions == "laplacian" else VERTICES - 1
        self.operation = nn.Linear(len(OPERATIONS), width, bias=False)
        self.position = nn.Linear(length, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            _Block(width, heads, head_width, inner, dropout) for _ in range(layers)
        )
        self.head = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, cells: CellTensors) -> Float[Tensor, "cells"]:
        """Standardised accuracies."""
        return self.encoded(cells, self.encode(cells))

    def encoded(
        self, cells: CellTensors, positions: Float[Tensor, "cells 7 length"]
    ) -> Float[Tensor, "cells"]:
        """The same with position codes already at hand."""
        present = cells.present
        x = self.norm(self.dropout(self.operation(cells.operations) + self.position(positions)))
        for block in self.blocks:
            x = block(x, present)
        weights = present / present.sum(dim=1, keepdim=True)
        out: Tensor = self.head((x * weights[:, :, None]).sum(dim=1))
        return out[:, 0]


class _Block(nn.Module):
    """Self-attention and perceptron, each with a residual and normalised after it."""

    def __init__(self, width: int, heads: int, head_width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width, bias=False)
        self.perceptron = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width), nn.Dropout(dropout)
        )
        self.dropout = nn.Dropout(dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(
        self, x: Float[Tensor, "cells 7 width"], present: Bool[Tensor, "cells 7"]
    ) -> Float[Tensor, "cells 7 width"]:
        cells, vertices, _ = x.shape
        qkv = self.qkv(x).view(cells, vertices, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attended = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=present[:, None, None, :],
            dropout_p=self.rate if self.training else 0.0,
        )
        joined = attended.transpose(1, 2).reshape(cells, vertices, -1)
        x = self.norms[0](x + self.dropout(self.out(joined)))
        result: Tensor = self.norms[1](x + self.perceptron(x))
        return result


def fit_tnasp(
    cells: CellTensors,
    accuracy: Float[Tensor, "labels"],
    validation: tuple[CellTensors, Tensor],
    *,
    config: ComparatorConfig = TNASP_CONFIG,
    positions: str = "laplacian",
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Tnasp, Fitted]:
    """Train TNASP on the squared error of standardised accuracies.

    Args:
        cells: Training cells.
        accuracy: Their accuracies, as fractions.
        validation: Cells and accuracies that choose the epoch.
        config: Settings.
        positions: ``laplacian`` or ``eigenvectors``.
        seed: Fixes initial weights, order and dropout.
        progress: Called after every epoch.

    Raises:
        InvalidInputError: for accuracies that are no fractions, do not vary or do not match.
    """
    check_examples(cells, accuracy, validation)
    with seeded(seed):
        model = Tnasp(positions=positions)
    target, codes = model.standardize(accuracy), model.encode(cells)

    def loss_of(rows: Tensor) -> Tensor:
        return F.mse_loss(model.encoded(cells.take(rows), codes[rows]), target[rows])

    fitted = train(
        model,
        len(cells),
        loss_of,
        validation,
        config,
        seed=seed,
        stage="tnasp" if positions == "laplacian" else f"tnasp-{positions}",
        progress=progress,
    )
    return model, fitted
