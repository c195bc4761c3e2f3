"""The formulas: a trial in, one number out, higher predicts a better network.

Sources: Abdelfattah et al., "Zero-cost proxies for lightweight NAS" (ICLR 2021) for snip,
grad_norm, fisher, jacov and synflow as scores of a whole network; Lee et al., "SNIP" (ICLR
2019); Turner et al., "BlockSwap" (ICLR 2020); Tanaka et al., "Pruning neural networks
without any data by iteratively conserving synaptic flow" (NeurIPS 2020); Mellor et al.,
"Neural architecture search without training" (arXiv 2006.04647: jacov in its first version,
nwot in the ICML 2021 one).
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .checks import Refusal
from .observer import Observer
from .trial import NO_GRADIENT, Trial, gradients_of, weights_of

#: Of the published jacov: keeps the logarithm and the reciprocal of a zero eigenvalue finite.
_JACOV_K = 1e-5


def snip(trial: Trial) -> float:
    """``sum |w * dL/dw|`` over the weights, L the mean cross-entropy; in nats, >= 0."""
    return sum(float((w.detach() * g).abs().sum()) for w, g in trial.weight_gradients)


def grad_norm(trial: Trial) -> float:
    """``sum over weights W of ||dL/dW||_2``: layer norms are added up, as published; >= 0."""
    return sum(float(g.norm()) for _, g in trial.weight_gradients)


def fisher(trial: Trial) -> float:
    """``sum over channels c of 1/2 mean_n (sum_p a * dL/da)^2``, in nats squared; >= 0.

    ``a`` is the result of a convolution or linear layer for sample n, channel c and position
    p. L is the mean over the batch (not the sum), as published.
    """
    scores: list[Tensor] = []
    layers = 0

    def on_layer(result: Tensor, channel_axis: int) -> Tensor:
        nonlocal layers
        layers += 1
        # A copy: the network may go on to change its result in place.
        a = result.detach().clone()
        if not result.requires_grad:  # the graph starts here, as weights have no gradients
            result = result.requires_grad_().clone()
        if not result.requires_grad:  # inside a no_grad of the network's own
            return result
        positions = [axis for axis in range(1, a.ndim) if axis != channel_axis]

        def on_gradient(gradient: Tensor) -> None:
            product = a * gradient
            total = product.sum(positions) if positions else product
            scores.append(total.double().square().mean(0).sum() / 2)

        result.register_hook(on_gradient)
        return result

    with trial.copied() as module:
        module.requires_grad_(False)  # only the layers' gradients are needed
        loss = trial.loss(module, Observer(trial.batch, on_layer=on_layer))
        if not layers:
            raise Refusal("its forward calls no convolution or linear layer")
        loss.backward()
    return float(sum(scores))


def jacov(trial: Trial) -> float:
    """``-sum over eigenvalues v of log(v + k) + 1 / (v + k)``, k = 1e-5; no unit.

    v are the eigenvalues of the samples' correlation matrix (batch x batch), where a sample
    is described by the gradient of the sum of its logits with respect to its input. At best
    (no correlation) it is ``-batch``. Where the gradient of a sample is constant (the output
    does not depend on the input, say) no correlation is defined: ``-inf``.
    """
    inputs = trial.inputs
    if not inputs.dtype.is_floating_point:
        raise Refusal(f"its inputs are {inputs.dtype}: the gradient needs floating-point ones")
    with trial.copied() as module:
        module.requires_grad_(False)  # only the inputs' gradient is needed
        x = inputs.clone().requires_grad_()
        output = trial.forward(module, x, Observer(trial.batch))
        if not output.requires_grad:
            return -math.inf
        (gradient,) = torch.autograd.grad(
            output.sum(), x, allow_unused=True, materialize_grads=True
        )
    return jacobian_score(gradient.flatten(1))


def jacobian_score(jacobian: Float[Tensor, "batch inputs"]) -> float:
    """The formula of :func:`jacov` for one row per sample."""
    rows = jacobian.double()
    rows = rows - rows.mean(1, keepdim=True)
    norms = rows.norm(dim=1, keepdim=True)
    if bool((norms == 0).any()):
        return -math.inf
    rows = rows / norms
    # Rounding makes zeros slightly negative.
    shifted = torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0) + _JACOV_K
    return -float((shifted.log() + 1 / shifted).sum())


def nwot(trial: Trial) -> float:
    """``log det K``, ``K[i, j]`` = units whose on/off state agrees in samples i and j; nats.

    Units are all inputs of ReLU-like activations: ReLU, ReLU6, leaky and parametric ones and
    clamping at zero are on above 0, hardtanh and threshold above their lower bound. ``-inf``
    where K is singular, as for a network that does not tell two samples apart.
    """
    units = 0
    products: list[Tensor] = []

    def on_codes(on: Bool[Tensor, "batch units"]) -> None:
        nonlocal units
        units += on.shape[1]
        signs = on.float().mul_(2).sub_(1)  # products of +-1: agreements less disagreements
        products.append((signs @ signs.T).double())

    with trial.copied() as module, torch.no_grad():
        trial.forward(module, trial.inputs, Observer(trial.batch, on_codes=on_codes))
    if not units:
        raise Refusal("its forward calls no ReLU-like activation")
    return log_determinant((units + torch.stack(products).sum(0)) / 2)


def log_determinant(kernel: Float[Tensor, "batch batch"]) -> float:
    """Of a positive semi-definite matrix; ``-inf`` where it is singular to rounding."""
    values = torch.linalg.eigvalsh(kernel)
    if bool(values[0] <= len(values) * torch.finfo(values.dtype).eps * values[-1]):
        return -math.inf
    return float(values.log().sum())


def synflow(trial: Trial) -> float:
    """``sum |w * dR/dw|`` over the weights, R the sum of the outputs for an input of ones.

    All parameters are replaced by their absolute values in float64, and batch norms are
    bypassed: Abdelfattah et al. score the network without them. Other norms stay and make
    the score less meaningful. It grows exponentially with depth; ``inf`` where even float64
    overflows. >= 0, in the unit of the outputs.
    """
    with trial.copied(torch.float64) as module:
        weights = weights_of(module)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.requires_grad:
                    parameter.abs_()
        ones = torch.ones((1, *trial.input_shape), dtype=torch.float64, device=trial.device)
        output = trial.forward(module, ones, Observer(1, norms=False))
        if not output.requires_grad:
            raise Refusal(NO_GRADIENT)
        flows = [(w.detach() * g).abs().sum() for w, g in gradients_of(output.sum(), weights)]
    score = float(torch.stack(flows).sum())
    # inf * 0 is nan: an overflow all the same, as the weights are finite.
    return score if math.isfinite(score) else math.inf


def params(trial: Trial) -> float:
    """Number of parameters, biases and norms included, shared ones once."""
    return float(sum(p.numel() for p in trial.module.parameters()))
