"""Regression heads: one multi-layer perceptron, or several weighed by memberships.

GENNAPE's MLP ensemble (section "Fuzzy clustering") has a head for each cluster of the
embedding space; the prediction of a graph is its membership-weighted sum.
"""

import math
from collections.abc import Iterable
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
        self,
        features: int,
        *,
        heads: int = 1,
        hidden: int = 256,
        layers: int = 4,
        outputs: int = 1,
    ) -> None:
        """Make the heads with PyTorch's own linear initialisation.

        Args:
            features: Length of the input.
            heads: Number of heads, one for each cluster.
            hidden: Width of the hidden layers (paper: 256).
            layers: Number of hidden layers with ReLU (paper: 4).
            outputs: Length of what a head gives (regressors: 1, which :meth:`forward` reads).
        """
        super().__init__()
        if min(features, heads, hidden, layers, outputs) < 1:
            raise InvalidInputError(
                f"features {features}, heads {heads}, hidden {hidden}, layers {layers}, outputs "
                f"{outputs}: all must be at least 1"
            )
        sizes = [features, *[hidden] * layers, outputs]
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
        out = self._each(h, memberships)[:, :, 0].T
        return out[:, 0] if memberships is None else (out * memberships).sum(dim=1)

    def vectors(
        self, h: Float[Tensor, "graphs features"], memberships: Float[Tensor, "graphs heads"] | None
    ) -> Float[Tensor, "graphs outputs"]:
        """All outputs, membership-weighted: a vector for each graph.

        Args:
            h: Embeddings.
            memberships: Weight of each head for each graph; ``None`` for a single head.
        """
        each = self._each(h, memberships)
        return each[0] if memberships is None else (each * memberships.T[:, :, None]).sum(dim=0)

    def _each(self, h: Tensor, memberships: Tensor | None) -> Float[Tensor, "heads graphs outputs"]:
        if memberships is None and self.heads != 1:
            raise InvalidInputError(f"{self.heads} heads need memberships to weigh them")
        return side_by_side(h.expand(self.heads, -1, -1), self.weights, self.biases)


def side_by_side(
    x: Float[Tensor, "networks rows inputs"], weights: Iterable[Tensor], biases: Iterable[Tensor]
) -> Float[Tensor, "networks rows outputs"]:
    """Perceptrons of one shape with ReLU between their layers, each on rows of its own.

    Args:
        x: Inputs of each network.
        weights: For each layer, ``(networks, before, after)``.
        biases: For each layer, ``(networks, 1, after)``.
    """
    for depth, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = torch.baddbmm(bias, torch.relu(x) if depth else x, weight)
    return x
