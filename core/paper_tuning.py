"""The paper's fine-tuning: all weights of each member, on 50 labelled graphs.

Protocol (section "Experimental setup" and the authors' published code): batch 1, 100
epochs, a fresh Adam with learning rate 1e-4, no validation set and no early stopping;
targets keep the mean and deviation of NAS-Bench-101. Two points are open and decided here:

* The encoder stays as it is. The paper uses it "to infer embeddings"; whether fine-tuning
  reaches it is not said. Embeddings may therefore be given, computed once for many calls.
* Pairwise classifiers see every pair of labelled graphs (1,225 of 50), one at a time. They
  pass over the pairs as often as makes their number of updates that of the other members:
  4 times for 50 graphs, where 100 times would be 122,500 updates.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .batch import GraphStore
from .errors import InvalidInputError
from .members import GraphMember, HeadMember, Member, PairwiseMember
from .model import GennapeModel
from .pairwise import MIN_GAP, pair_loss
from .paper_mode import PAPER_MEMBERS, paper_weights
from .training import Progress, minibatches, seeded, silent

EPOCHS: Final = 100
LEARNING_RATE: Final = 1e-4
#: Largest gradient norm, as in the published k-GNN code.
CLIP: Final = 5.0

_LossOf = Callable[[int], Tensor]


def fine_tune_paper(
    model: GennapeModel,
    store: GraphStore,
    rows: Sequence[int],
    accuracy: Float[Tensor, "labelled"],
    *,
    seed: int,
    names: Sequence[str] | None = None,
    epochs: int = EPOCHS,
    progress: Progress = silent,
) -> GennapeModel:
    """Fine-tune members on labelled graphs, and weigh them as the paper does.

    The tau weights (:func:`.paper_weights`) are measured on the labelled graphs, after
    tuning, and kept in :attr:`.GennapeModel.paper_weights`; a model that lacks one of the
    paper's six members gets none. The members' ``reference`` stays that of the training
    cells before tuning: the paper's ensemble reads ranks and needs none.

    Args:
        model: A trained model; it is left as it is.
        store: Graphs of the target family.
        rows: Which of them are labelled.
        accuracy: Their accuracies, fractions: one for each of ``rows``, in that order.
        seed: Fixes the order of the steps.
        names: Members to tune; those of the paper's six that the model has where left out.
            FLOPs have no weights and are passed over.
        epochs: Passes over the labelled graphs.
        progress: Called after every pass of every member.

    Returns:
        A tuned copy, in evaluation mode.

    Raises:
        InvalidInputError: for fewer than two rows, rows that repeat or do not exist,
            accuracies that are not fractions or hardly differ, or unknown members.
    """
    rows = [int(row) for row in rows]
    if names is None:
        names = [name for name in PAPER_MEMBERS if name in model.members]
    _check(model, store, rows, accuracy, names, epochs)
    tuned = copy.deepcopy(model).eval()
    device = model.space.mean.device
    batch, accuracy = store.batch(rows).to(device), accuracy.to(device)
    with torch.no_grad():
        x = tuned.space(tuned.encoder(batch), batch.gflops)
    for name in dict.fromkeys(names):
        member = tuned.members[name]
        passes = epochs
        if isinstance(member, HeadMember):
            loss_of, count = _head_loss(member, x, accuracy, batch.gflops), len(rows)
        elif isinstance(member, PairwiseMember):
            loss_of, count = _pairwise_loss(member, x, accuracy)
            passes = max(1, round(epochs * len(rows) / count))
        elif isinstance(member, GraphMember):
            loss_of, count = _graph_loss(member, store, rows, accuracy), len(rows)
        else:
            continue
        _tune(member, loss_of, count, passes, seed=seed, stage=name, progress=progress)
    if set(PAPER_MEMBERS) <= set(tuned.members):
        with torch.no_grad():
            outputs = {name: _member(tuned, name).raw(batch, x) for name in PAPER_MEMBERS}
        tuned.set_paper_weights(paper_weights(outputs, accuracy))
    return tuned


def _tune(
    member: nn.Module,
    loss_of: _LossOf,
    count: int,
    passes: int,
    *,
    seed: int,
    stage: str,
    progress: Progress,
) -> None:
    """One update an example, ``passes`` times over ``count`` examples."""
    parameters = [parameter.requires_grad_() for parameter in member.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)
    for number in range(1, passes + 1):
        total = 0.0
        with seeded(seed, number):
            for example in minibatches(count, 1):
                loss = loss_of(int(example))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, CLIP)
                optimizer.step()
                total += float(loss.detach())
        progress(stage, number, passes, {"loss": total / count})


def _head_loss(member: HeadMember, x: Tensor, accuracy: Tensor, gflops: Tensor) -> _LossOf:
    """Squared error of the transformed target, one graph at a time."""
    target = member.transform.forward(accuracy, gflops)
    memberships = None if member.partition is None else member.partition(x)

    def loss_of(row: int) -> Tensor:
        one = slice(row, row + 1)
        found = member.heads(x[one], None if memberships is None else memberships[one])
        return F.mse_loss(found, target[one])

    return loss_of


def _pairwise_loss(member: PairwiseMember, x: Tensor, accuracy: Tensor) -> tuple[_LossOf, int]:
    """Cross-entropy of one pair at a time, and the number of pairs."""
    pairs = torch.combinations(torch.arange(len(x), device=x.device))
    gap = (accuracy[pairs[:, 0]].double() - accuracy[pairs[:, 1]].double()).abs()
    pairs = pairs[gap > MIN_GAP]
    better = (accuracy[pairs[:, 0]] > accuracy[pairs[:, 1]]).float()
    memberships = None if member.partition is None else member.partition(x)

    def loss_of(number: int) -> Tensor:
        pair = pairs[number]
        scores = member.heads(x[pair], None if memberships is None else memberships[pair])
        return pair_loss(scores[:1], scores[1:], better[number : number + 1])

    return loss_of, len(pairs)


def _graph_loss(
    member: GraphMember, store: GraphStore, rows: Sequence[int], accuracy: Tensor
) -> _LossOf:
    """Squared error of the transformed target, one graph at a time, end to end."""
    batches = [store.batch([row]).to(accuracy.device) for row in rows]
    gflops = torch.cat([batch.gflops for batch in batches])
    target = member.transform.forward(accuracy, gflops)
    return lambda row: F.mse_loss(member.network(batches[row]), target[row : row + 1])


def _member(model: GennapeModel, name: str) -> Member:
    member = model.members[name]
    assert isinstance(member, Member)
    return member


def _check(
    model: GennapeModel,
    store: GraphStore,
    rows: Sequence[int],
    accuracy: Tensor,
    names: Sequence[str],
    epochs: int,
) -> None:
    """Refuse what cannot be tuned on."""
    if len(rows) != len(accuracy):
        raise InvalidInputError(f"{len(rows)} rows and {len(accuracy)} accuracies: give one each")
    if not all(0 <= row < len(store) for row in rows) or len(set(rows)) != len(rows):
        raise InvalidInputError(f"rows repeat, or do not exist among {len(store)} graphs")
    if not bool(((accuracy >= 0) & (accuracy <= 1)).all()):
        raise InvalidInputError("accuracies must be fractions from 0 to 1: divide percents by 100")
    if len(rows) < 2 or float(accuracy.double().max() - accuracy.double().min()) <= MIN_GAP:
        raise InvalidInputError(
            f"{len(rows)} labelled graphs without two accuracies that differ by more than "
            f"{MIN_GAP}: nothing to learn an order from"
        )
    unknown = [name for name in names if name not in model.members]
    if unknown:
        raise InvalidInputError(
            f"no member {', '.join(unknown)}: the model has {', '.join(model.members)}"
        )
    if epochs < 1:
        raise InvalidInputError(f"{epochs} epochs: give at least 1")
