"""The space that heads and clusters live in: standardised embeddings, and their clusters."""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import InvalidInputError
from .fcm import FuzzyCMeans, memberships

#: Principal components that memberships and distances are computed on (paper: 32).
COMPONENTS: Final = 32


class EmbeddingSpace(nn.Module):
    """Embeddings with FLOPs, each feature standardised, and how far out a graph lies.

    Whether the paper standardises embeddings is not stated; without it heads train far
    more slowly, since means over hundreds of nodes differ little between graphs.
    """

    mean: Tensor
    std: Tensor
    axes: Tensor
    radius: Tensor

    def __init__(self, features: int, components: int = COMPONENTS) -> None:
        """Make a space that changes nothing and calls every graph near.

        Args:
            features: Length of an embedding.
            components: Principal components that distances are computed on.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(features + 1))
        self.register_buffer("std", torch.ones(features + 1))
        self.register_buffer("axes", torch.zeros(components, features + 1))
        self.register_buffer("radius", torch.ones(()))

    def fit(
        self,
        h: Float[Tensor, "graphs features"],
        gflops: Float[Tensor, "graphs"],
        *,
        within: float = 0.99,
    ) -> None:
        """Take means, deviations, principal axes and the usual radius from training graphs.

        Args:
            h: Their embeddings.
            gflops: Their FLOPs in units of 1e9.
            within: Share of them that the radius, distance 1, holds.
        """
        joined = self._joined(h, gflops)
        self.mean.copy_(joined.mean(dim=0))
        self.std.copy_(joined.std(dim=0, correction=0).clamp(min=1e-6))
        x = self(h, gflops).double()
        variances, vectors = torch.linalg.eigh(x.T @ x / len(x))
        count = len(self.axes)
        scale = variances.flip(0)[:count].clamp(min=1e-6).sqrt()
        self.axes.copy_(vectors.flip(1)[:, :count].T / scale[:, None])
        lengths = torch.linalg.vector_norm(x.float() @ self.axes.T, dim=1)
        self.radius.copy_(torch.quantile(lengths, within).clamp(min=1e-6))

    def forward(
        self, h: Float[Tensor, "graphs features"], gflops: Float[Tensor, "graphs"]
    ) -> Float[Tensor, "graphs features_1"]:
        """Standardised embeddings, the last feature being ``log10(F + 1)``."""
        return (self._joined(h, gflops) - self.mean) / self.std

    def distance(self, x: Float[Tensor, "graphs features_1"]) -> Float[Tensor, "graphs"]:
        """Mahalanobis distance from the training graphs, over the principal components.

        In units of the distance that nearly all training graphs stay below (``within`` of
        :meth:`fit`): up to 1 a graph is like those, beyond it is not.

        Args:
            x: Standardised embeddings.
        """
        length: Tensor = torch.linalg.vector_norm(x @ self.axes.T, dim=1)
        return length / self.radius

    @staticmethod
    def _joined(h: Tensor, gflops: Tensor) -> Tensor:
        return torch.cat([h, torch.log10(gflops + 1)[:, None]], dim=1)


class Partition(nn.Module):
    """Fuzzy clusters of the embedding space: principal components, then centroids."""

    components: Tensor
    centroids: Tensor

    def __init__(self, features: int, clusters: int, fuzzifier: float) -> None:
        super().__init__()
        if clusters < 1 or not 1 < fuzzifier < torch.inf:
            raise InvalidInputError(
                f"{clusters} clusters with fuzzifier {fuzzifier}: give at least 1 cluster and a "
                "finite fuzzifier above 1"
            )
        self.fuzzifier = fuzzifier
        self.register_buffer("components", torch.zeros(COMPONENTS, features))
        self.register_buffer("centroids", torch.zeros(clusters, COMPONENTS))

    @classmethod
    def fit(
        cls, x: Float[Tensor, "graphs features"], clusters: int, fuzzifier: float, *, seed: int
    ) -> "Partition":
        """Find components and clusters of standardised training embeddings.

        Raises:
            InvalidInputError: for fewer graphs than components.
        """
        if min(x.shape) < COMPONENTS:
            raise InvalidInputError(
                f"{x.shape[0]} graphs of {x.shape[1]} features: at least {COMPONENTS} of both "
                "are needed to find the principal components"
            )
        partition = cls(x.shape[1], clusters, fuzzifier)
        _, vectors = torch.linalg.eigh(x.double().T @ x.double())
        # The sign of a component is arbitrary; its largest entry is made positive.
        chosen = vectors.flip(1)[:, :COMPONENTS].T
        sign = chosen.gather(1, chosen.abs().argmax(1, keepdim=True)).sign()
        partition.components.copy_(chosen * sign)
        found = FuzzyCMeans.fit(
            x @ partition.components.T, clusters=clusters, fuzzifier=fuzzifier, seed=seed
        )
        partition.centroids.copy_(found.centroids)
        return partition

    def forward(self, x: Float[Tensor, "graphs features"]) -> Float[Tensor, "graphs clusters"]:
        """Memberships of standardised embeddings; rows sum to 1."""
        return memberships(x @ self.components.T, self.centroids, self.fuzzifier)

    def describe(self) -> dict[str, Any]:
        """What :func:`.member_of` needs besides the tensors."""
        return {"clusters": len(self.centroids), "fuzzifier": self.fuzzifier}
