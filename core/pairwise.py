"""Pairwise classifiers: which of two graphs is the more accurate one.

GENNAPE's CL+Pairwise and CL+FCM+Pairwise: every head maps an embedding to a vector ``g``
of 16 numbers (membership-weighted with fuzzy clusters), the two vectors of a pair are
concatenated, and one layer gives a logit ``f(a, b)``. The paper sorts graphs with the
classifier as comparator. Here the logit is antisymmetric, ``f(a, b) - f(b, a)``, and that
one layer is linear. Antisymmetry alone would not do: ``a`` before ``b`` before ``c``
before ``a`` stays possible with a layer that is not linear, and no order agrees with
that. With a linear layer ``f(a, b) = u g(a) + v g(b)``

    f(a, b) - f(b, a) = s(a) - s(b),    s(x) = (u - v) g(x)

so every graph has a score of its own, the logit is a difference of two of them (the model
of Bradley and Terry, 1952), and sorting by score *is* the paper's merge sort
(:func:`merge_sort_ranking`), without comparing anything.
"""

from collections.abc import Callable
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import InvalidInputError
from .heads import HeadEnsemble
from .regression import Fitted, RegressionConfig, train_best
from .training import Progress, seeded, silent

#: Length of the vector that a head gives (paper: 16).
VECTOR: Final = 16
#: Width of a classifier's hidden layers (paper: 128).
HIDDEN: Final = 128
#: Accuracies (fractions) that differ by no more than this say nothing about an order (open in
#: the paper; the authors' code counts such pairs as ties).
MIN_GAP: Final = 1e-4


class PairwiseHeads(nn.Module):
    """Heads that give vectors, and the layer that scores a vector."""

    def __init__(
        self,
        features: int,
        *,
        heads: int = 1,
        hidden: int = HIDDEN,
        layers: int = 4,
        vector: int = VECTOR,
    ) -> None:
        """Make a classifier.

        Args:
            features: Length of an embedding.
            heads: Number of heads, one for each cluster.
            hidden: Width of the hidden layers (paper: 128).
            layers: Number of hidden layers with ReLU (paper: 4).
            vector: Length of the vector of a graph (paper: 16).
        """
        super().__init__()
        self.heads = HeadEnsemble(
            features, heads=heads, hidden=hidden, layers=layers, outputs=vector
        )
        # A bias would cancel in f(a, b) - f(b, a).
        self.logit = nn.Linear(2 * vector, 1, bias=False)

    @property
    def vector(self) -> int:
        """Length of the vector of a graph."""
        return int(self.logit.in_features) // 2

    def forward(
        self, h: Float[Tensor, "graphs features"], memberships: Float[Tensor, "graphs heads"] | None
    ) -> Float[Tensor, "graphs"]:
        """Bradley-Terry scores: the more, the likelier the better of two. Not accuracies.

        The difference of two scores is the logit of the first graph being the better one.

        Args:
            h: Embeddings.
            memberships: Weight of each head for each graph; ``None`` for a single head.
        """
        first, second = self.logit.weight[0].split(self.vector)
        score: Tensor = self.heads.vectors(h, memberships) @ (first - second)
        return score

    def pair_logit(
        self, first: Float[Tensor, "pairs vector"], second: Float[Tensor, "pairs vector"]
    ) -> Float[Tensor, "pairs"]:
        """``f(a, b) - f(b, a)`` as the paper writes ``f``: one layer on concatenated vectors.

        Equals the difference of scores; kept because it is the definition.

        Args:
            first: Vectors of the first graphs, ``self.heads.vectors(...)``.
            second: Those of the second ones.
        """
        forth = self.logit(torch.cat([first, second], dim=1))
        back = self.logit(torch.cat([second, first], dim=1))
        logit: Tensor = (forth - back)[:, 0]
        return logit


