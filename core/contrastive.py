"""Contrastive learning with graded positives (GENNAPE, Eq. 1).

Every graph of a batch is seen twice under different dropout. Where a usual contrastive
loss has one positive, here every other view counts, by how close its graph's spectrum
is: ``alpha = softmax(-distance / sharpness)``. The paper states no sharpness; with 1 the
weights are nearly uniform over a NAS-Bench-101 batch, so it is a setting.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import InvalidInputError


def positive_weights(
    signatures: Float[Tensor, "graphs k"], *, sharpness: float, views: int = 2
) -> Float[Tensor, "all_views all_views"]:
    """Weights ``alpha`` of every view for every other view; rows sum to 1, the diagonal is 0.

    Args:
        signatures: Spectral signature of each graph.
        sharpness: Temperature of the distances; smaller is closer to nearest-only.
        views: Views of each graph, laid out view by view.
    """
    if sharpness <= 0:
        raise InvalidInputError(f"sharpness {sharpness}: give a positive number")
    distance = torch.cdist(signatures, signatures).repeat(views, views)
    distance.fill_diagonal_(torch.inf)
    return F.softmax(-distance / sharpness, dim=1)


def contrastive_loss(
    projections: Float[Tensor, "all_views features"],
    alpha: Float[Tensor, "all_views all_views"],
    *,
    temperature: float,
) -> Float[Tensor, ""]:
    """Eq. 1, averaged over the views.

    ``-sum_r alpha_ir log( exp(sim(z_i, z_r)) / sum_{t != i} exp(sim(z_i, z_t)) )`` with
    ``sim`` the cosine over ``temperature``.

    Args:
        projections: Projected view of each graph, not yet normalised.
        alpha: :func:`positive_weights` of the same views in the same order.
        temperature: Temperature of the similarities.
    """
    z = F.normalize(projections, dim=1)
    similarity = z @ z.T / temperature
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = similarity.masked_fill(own, -torch.inf)
    log_share = F.log_softmax(similarity, dim=1).masked_fill(own, 0.0)
    return -(alpha * log_share).sum(dim=1).mean()


class ContrastiveHeads(nn.Module):
    """What sits on the encoder during pretraining only: projection and FLOPs head."""

    def __init__(self, features: int, *, projection: int = 32) -> None:
        """Make the heads.

        Args:
            features: Length of an embedding.
            projection: Length of its projection (not stated by the paper).
        """
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, projection)
        )
        self.flops = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, 1))

    def forward(
        self, embeddings: Float[Tensor, "n features"]
    ) -> tuple[Float[Tensor, "n projection"], Float[Tensor, "n"]]:
        """Projections and predicted (standardised, logarithmic) FLOPs."""
        return self.projection(embeddings), self.flops(embeddings)[:, 0]
