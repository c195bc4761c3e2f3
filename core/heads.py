"""Regression heads: one multi-layer perceptron, or several weighed by memberships.

GENNAPE's MLP ensemble (section "Fuzzy clustering") has a head for each cluster of the
embedding space; the prediction of a graph is its membership-weighted sum.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import InvalidInputError


class HeadEnsemble(nn.Module):
    """``y_i = sum_j u_ij f_j(h_i)`` with ``f_j`` perceptrons of equal shape.

    All heads run as one batched product. A single head is the plain perceptron.
    """

    def __init__(
        self, features: int, *, heads: int = 1, hidden: int = 256, layers: int = 4
    ) -> None:
        """Make the heads with PyTorch's own linear initialisation.

        Args:
            features: Length of the input.
            heads: Number of heads, one for each cluster.
            hidden: Width of the hidden layers (paper: 256).
            layers: Number of hidden layers with ReLU (paper: 4).
        """
        super().__init__()
        if min(features, heads, hidden, layers) < 1:
            raise InvalidInputError(
                f"features {features}, heads {heads}, hidden {hidden}, layers {layers}: "
                "all must be at least 1"
            )
        sizes = [features, *[hidden] * layers, 1]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for before, after in pairwise(sizes):
            bound = 1 / math.sqrt(before)
            self.weights.append(torch.empty(heads, before, after).uniform_(-bound, bound))
            self.biases.append(torch.empty(heads, 1, after).uniform_(-bound, bound))

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.weights[0].shape[0])

    def forward(
        self, h: Float[Tensor, "graphs features"], memberships: Float[Tensor, "graphs heads"] | None
    ) -> Float[Tensor, "graphs"]:
        """Predictions in the target's transformed units.

        Args:
            h: Embeddings.
            memberships: Weight of each head for each graph; ``None`` for a single head.
        """
        x = h.expand(self.heads, -1, -1)
        last = len(self.weights) - 1
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if depth < last:
                x = torch.relu(x)
        out = x[:, :, 0].T
        if memberships is None:
            if self.heads != 1:
                raise InvalidInputError(f"{self.heads} heads need memberships to weigh them")
            return out[:, 0]
        return (out * memberships).sum(dim=1)
