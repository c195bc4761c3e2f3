"""The k-GNN baseline: a graph network trained end to end on accuracies."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from .batch import GraphBatch
from .layers import GraphLayers, NodeEmbedding, mean_readout


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
        plan = self.graph_layers.plan(batch)
        x = self.graph_layers(self.embedding(batch.kinds), batch, plan)
        out: Tensor = self.head(mean_readout(x, plan, batch))
        return out[:, 0]

    def describe(self) -> dict[str, Any]:
        """Sizes and convolution, from which the same architecture is made."""
        layers = self.graph_layers
        return {
            "width": self.embedding.resolution.out_features * 4,
            "layers": len(layers.layers),
            "convolution": layers.convolution,
        }
