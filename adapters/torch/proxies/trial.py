"""One network and one batch: what every proxy is computed from, on private copies."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import torch
import torch.nn.functional as F
from gennape_plugin.adapters.torch.copying import ModuleCopier
from gennape_plugin.adapters.torch.isolation import isolated
from gennape_plugin.core.training import seeded
from jaxtyping import Float, Int
from torch import Tensor, nn

from .checks import Refusal, check_output, check_targets
from .observer import Observer

NO_GRADIENT: Final = (
    "no gradient leads back from its output: forward detaches it, or has no layers with weights"
)

Weight = tuple[nn.Parameter, Tensor]
"""A weight and the gradient with respect to it, of the same shape."""


class Trial:
    """A network to be scored on a batch.

    Every pass runs on a fresh copy, so what forward does to its own state meets no other
    proxy. The copy is in evaluation mode (no dropout, no auxiliary heads) except for its
    batch norms, which use the statistics of the batch as in the published proxies.

    Attributes:
        module: The network; only read.
        input_shape: Shape of one sample.
        inputs: The batch.
        device: Where passes run.
    """

    def __init__(
        self,
        module: nn.Module,
        input_shape: tuple[int, ...],
        *,
        inputs: Tensor | None,
        targets: Tensor | None,
        batch_size: int,
        classes: int | None,
        seed: int,
        device: torch.device,
    ) -> None:
        self.module = module
        self.input_shape = input_shape
        self.device = device
        self._classes = classes
        self._seed = seed
        self._given = inputs, targets
        self._batch_size = batch_size

    @property
    def example(self) -> Tensor | None:
        """The batch that the caller gave, if any."""
        return self._given[0]

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self._batch_size if self.example is None else len(self.example)

    @cached_property
    def inputs(self) -> Tensor:
        """The caller's batch, or independent draws from N(0, 1)."""
        if self.example is not None:
            return self.example.detach().to(self.device, copy=True)
        # Drawn on the CPU, so that the batch is the same on every device.
        noise = torch.randn(
            (self.batch, *self.input_shape),
            generator=torch.Generator().manual_seed(self._seed),
            dtype=torch.float32,
            device="cpu",
        )
        floating = (p.dtype for p in self.module.parameters() if p.dtype.is_floating_point)
        return noise.to(self.device, next(floating, torch.float32))

    def targets(self, classes: int) -> Int[Tensor, " batch"]:
        """The caller's targets, or uniform draws."""
        given = self._given[1]
        if given is not None:
            return check_targets(given, self.batch, classes).to(self.device)
        generator = torch.Generator().manual_seed(self._seed + 1)
        return torch.randint(
            classes, (self.batch,), generator=generator, dtype=torch.long, device="cpu"
        ).to(self.device)

    @contextmanager
    def copied(self, dtype: torch.dtype | None = None) -> Iterator[nn.Module]:
        """A copy of the network with gradients on, in a world that is put back afterwards.

        Args:
            dtype: Floating-point type of the copy, and the default inside; as it is if not
                given.
        """

        def convert(tensor: Tensor) -> Tensor:
            to = dtype if dtype is not None and tensor.dtype.is_floating_point else tensor.dtype
            return tensor.detach().to(self.device, to, copy=True)

        with (
            isolated(),
            seeded(self._seed),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
        ):
            module = ModuleCopier(convert, _own_forward).module(self.module)
            for parameter in module.parameters():
                parameter.requires_grad_(parameter.dtype.is_floating_point)
            if dtype is not None:
                torch.set_default_dtype(dtype)
            yield module

    def forward(self, module: nn.Module, inputs: Tensor, observer: Observer) -> Tensor:
        """The output of a copy under an observer: ``(batch, classes)``, checked."""
        with observer:
            output: Any = module(inputs.clone())  # forward may change its input in place
        return check_output(output, len(inputs), self._classes)

    def loss(self, module: nn.Module, observer: Observer) -> Float[Tensor, ""]:
        """Mean cross-entropy of a copy on the batch."""
        output = self.forward(module, self.inputs, observer)
        classes = output.shape[1]
        if classes < 2:
            raise Refusal("forward returns one class: a cross-entropy needs at least two")
        if not output.requires_grad:
            raise Refusal(NO_GRADIENT)
        wide = output.to(torch.promote_types(output.dtype, torch.float32))
        return F.cross_entropy(wide, self.targets(classes))

    @cached_property
    def weight_gradients(self) -> list[Weight]:
        """Weights with the gradient of the loss; what the loss does not reach has zeros."""
        with self.copied() as module:
            weights = weights_of(module)
            loss = self.loss(module, Observer(self.batch))
            return gradients_of(loss, weights)


def weights_of(module: nn.Module) -> list[nn.Parameter]:
    """Kernels and matrices: the floating-point parameters of two or more axes."""
    weights = [p for p in module.parameters() if p.ndim >= 2 and p.dtype.is_floating_point]
    if not weights:
        raise Refusal("it has no weights (parameters of two or more axes)")
    return weights


def gradients_of(value: Float[Tensor, ""], weights: list[nn.Parameter]) -> list[Weight]:
    """Every weight with the gradient of a value; zeros where none leads to it."""
    gradients = torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True)
    return list(zip(weights, gradients, strict=True))


def _own_forward(module: nn.Module, path: str) -> None:
    """Leaves a copied module's forward alone."""
