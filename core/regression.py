"""Supervised training: heads on frozen embeddings, and whole graph networks.

Both minimise the squared error of the transformed target and keep the epoch with the
best rank correlation on a validation set.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .batch import GraphStore
from .heads import HeadEnsemble
from .metrics import srcc
from .training import Progress, minibatches, seeded, silent

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True)
class RegressionConfig:
    """Settings of supervised training.

    Attributes:
        epochs: Passes over the training set (paper: 40).
        batch_size: Graphs a batch (paper: 32).
        learning_rate: Adam's at the start; it falls to 0 along a cosine where ``cosine``.
        cosine: Whether the learning rate falls (published k-GNN code: constant).
        hidden: Width of the heads (paper: 256).
        layers: Hidden layers of the heads (paper: 4).
        clip: Largest gradient norm (published k-GNN code: 5).
    """

    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 1e-3
    cosine: bool = True
    hidden: int = 256
    layers: int = 4
    clip: float = 5.0

    def adam(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of a model's parameters."""
        return torch.optim.Adam(model.parameters(), lr=self.learning_rate, fused=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Fitted:
    """Outcome of one supervised training.

    Attributes:
        epoch: The epoch that was kept, from 1.
        validation_srcc: Its rank correlation with accuracy on the validation set.
    """

    epoch: int
    validation_srcc: float


@runtime_checkable
class Schedule(Protocol):
    """What :func:`train_best` reads of its settings."""

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""

    @property
    def batch_size(self) -> int:
        """Rows a batch."""

    @property
    def cosine(self) -> bool:
        """Whether the learning rate falls to 0 along a cosine."""


def train_best(
    model: nn.Module,
    loss_of: Callable[[Tensor], Tensor],
    count: int,
    validate: Callable[[], Tensor],
    validation_accuracy: Float[Tensor, "validation"],
    config: Schedule,
    optimizer: torch.optim.Optimizer,
    *,
    loss_name: str,
    seed: int,
    stage: str,
    progress: Progress,
    clip: float = math.inf,
    orders: int | None = None,
) -> Fitted:
    """Minimise a loss; leave ``model`` at its best epoch on the validation set.

    Args:
        model: What is trained.
        loss_of: Mean loss of some training rows; with ``orders``, a column for each.
        count: Number of training rows.
        validate: Scores of the validation graphs.
        validation_accuracy: What they should rank like.
        config: Settings of the training.
        optimizer: Of the model's parameters.
        loss_name: Name of the loss shown by ``progress``.
        seed: Fixes order, and what ``loss_of`` draws.
        stage: Name shown by ``progress``.
        progress: Called after every epoch.
        clip: Largest gradient norm.
        orders: How many random orders of the rows run side by side; one, without a column of
            its own, where left out.
    """
    steps = config.epochs * -(-count // config.batch_size)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    best, best_state = Fitted(0, -2.0), copy.deepcopy(model.state_dict())
    for epoch in range(1, config.epochs + 1):
        model.train()
        total = 0.0
        with seeded(seed, epoch):
            for rows in minibatches(count, config.batch_size, orders=orders):
                loss = loss_of(rows)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if clip < math.inf:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                if config.cosine:
                    decay.step()
                total += float(loss.detach()) * len(rows)
        model.eval()
        with torch.no_grad():
            rank = srcc(validation_accuracy, validate())
        # No rank exists where one side is constant; any epoch is better than none.
        if rank > best.validation_srcc or best.epoch == 0 or math.isnan(best.validation_srcc):
            best, best_state = Fitted(epoch, rank), copy.deepcopy(model.state_dict())
        progress(stage, epoch, config.epochs, {loss_name: total / count, "srcc": rank})
    model.load_state_dict(best_state)
    model.eval()
    return best


def fit_heads(
    h: Float[Tensor, "graphs features"],
    memberships: Float[Tensor, "graphs heads"] | None,
    target: Float[Tensor, "graphs"],
    validation: tuple[
        Float[Tensor, "validation features"],
        Float[Tensor, "validation heads"] | None,
        Float[Tensor, "validation"],
    ],
    *,
    config: RegressionConfig | None = None,
    decode: Callable[[Tensor], Tensor] = lambda y: y,
    seed: int = 0,
    stage: str = "heads",
    progress: Progress = silent,
) -> tuple[HeadEnsemble, Fitted]:
    """Train heads on frozen inputs.

    Args:
        h: Embeddings (with FLOPs) of the training graphs.
        memberships: Their memberships; ``None`` for one plain head.
        target: Transformed accuracies.
        validation: Embeddings, memberships and accuracies that choose the epoch.
        config: Settings of the training.
        decode: Turns predictions for the validation set into accuracies; it matters where the
            transform's order of the graphs is not that of their accuracies.
        seed: Fixes initial weights and order.
        stage: Name shown by ``progress``.
        progress: Called after every epoch.
    """
    config = config or RegressionConfig()
    count = 1 if memberships is None else memberships.shape[1]
    with seeded(seed):
        model = HeadEnsemble(h.shape[1], heads=count, hidden=config.hidden, layers=config.layers)

    def loss_of(rows: Tensor) -> Tensor:
        found = model(h[rows], None if memberships is None else memberships[rows])
        return F.mse_loss(found, target[rows])

    fitted = train_best(
        model,
        loss_of,
        len(target),
        lambda: decode(model(validation[0], validation[1])),
        validation[2],
        config,
        config.adam(model),
        loss_name="mse",
        seed=seed,
        stage=stage,
        progress=progress,
        clip=config.clip,
    )
    return model, fitted


def fit_graph_network(
    make: Callable[[], _Network],
    store: GraphStore,
    target: Float[Tensor, "graphs"],
    validation: tuple[GraphStore, Float[Tensor, "validation"]],
    *,
    config: RegressionConfig,
    seed: int = 0,
    stage: str = "graphs",
    progress: Progress = silent,
) -> tuple[_Network, Fitted]:
    """Train a graph network end to end.

    Args:
        make: Makes the network, whose output is in the target's units.
        store: Training graphs.
        target: Their transformed accuracies.
        validation: Graphs and accuracies that choose the epoch (the target must rank alike).
        config: Settings of the training.
        seed: Fixes initial weights, order and dropout.
        stage: Name shown by ``progress``.
        progress: Called after every epoch.
    """
    with seeded(seed):
        model = make()
    fitted = train_best(
        model,
        lambda rows: F.mse_loss(model(store.batch(rows.tolist())), target[rows]),
        len(target),
        lambda: predict_graphs(model, validation[0]),
        validation[1],
        config,
        config.adam(model),
        loss_name="mse",
        seed=seed,
        stage=stage,
        progress=progress,
        clip=config.clip,
    )
    return model, fitted


@torch.no_grad()
def predict_graphs(
    model: nn.Module, store: GraphStore, *, batch_size: int = 256
) -> Float[Tensor, "graphs"]:
    """A graph network's outputs for all graphs of a store."""
    model.eval()
    return torch.cat([model(batch) for batch in store.batches(batch_size)])
