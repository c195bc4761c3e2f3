"""Dropout whose masks are cheap to draw on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Dropout(nn.Module):
    """Drops units in training, and scales up the others.

    Masks come four to a random 64-bit word: drawn one by one they are a third of a pretraining
    step on a CPU. The rate is met to 1/65536.
    """

    def __init__(self, rate: float) -> None:
        """Make the layer.

        Args:
            rate: Probability of dropping a unit, 0 up to but not including 1.
        """
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """``x`` with a fresh mask; outside training, ``x``."""
        if not self.training or self.rate == 0:
            return x
        words = torch.empty(x.numel() // 4 + 1, dtype=torch.int64, device=x.device)
        words.random_(-(1 << 63), None)
        draws = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = draws >= round(self.rate * 65536) - 32768
        return x * kept.to(x.dtype).mul_(1 / (1 - self.rate))
