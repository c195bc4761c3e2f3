"""A graph network over segments, trained end to end on accuracies.

Unlike GENNAPE's encoder it passes messages in both directions, has residual layers, and
sees a whole NAS-Bench-101 cell and its neighbours. Trained on that benchmark's labels it
ranks its networks far better than heads on contrastive embeddings (docs/results.md); what
it says of other families is worth as little as any trained member's.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .batch import GraphBatch
from .dropout import Dropout
from .errors import InvalidInputError
from .layers import NodeEmbedding
from .quotient import Block, refined
from .segments import segments

_HIDDEN = 256


class SegmentNetwork(nn.Module):
    """Two stacks of message passing, along the edges and against them, and a perceptron.

    Each stack runs on its own quotient (:mod:`.quotient`); messages that go both ways at
    once would leave hardly two nodes alike.
    """

    def __init__(self, width: int = 48, layers: int = 5, *, dropout: float = 0.1) -> None:
        """Make the network.

        Args:
            width: Size of a segment's vector, a multiple of 8 from 32 on.
            layers: Message-passing layers of each stack.
            dropout: Probability of dropping a unit in training.

        Raises:
            InvalidInputError: for another width, no layers, or a dropout outside [0, 1).
        """
        super().__init__()
        if layers < 1 or not 0 <= dropout < 1:
            raise InvalidInputError(
                f"layers {layers}, dropout {dropout}: give at least 1 layer and a dropout in [0, 1)"
            )
        self.width, self.layers, self.dropout = width, layers, dropout
        self.embedding = NodeEmbedding(width)
        self.stacks = nn.ModuleList(_Stack(width, layers, dropout) for _ in range(2))
        self.head = nn.Sequential(
            nn.Linear(self.size + 1, _HIDDEN),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(_HIDDEN, _HIDDEN // 2),
            nn.ReLU(),
            nn.Linear(_HIDDEN // 2, 1),
        )

    @property
    def size(self) -> int:
        """Length of an embedding, :meth:`embed`."""
        return 8 * self.width + 1

    def forward(self, batch: GraphBatch) -> Float[Tensor, "graphs"]:
        """Predictions in the target's transformed units."""
        return self.predict(batch, self.embed(batch))

    def predict(
        self, batch: GraphBatch, embedding: Float[Tensor, "graphs features"]
    ) -> Float[Tensor, "graphs"]:
        """Predictions for graphs whose embeddings are at hand."""
        flops = torch.log10(batch.gflops + 1)
        out: Tensor = self.head(torch.cat([embedding, flops[:, None]], dim=1))
        return out[:, 0]

    def embed(self, batch: GraphBatch) -> Float[Tensor, "graphs features"]:
        """Means and maxima over each graph's segments, of both stacks, and how many these are."""
        cut = segments(batch)
        ops, kinds = cut.members
        each = self.embedding(batch.kinds)
        x = each.new_zeros(cut.kinds, each.shape[1]).index_add_(0, kinds, each.index_select(0, ops))
        directions = (cut.edges, cut.edges.flip(0))
        pooled = [
            stack(x, cut.kind, edges, cut.ptr)
            for stack, edges in zip(self.stacks, directions, strict=True)
        ]
        count = (cut.ptr[1:] - cut.ptr[:-1]).to(x.dtype)
        return torch.cat([*pooled, torch.log(count)[:, None] / 5], dim=1)

    def describe(self) -> dict[str, Any]:
        """Sizes, from which the same architecture is made."""
        return {"width": self.width, "layers": self.layers, "dropout": self.dropout}


class _Stack(nn.Module):
    """Message passing in one direction; mean and maximum over each graph."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(width, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 2 * width)

    def forward(
        self,
        x: Float[Tensor, "kinds width"],
        kind: Tensor,
        edges: Tensor,
        ptr: Tensor,
    ) -> Float[Tensor, "graphs four_widths"]:
        plan = refined(kind, edges, len(self.layers))
        for layer, block in zip(self.layers, plan.blocks, strict=True):
            x = layer(x, block)
        x = F.relu(self.out(self.norm(x)))
        pooled = [F.embedding_bag(plan.classes, x, ptr[:-1], mode=mode) for mode in ("mean", "max")]
        return torch.cat(pooled, dim=1)


class _Layer(nn.Module):
    """A residual step: a vector, and the sum of the vectors that are sent to it."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own = nn.Linear(width, width)
        self.message = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.drop = Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "before width"], block: Block
    ) -> Float[Tensor, "after width"]:
        y = self.norm(x)
        sender, receiver = block.edges
        sums = y.new_zeros(len(block.own), y.shape[1])
        sums = sums.index_add(0, receiver, self.message(y).index_select(0, sender))
        step: Tensor = self.out(self.drop(F.relu(self.own(y).index_select(0, block.own) + sums)))
        return x.index_select(0, block.own) + step
