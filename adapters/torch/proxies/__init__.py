"""Zero-cost proxies: scores of an untrained network from one batch, as baselines.

``zero_cost(module, (3, 32, 32), names=["synflow", "nwot"])`` gives one number a proxy; for
all of them higher predicts a more accurate network.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from gennape_plugin.adapters.torch.capture import capture_module
from gennape_plugin.adapters.torch.copying import unwrapped
from gennape_plugin.core.errors import GennapeError, InvalidInputError
from gennape_plugin.core.training import usable_device
from torch import Tensor, nn

from . import checks, formulas
from .trial import Trial

__all__ = ["PROXIES", "Proxy", "zero_cost"]


@dataclass(frozen=True)
class Proxy:
    """A zero-cost proxy; higher is better for all of them.

    Attributes:
        title: What it measures, in a few words.
        unit: Its unit.
        source: Where it was published.
        needs: ``"data"`` if it looks at a batch, ``"gradients"`` if it runs backward.
        compute: The formula; its docstring has the details.
        least_batch: Number of samples below which it is not defined.
    """

    title: str
    unit: str
    source: str
    needs: frozenset[str]
    compute: Callable[[Trial], float]
    least_batch: int = 1


def _flops(trial: Trial) -> float:
    """``2 x multiply-adds`` of one sample, by the computation graph."""
    if trial.example is not None:
        return float(capture_module(trial.module, inputs=trial.example[:1]).flops)
    return float(capture_module(trial.module, trial.input_shape).flops)


_BOTH: Final = frozenset({"data", "gradients"})
_NONE: Final[frozenset[str]] = frozenset()

PROXIES: Final[Mapping[str, Proxy]] = MappingProxyType(
    {
        "synflow": Proxy(
            "synaptic flow through absolute weights",
            "outputs",
            "Tanaka et al., NeurIPS 2020; Abdelfattah et al., ICLR 2021",
            frozenset({"gradients"}),
            formulas.synflow,
        ),
        "jacov": Proxy(
            "how little the samples' input gradients correlate",
            "none",
            "Mellor et al., arXiv 2006.04647v1; Abdelfattah et al., ICLR 2021",
            _BOTH,
            formulas.jacov,
            least_batch=2,
        ),
        "fisher": Proxy(
            "Fisher information of the channels",
            "nats^2",
            "Turner et al., ICLR 2020; Abdelfattah et al., ICLR 2021",
            _BOTH,
            formulas.fisher,
        ),
        "snip": Proxy(
            "sensitivity of the loss to removing weights",
            "nats",
            "Lee et al., ICLR 2019; Abdelfattah et al., ICLR 2021",
            _BOTH,
            formulas.snip,
        ),
        "nwot": Proxy(
            "how differently the samples switch the ReLUs",
            "nats",
            "Mellor et al., ICML 2021",
            frozenset({"data"}),
            formulas.nwot,
            least_batch=2,
        ),
        "grad_norm": Proxy(
            "norms of the weights' gradients",
            "nats per unit of weight",
            "Abdelfattah et al., ICLR 2021",
            _BOTH,
            formulas.grad_norm,
        ),
        "params": Proxy(
            "number of parameters",
            "parameters",
            "a count",
            _NONE,
            formulas.params,
        ),
        "flops": Proxy(
            "floating-point operations of one sample",
            "2 x multiply-adds",
            "a count",
            _NONE,
            _flops,
        ),
    }
)


def zero_cost(
    module: nn.Module,
    input_shape: tuple[int, ...],
    *,
    names: Iterable[str] | None = None,
    batch_size: int = 64,
    classes: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    inputs: Tensor | None = None,
    targets: Tensor | None = None,
) -> dict[str, float]:
    """Score a network with zero-cost proxies.

    The module is not changed: passes run on copies with the weights as they are (their
    initialisation is the caller's), and the global random state is put back. The copies are
    in evaluation mode, but batch norms use the statistics of the batch.

    Args:
        module: A classifier: ``(batch, *input_shape)`` to logits ``(batch, classes)``.
        input_shape: Shape of one sample, such as ``(3, 32, 32)``.
        names: Keys of :data:`PROXIES`; all of them by default.
        batch_size: Samples of the random batch. The values of jacov and nwot depend on it:
            compare networks at one batch size only.
        classes: Required number of classes; whatever forward returns by default.
        seed: Of the random batch and targets.
        device: Where to run.
        inputs: A batch to use instead of draws from N(0, 1).
        targets: Classes (``torch.long``) to use instead of uniform draws.

    Returns:
        The scores, in the order of ``names``; never nan. ``-inf`` (jacov, nwot) means that
        the network does not tell samples apart, ``inf`` (synflow) an overflow in float64.

    Raises:
        InvalidInputError: if an argument is not of these forms, if a proxy is not defined
            for the network, or if running it fails.
        CaptureError: if the computation graph that ``flops`` needs cannot be captured.
    """
    chosen = _chosen(names)
    module = unwrapped(checks.check_network(module))
    shape = checks.check_shape(input_shape)
    checks.check_integer("batch_size", batch_size, 1)
    checks.check_integer("seed", seed, 0)
    if classes is not None:
        checks.check_integer("classes", classes, 1)
    if inputs is not None:
        checks.check_inputs(inputs, shape)
    if any(proxy.needs for proxy in chosen.values()):
        checks.check_weights(module)
    # Tensors made in inference mode could never have gradients.
    with torch.inference_mode(False):
        trial = Trial(
            module,
            shape,
            inputs=inputs,
            targets=targets,
            batch_size=batch_size,
            classes=classes,
            seed=seed,
            device=usable_device(device),
        )
        return {name: _score(name, proxy, trial) for name, proxy in chosen.items()}


def _chosen(names: Iterable[str] | None) -> dict[str, Proxy]:
    if names is None:
        return dict(PROXIES)
    listed = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in listed if name not in PROXIES]
    if unknown:
        raise InvalidInputError(f"unknown proxies {unknown}: allowed are {list(PROXIES)}")
    return {name: PROXIES[name] for name in listed}


def _score(name: str, proxy: Proxy, trial: Trial) -> float:
    title = type(trial.module).__name__
    if trial.batch < proxy.least_batch:
        raise InvalidInputError(
            f"{name} compares samples: a batch of {trial.batch} is too small, use at least "
            f"{proxy.least_batch}"
        )
    try:
        value = proxy.compute(trial)
    except checks.Refusal as refusal:
        raise InvalidInputError(f"{name} of {title}: {refusal}") from None
    except GennapeError:
        raise
    except Exception as error:  # whatever the network's own code raises
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InvalidInputError(
            f"{name} of {title}: running it on samples of shape {trial.input_shape} failed "
            f"({type(error).__name__}: {reason:.300}); check input_shape, or give inputs=..."
        ) from error
    if math.isnan(value):
        raise InvalidInputError(
            f"{name} of {title} is not a number: its outputs or gradients overflow on this batch; "
            "initialise the weights to smaller values"
        )
    return value
