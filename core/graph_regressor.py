"""The k-GNN baseline: a graph network trained end to end on accuracies."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphBatch, GraphStore
from .layers import GraphLayers, NodeEmbedding, mean_readout
from .quotient import quotient, unmerged


class GraphRegressor(nn.Module):
    """The k-GNN baseline: message passing, mean, perceptron (published code's sizes)."""

    def __init__(self, width: int = 32, layers: int = 6, *, convolution: str = "kgnn") -> None:
        """Make the network.

        Args:
            width: Size of every vector.
            layers: Message-passing layers.
            convolution: ``kgnn``, ``gcn`` or ``gin``.
        """
        super().__init__()
        self.embedding = NodeEmbedding(width)
        self.graph_layers = GraphLayers(width, layers, convolution=convolution)
        self.head = nn.Sequential(
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, 1),
        )

    def forward(self, batch: GraphBatch) -> Float[Tensor, "graphs"]:
        """Predictions in the target's transformed units."""
        build = quotient if self.graph_layers.merges else unmerged
        plan = build(batch, len(self.graph_layers.layers))
        x = self.graph_layers(self.embedding(batch.kinds), batch, plan)
        out: Tensor = self.head(mean_readout(x, plan, batch))
        return out[:, 0]


@torch.no_grad()
def predict_graphs(
    model: GraphRegressor, store: GraphStore, *, batch_size: int = 256
) -> Float[Tensor, "graphs"]:
    """Predictions for all graphs of a store."""
    model.eval()
    starts = range(0, len(store), batch_size)
    return torch.cat(
        [model(store.batch(range(s, min(s + batch_size, len(store))))) for s in starts]
    )
