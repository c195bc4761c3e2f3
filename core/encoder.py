"""The contrastive graph encoder of GENNAPE: message passing beside attention."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .attention import GraphTransformerLayer
from .batch import GraphBatch
from .layers import GraphLayers, NodeEmbedding, mean_readout
from .quotient import Quotient


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder.

    Attributes:
        width: Output of each of the two halves (paper: 64).
        layers: Message-passing layers (paper: 4).
        heads: Attention heads (paper: 2).
        hidden: Width of the transformer's feed-forward part (not stated by the paper).
        dropout: Dropout of the transformer (paper: 0.1).
        convolution: ``kgnn`` in the paper.
    """

    width: int = 64
    layers: int = 4
    heads: int = 2
    hidden: int = 128
    dropout: float = 0.1
    convolution: str = "kgnn"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class CLEncoder(nn.Module):
    """Graphs to vectors of ``2 * width`` features (paper: 128).

    A k-GNN and a transformer layer read the same embedded operations; their means over
    the nodes are concatenated (GENNAPE, section "Contrastive learning").
    """

    def __init__(self, config: EncoderConfig | None = None) -> None:
        """Make an encoder with random weights."""
        super().__init__()
        self.config = config = config or EncoderConfig()
        self.embedding = NodeEmbedding(config.width)
        self.graph_layers = GraphLayers(config.width, config.layers, convolution=config.convolution)
        self.transformer = GraphTransformerLayer(
            config.width, heads=config.heads, hidden=config.hidden, dropout=config.dropout
        )

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return 2 * self.config.width

    def plan(self, batch: GraphBatch) -> Quotient:
        """How the message passing is merged; reusable while the batch stays the same."""
        return self.graph_layers.plan(batch)

    def forward(
        self, batch: GraphBatch, *, plan: Quotient | None = None
    ) -> Float[Tensor, "graphs features"]:
        """Embed each graph."""
        return self.views(batch, 1, plan=plan)[0]

    def views(
        self, batch: GraphBatch, count: int, *, plan: Quotient | None = None
    ) -> Float[Tensor, "views graphs features"]:
        """Embed each graph ``count`` times, each time with fresh dropout.

        Message passing has no dropout, so it runs once for all views.
        """
        plan = plan or self.plan(batch)
        x = self.embedding(batch.kinds)
        local = mean_readout(self.graph_layers(x, batch, plan), plan, batch)
        attended = self.transformer(x, batch, views=count)
        return torch.cat([local.expand(count, -1, -1), attended], dim=2)
