"""What every training loop here shares: seeds, shuffling, checkpoints, progress.

A loop never touches the global random state (it runs inside :func:`seeded`), and every
epoch is seeded by its number, so a resumed run repeats exactly what an uninterrupted one
would have done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from .errors import InvalidInputError
from .files import replacing

#: Receives ``(stage, epoch, epochs, losses)`` after every epoch.
Progress = Callable[[str, int, int, dict[str, float]], None]


def silent(stage: str, epoch: int, epochs: int, losses: dict[str, float]) -> None:
    """Report nothing."""


def usable_device(name: torch.device | str) -> torch.device:
    """The device called ``name``.

    Raises:
        InvalidInputError: for a device that this machine does not have.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(
            f"device {str(name)!r} cannot be used here ({reason}): choose 'cpu' or an available "
            "device"
        ) from None
    return device


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Run with a fixed random state; the state before is restored afterwards.

    Args:
        *seed: Non-negative integers that together name the state (a seed and an epoch, say).
    """
    mixed = 0
    for part in seed:
        mixed = (mixed * 1_000_003 + part + 1) % (1 << 63)
    # A GPU that nobody has used yet is left asleep: its state is not read, nor its seed set.
    used = torch.cuda.is_initialized()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if used else []):
        torch.default_generator.manual_seed(mixed)
        if used:
            torch.cuda.manual_seed_all(mixed)
        yield


def minibatches(
    count: int, size: int, *, drop_last: bool = False, orders: int | None = None
) -> Iterator[Int[Tensor, "n *orders"]]:
    """Random orders of ``range(count)`` in pieces of ``size``, under the current seed.

    Args:
        count: How many examples.
        size: Length of a piece.
        drop_last: Leave out a last piece that is shorter, unless it is the only one.
        orders: Number of orders, side by side as columns; one order, flat, where left out.
    """
    if count < 1 or size < 1:
        raise InvalidInputError(f"{count} examples in batches of {size}: both must be at least 1")
    if orders is None:
        order = torch.randperm(count)
    else:
        order = torch.stack([torch.randperm(count) for _ in range(orders)], dim=1)
    for piece in order.split(size):
        if not drop_last or len(piece) == size or count < size:
            yield piece


@dataclass
class Checkpoint:
    """Saves the state of one training loop after every epoch, and takes it up again.

    Attributes:
        path: File to write; ``None`` keeps nothing.
        settings: Anything printable that must be equal for a checkpoint to be resumed.
    """

    path: Path | None
    settings: str

    def save(self, epoch: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after ``epoch`` epochs, never leaving a half-written file."""
        if self.path is None:
            return
        state: dict[str, Any] = {
            "settings": self.settings,
            "epoch": epoch,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        with replacing(self.path) as partial:
            torch.save(state, partial)

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Load the last state, if there is one; returns the number of finished epochs.

        Raises:
            InvalidInputError: if the file belongs to other settings.
        """
        if self.path is None or not self.path.exists():
            return 0
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            settings = state["settings"]
        except Exception as error:  # torch has no error of its own for a damaged file
            raise InvalidInputError(
                f"{self.path} is not a readable checkpoint ({type(error).__name__}): delete it to "
                "start again"
            ) from error
        if settings != self.settings:
            raise InvalidInputError(
                f"{self.path} was written under other settings: choose another output folder, "
                "or delete the checkpoint to start again"
            )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epoch"])
