"""Contrastive pretraining of the encoder: no labels, only graphs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .batch import GraphStore
from .contrastive import ContrastiveHeads, contrastive_loss, positive_weights
from .encoder import CLEncoder, EncoderConfig
from .errors import InvalidInputError
from .training import Checkpoint, Progress, minibatches, seeded, silent


@dataclass(frozen=True)
class ContrastiveConfig:
    """Settings of contrastive pretraining. Those the paper leaves open say so.

    Attributes:
        epochs: Passes over the graphs (open).
        batch_size: Graphs a batch, each seen twice (paper: 128).
        learning_rate: Adam's (open).
        eigenvalues: Length of a spectral signature (open).
        sharpness: Temperature of the spectral distances (open; see :mod:`.contrastive`).
        temperature: Temperature of the similarities (open).
        projection: Length of a projection (open).
        flops_weight: Weight of the FLOPs head's squared error (open).
        clip: Largest gradient norm (published k-GNN code: 5).
    """

    epochs: int = 24
    batch_size: int = 128
    learning_rate: float = 1e-3
    eigenvalues: int = 21
    sharpness: float = 0.05
    temperature: float = 0.1
    projection: int = 32
    flops_weight: float = 1.0
    clip: float = 5.0

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise InvalidInputError(f"{self.epochs} contrastive epochs: give 0 or more")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class _Pretraining(nn.Module):
    """Encoder and pretraining heads as one module, so that one checkpoint holds both."""

    def __init__(self, encoder: CLEncoder, projection: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = ContrastiveHeads(encoder.size, projection=projection)


def pretrain_encoder(
    store: GraphStore,
    signatures: Float[Tensor, "graphs k"],
    *,
    encoder: EncoderConfig | None = None,
    config: ContrastiveConfig | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> CLEncoder:
    """Train an encoder on graphs alone.

    Args:
        store: The graphs.
        signatures: Their spectra, :func:`~.spectra.spectra`.
        encoder: Sizes of the encoder.
        config: Settings of the training.
        seed: Fixes initial weights, order and dropout.
        checkpoint: File to keep the state in and to resume from.
        device: Where to train.
        progress: Called after every epoch.

    Returns:
        The encoder, in evaluation mode, on the CPU.
    """
    config = config or ContrastiveConfig()
    encoder = encoder or EncoderConfig()
    if len(store) != len(signatures):
        raise InvalidInputError(
            f"{len(store)} graphs and {len(signatures)} signatures: one is needed for each graph"
        )
    with seeded(seed):
        model = _Pretraining(CLEncoder(encoder), config.projection).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    saved = Checkpoint(checkpoint, repr((encoder, config, seed, len(store))))
    done = saved.resume(model, optimizer)
    logged = torch.log10(store.gflops + 1)
    size = (logged - logged.mean()) / logged.std(correction=0).clamp(min=1e-6)
    model.train()
    for epoch in range(done, config.epochs):
        totals = {"contrastive": 0.0, "flops": 0.0}
        seen = 0
        with seeded(seed, epoch + 1):
            for rows in minibatches(len(store), config.batch_size, drop_last=True):
                batch = store.batch(rows.tolist()).to(device)
                views = model.encoder.views(batch, 2)
                projections, flops = model.heads(views.flatten(0, 1))
                alpha = positive_weights(signatures[rows].to(device), sharpness=config.sharpness)
                contrastive = contrastive_loss(projections, alpha, temperature=config.temperature)
                regression = F.mse_loss(flops, size[rows].to(device).repeat(2))
                loss = contrastive + config.flops_weight * regression
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
                optimizer.step()
                totals["contrastive"] += float(contrastive.detach()) * len(rows)
                totals["flops"] += float(regression.detach()) * len(rows)
                seen += len(rows)
        saved.save(epoch + 1, model, optimizer)
        progress("contrastive", epoch + 1, config.epochs, {k: v / seen for k, v in totals.items()})
    return model.encoder.eval().cpu()


@torch.no_grad()
def embed(
    encoder: CLEncoder,
    store: GraphStore,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "graphs features"]:
    """Embeddings of all graphs of a store, without dropout, on the CPU."""
    was_training = encoder.training
    encoder = encoder.eval().to(device)
    pieces = [encoder(batch.to(device)).cpu() for batch in store.batches(batch_size)]
    encoder.train(was_training).cpu()
    return torch.cat(pieces)