class Partners:
    """For each graph, the graphs whose accuracy differs enough to train on the pair.

    Attributes:
        rows: The graphs that have a partner.
    """

    def __init__(self, accuracy: Float[Tensor, "graphs"], *, gap: float = MIN_GAP) -> None:
        """Find them.

        Args:
            accuracy: Accuracies, fractions.
            gap: Difference that a pair must exceed, a fraction.

        Raises:
            InvalidInputError: if no two accuracies differ enough.
        """
        exact = accuracy.double()
        ordered, self._order = exact.sort()
        # Sorted, the graphs that are too close are one run; partners lie before and behind.
        self._below = torch.searchsorted(ordered, exact - gap)
        above = torch.searchsorted(ordered, exact + gap, right=True)
        self._close = above - self._below
        self._count = len(exact) - self._close
        self.rows = torch.nonzero(self._count > 0)[:, 0]
        if not len(self.rows):
            raise InvalidInputError(
                f"no two of {len(exact)} accuracies differ by more than {gap}: a pairwise "
                "classifier needs graphs of different accuracy"
            )

    def draw(self, rows: Int[Tensor, "rows"]) -> Int[Tensor, "rows"]:
        """One random partner for each row, from torch's current random state.

        Args:
            rows: Some of :attr:`rows`; each of its partners is as likely as the others.
        """
        # A fraction times a count can round up to the count itself.
        place = (torch.rand(len(rows), dtype=torch.float64) * self._count[rows]).long()
        place = place.minimum(self._count[rows] - 1)
        place = torch.where(place < self._below[rows], place, place + self._close[rows])
        return self._order[place]


def pair_loss(
    first: Float[Tensor, "pairs"],
    second: Float[Tensor, "pairs"],
    better: Float[Tensor, "pairs"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy of the difference of scores.

    Both orders of a pair give the same loss, so one is enough.

    Args:
        first: Scores of the first graphs.
        second: Scores of the second ones.
        better: 1 where the first is the more accurate, 0 where the second is.
    """
    return F.binary_cross_entropy_with_logits(first - second, better)


def fit_pairwise(
    h: Float[Tensor, "graphs features"],
    memberships: Float[Tensor, "graphs heads"] | None,
    accuracy: Float[Tensor, "graphs"],
    validation: tuple[
        Float[Tensor, "validation features"],
        Float[Tensor, "validation heads"] | None,
        Float[Tensor, "validation"],
    ],
    *,
    config: RegressionConfig | None = None,
    seed: int = 0,
    stage: str = "pairwise",
    progress: Progress = silent,
) -> tuple[PairwiseHeads, Fitted]:
    """Train a classifier on frozen inputs (pair sampling is open in the paper).

    Every epoch, each graph meets one random partner whose accuracy differs by more than
    :data:`MIN_GAP`.

    Args:
        h: Embeddings (with FLOPs) of the training graphs.
        memberships: Their memberships; ``None`` for one plain head.
        accuracy: Their accuracies, fractions.
        validation: Embeddings, memberships and accuracies that choose the epoch.
        config: Settings of the training.
        seed: Fixes initial weights, order and partners.
        stage: Name shown by ``progress``.
        progress: Called after every epoch.

    Raises:
        InvalidInputError: if no two accuracies differ by more than :data:`MIN_GAP`.
    """
    config = config or RegressionConfig(hidden=HIDDEN)
    partners = Partners(accuracy)
    count = 1 if memberships is None else memberships.shape[1]
    with seeded(seed):
        model = PairwiseHeads(h.shape[1], heads=count, hidden=config.hidden, layers=config.layers)

    def loss_of(picked: Tensor) -> Tensor:
        rows = partners.rows[picked]
        others = partners.draw(rows)
        both = torch.cat([rows, others])
        scores = model(h[both], None if memberships is None else memberships[both])
        first, second = scores.split(len(rows))
        return pair_loss(first, second, (accuracy[rows] > accuracy[others]).float())

    fitted = train_best(
        model,
        loss_of,
        len(partners.rows),
        lambda: model(validation[0], validation[1]),
        validation[2],
        config,
        config.adam(model),
        loss_name="bce",
        seed=seed,
        stage=stage,
        progress=progress,
        clip=config.clip,
    )
    return model, fitted


def merge_sort_ranking(compare: Callable[[int, int], float], count: int) -> list[int]:
    """The paper's ranking: merge sort with a classifier as comparator, best first.

    Args:
        compare: Logit of item ``a`` being better than item ``b``.
        count: Number of items, ``range(count)``.

    Returns:
        Items, best first; of equal ones the lower number. About ``count log2(count)``
        comparisons.
    """
    runs = [[item] for item in range(count)]
    while len(runs) > 1:
        merged = [
            _merged(compare, *runs[i : i + 2]) if i + 1 < len(runs) else runs[i]
            for i in range(0, len(runs), 2)
        ]
        runs = merged
    return runs[0] if runs else []


def _merged(compare: Callable[[int, int], float], left: list[int], right: list[int]) -> list[int]:
    found: list[int] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if compare(left[i], right[j]) >= 0:
            found.append(left[i])
            i += 1
        else:
            found.append(right[j])
            j += 1
    return [*found, *left[i:], *right[j:]]
