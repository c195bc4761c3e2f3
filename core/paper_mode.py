"""The paper's ensemble: six members, combined by rank over the scored population.

GENNAPE weighs its members equally zero-shot and, after fine-tuning, by the softmax of
each member's Kendall tau on the labelled graphs (section "Ensemble"). How outputs on
different scales are added up is not stated, and pairwise classifiers give an order only;
here every output becomes its normalised rank first, the one form that six unlike scales
share. So a graph's score depends on the graphs that it is ranked with, unlike
:meth:`.GennapeModel.score`.

Taus lie in [-1, 1], so their softmax is nearly flat: 0.9 against 0.2 is a weight of 2 to 1.
Those of fine-tuned members are measured on the graphs that they were tuned on.
"""

from collections.abc import Mapping
from math import exp, isfinite, isnan
from typing import Final

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from .errors import InvalidInputError
from .metrics import kendall_tau_b

#: CL+FCM+T, CL+T, CL+Pairwise, CL+FCM+Pairwise, k-GNN and FLOPs.
PAPER_MEMBERS: Final = (
    "cl+fcm+t",
    "cl+t",
    "cl+pairwise",
    "cl+fcm+pairwise",
    "kgnn",
    "flops",
)


def normalised_ranks(values: Float[Tensor, "graphs"]) -> Float[Tensor, "graphs"]:
    """``(rank - 1/2) / n``, in (0, 1), the best graph highest; equal values share their mean.

    Args:
        values: Scores in any unit.

    Returns:
        Float64, on the CPU.

    Raises:
        InvalidInputError: for no values, or NaN or infinity among them.
    """
    if not len(values) or not bool(values.isfinite().all()):
        raise InvalidInputError(
            f"{len(values)} outputs to rank: at least one is needed, and all must be finite"
        )
    ranks = torch.from_numpy(stats.rankdata(values.detach().cpu().numpy()))
    return (ranks.double() - 0.5) / len(ranks)


def paper_score(
    outputs: Mapping[str, Float[Tensor, "graphs"]], weights: Mapping[str, float]
) -> Float[Tensor, "graphs"]:
    """Weighted mean of the members' normalised ranks; higher is better, 1/2 the middle.

    Args:
        outputs: Members' own outputs for the whole population, :attr:`.Outputs.members`.
        weights: A weight, 0 or more, for each member that counts; they need not sum to 1.

    Returns:
        Float64 in (0, 1).

    Raises:
        InvalidInputError: for a member without outputs, or weights that are negative, not
            finite or all 0.
    """
    missing = [name for name in weights if name not in outputs]
    if missing:
        raise InvalidInputError(
            f"the paper's ensemble needs {', '.join(missing)} too, the model has "
            f"{', '.join(outputs)}: train the missing members with `gennape pretrain`"
        )
    total = sum(weights.values())
    if not (isfinite(total) and total > 0 and all(w >= 0 for w in weights.values())):
        raise InvalidInputError(
            f"the ensemble's weights are {dict(weights)}: give finite ones from 0 up, not all 0"
        )
    parts = [weight * normalised_ranks(outputs[name]) for name, weight in weights.items()]
    return torch.stack(parts).sum(dim=0) / total


def paper_zero_shot(outputs: Mapping[str, Float[Tensor, "graphs"]]) -> Float[Tensor, "graphs"]:
    """The zero-shot ensemble: the six members' ranks with equal weights.

    Arguments, results and errors as for :func:`paper_score`.
    """
    return paper_score(outputs, dict.fromkeys(PAPER_MEMBERS, 1 / len(PAPER_MEMBERS)))


def paper_weights(
    outputs: Mapping[str, Float[Tensor, "graphs"]], accuracy: Float[Tensor, "graphs"]
) -> dict[str, float]:
    """The fine-tuned ensemble's weights: softmax of the members' tau on labelled graphs.

    Tau is tau-b; the authors' variant, which leaves out pairs of accuracies closer than
    1e-4 and counts equal predictions as right, differs where there are ties. A member that
    gives every graph the same output orders nothing: its tau counts as 0.

    Args:
        outputs: Members' own outputs for the labelled graphs.
        accuracy: Their accuracies, in any unit.

    Returns:
        Weights of :data:`PAPER_MEMBERS`, which sum to 1; :func:`paper_score` takes them.

    Raises:
        InvalidInputError: for a missing member, accuracies that are all equal or not finite,
            or numbers of them that differ.
    """
    missing = [name for name in PAPER_MEMBERS if name not in outputs]
    if missing:
        raise InvalidInputError(f"the paper's ensemble needs the outputs of {', '.join(missing)}")
    if len(accuracy) < 2 or bool((accuracy == accuracy[0]).all()):
        raise InvalidInputError(
            f"{len(accuracy)} labelled graphs with no two different accuracies: no tau is defined"
        )
    taus = {name: kendall_tau_b(accuracy, outputs[name]) for name in PAPER_MEMBERS}
    powers = {name: exp(0.0 if isnan(tau) else tau) for name, tau in taus.items()}
    total = sum(powers.values())
    return {name: power / total for name, power in powers.items()}
