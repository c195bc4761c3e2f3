"""Fuzzy c-means (FCM), the soft clustering in front of the heads of MLP-E.

Source: GENNAPE (AAAI-23), Eqs. 2-4; Bezdek, *Pattern Recognition with Fuzzy Objective
Function Algorithms*, 1981. With points ``h_i``, centroids ``c_j`` and a fuzzifier ``m > 1``::

    u_ij = 1 / sum_k (|h_i - c_j| / |h_i - c_k|)^(2 / (m - 1))        (Eq. 2, memberships)
    c_j  = sum_i u_ij^m h_i / sum_i u_ij^m                            (Eq. 3, centroids)
    stop when max_ij |u_ij(t + 1) - u_ij(t)| < tolerance              (Eq. 4)
"""

from dataclasses import dataclass
from math import isfinite

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import InvalidInputError

# Differences first, squares second: exactly 0 for a point that sits on a centroid.
_EXACT = "donot_use_mm_for_euclid_dist"


def memberships(
    points: Float[Tensor, "points dims"],
    centroids: Float[Tensor, "clusters dims"],
    fuzzifier: float,
) -> Float[Tensor, "points clusters"]:
    """Degree to which each point belongs to each centroid (Eq. 2).

    Distances enter only as ratios to the nearest one, in [0, 1], so neither far points nor a
    fuzzifier close to 1 overflows. A point on a centroid belongs to it alone; on several
    coinciding centroids, to each of them equally. Differentiable, except there.

    Args:
        points: Points to place, float32 or float64, in the units of the centroids.
        centroids: Cluster centres, same dtype and device.
        fuzzifier: ``m`` of Eq. 2, above 1. Towards 1 memberships become one-hot; the larger
            it is, the closer they come to ``1 / clusters``.

    Returns:
        Non-negative memberships; every row sums to 1.

    Raises:
        InvalidInputError: On a fuzzifier of 1 or less, mismatched tensors, NaN or infinity.
    """
    _check_fuzzifier(fuzzifier)
    _check_points("points", points)
    _check_points("centroids", centroids)
    _check_alike(points, centroids, "centroids")
    return _soften(torch.cdist(points, centroids, compute_mode=_EXACT), fuzzifier)


@dataclass(frozen=True, eq=False)
class FuzzyCMeans:
    """A fitted fuzzy partition. Get one from :meth:`fit`; apply it with :meth:`memberships`.

    Attributes:
        centroids: Cluster centres, in the units of the points.
        fuzzifier: ``m`` of Eqs. 2 and 3.
        iterations: Rounds of Eqs. 3 and 2 that were run.
        converged: Whether Eq. 4 held; False means ``max_iterations`` came first.
        objective: ``sum_ij u_ij^m |h_i - c_j|^2``, which FCM descends; squared point units.
        partition_coefficient: Bezdek's ``sum_ij u_ij^2 / points``, from ``1 / clusters``
            (the clusters say nothing) to 1 (hard clusters). In many dimensions a large
            fuzzifier draws all centroids together, and this is where it shows.
    """

    centroids: Float[Tensor, "clusters dims"]
    fuzzifier: float
    iterations: int
    converged: bool
    objective: float
    partition_coefficient: float

    def memberships(self, points: Float[Tensor, "points dims"]) -> Float[Tensor, "points clusters"]:
        """Memberships of any points, seen or new; see :func:`memberships`."""
        return memberships(points, self.centroids, self.fuzzifier)

    @classmethod
    @torch.no_grad()
    def fit(
        cls,
        points: Float[Tensor, "points dims"],
        *,
        clusters: int,
        fuzzifier: float,
        tolerance: float = 1e-5,
        max_iterations: int = 10_000,
        seed: int | torch.Generator = 0,
        initial: Float[Tensor, "clusters dims"] | None = None,
        chunk_size: int = 4096,
    ) -> "FuzzyCMeans":
        """Cluster points by alternating Eqs. 3 and 2 until Eq. 4 holds.

        No ``points x clusters`` matrix is ever held: beyond the points, memory is one centred
        copy of them and a few ``chunk_size x clusters`` blocks. The result is the same on
        every run with one seed, device and number of threads; the global random state is
        neither read nor changed.

        Args:
            points: Points to cluster, float32 or float64, on any device.
            clusters: Number of centroids ``C``, from 1 to the number of points.
            fuzzifier: ``m`` of Eqs. 2 and 3, above 1.
            tolerance: Bound of Eq. 4 on a change in membership, at least 0 (0 never stops
                early). Below about 1e-6, give float64 points: in float32 such a change is
                rounding.
            max_iterations: Bound on the rounds; the paper's is 10,000.
            seed: Seed, or generator on the CPU, of the k-means++ start (Arthur and
                Vassilvitskii, 2007). The paper does not say how it starts.
            initial: Centroids to start from instead.
            chunk_size: Points per block. The default suits a CPU's cache; give a GPU more, as
                every block costs it a dozen kernel launches.

        Returns:
            The fitted partition. Its centroids are on the device of the points.

        Raises:
            InvalidInputError: On an argument out of range, mismatched tensors, NaN or infinity.
        """
        _check_fuzzifier(fuzzifier)
        _check_points("points", points)
        _check_at_least("tolerance", tolerance, 0)
        _check_at_least("max_iterations", max_iterations, 1)
        _check_at_least("chunk_size", chunk_size, 1)
        if not 1 <= clusters <= len(points):
            raise InvalidInputError(
                f"clusters is {clusters} for {len(points)} points; it must be from 1 to the "
                "number of points. Ask for fewer clusters or give more points."
            )
        if initial is None:
            initial = _kmeans_plus_plus(points, clusters, seed)
        _check_points("initial", initial)
        _check_alike(points, initial, "initial")
        if len(initial) != clusters:
            raise InvalidInputError(
                f"initial has {len(initial)} centroids but clusters is {clusters}; they must "
                "be equal. Change one of them."
            )

        centre = points.mean(dim=0)
        blocks = list(torch.split(_augment(points, centre), chunk_size))
        centroids, previous = initial - centre, None
        iterations = 0
        while True:
            iterations += 1
            updated, witness = _iterate(blocks, centroids, previous, fuzzifier, tolerance)
            if witness is None or iterations == max_iterations:
                break
            # The block that moved last time most likely moves again: look there first.
            blocks.insert(0, blocks.pop(witness))
            previous, centroids = centroids, updated
        centroids = centroids + centre
        objective, coefficient = _quality(points, centroids, fuzzifier, chunk_size)
        return cls(centroids, fuzzifier, iterations, witness is None, objective, coefficient)


def _soften(
    distances: Float[Tensor, "points clusters"], fuzzifier: float
) -> Float[Tensor, "points clusters"]:
    """Eq. 2 from plain (not squared) distances."""
    nearest = distances.amin(dim=1, keepdim=True)
    # Not `distances / nearest`: this form needs no special case where `nearest` is 0.
    ratios = torch.where(distances > nearest, nearest / distances, 1.0)
    powers = ratios.pow(2 / (fuzzifier - 1))
    return powers / powers.sum(dim=1, keepdim=True)


def _augment(
    points: Float[Tensor, "points dims"], centre: Float[Tensor, " dims"]
) -> Float[Tensor, "points dims+2"]:
    """Centred points ``h``, then ``|h|^2`` and 1.

    One matrix product with this gives all distances, another both sums of Eq. 3.
    """
    augmented = points.new_ones((len(points), len(centre) + 2))
    centred = augmented[:, :-2]
    torch.sub(points, centre, out=centred)
    augmented[:, -2] = torch.linalg.vector_norm(centred, dim=1).square_()
    return augmented


def _ratios(
    centroids: Float[Tensor, "clusters dims"], block: Float[Tensor, "points dims+2"]
) -> Float[Tensor, "clusters points"]:
    """Squared distance to the nearest centroid over squared distance to each, in (0, 1].

    ``|h|^2 - 2 h.c + |c|^2`` loses digits where the points lie far from the origin, hence the
    centring; rounding can still leave it at or below 0, hence the clamp. Clusters come first
    because reductions over the leading axis vectorise across points (25 % faster measured).
    """
    squares = centroids.square().sum(dim=1, keepdim=True)
    expanded = torch.cat([-2 * centroids, torch.ones_like(squares), squares], dim=1)
    squared = (expanded @ block.T).clamp_min_(torch.finfo(block.dtype).tiny)
    return squared.amin(dim=0) / squared


def _power(ratios: Float[Tensor, "clusters points"], exponent: float) -> Tensor:
    """``ratios ** exponent`` for entries in [0, 1], the costliest step of a round."""
    if exponent in (0.5, 1.0, 2.0):  # m = 3, 2, 1.5: special cases of torch.pow
        return ratios.pow(exponent)
    # About half the time of torch.pow on a CPU, and no less accurate in this range.
    return ratios.log2().mul_(exponent).exp2_()


def _iterate(
    blocks: list[Tensor],
    centroids: Float[Tensor, "clusters dims"],
    previous: Float[Tensor, "clusters dims"] | None,
    fuzzifier: float,
    tolerance: float,
) -> tuple[Float[Tensor, "clusters dims"], int | None]:
    """One pass over the points: Eq. 2, the check of Eq. 4, and the sums of Eq. 3.

    The check needs the old memberships too. They are not stored but recomputed from the
    previous centroids, and only up to the first block with a change of at least the
    tolerance, which settles Eq. 4 exactly: usually one block, all of them once converged.

    Returns:
        The next centroids, and the index of that first block: None if nothing moved.
    """
    exponent = 1 / (fuzzifier - 1)
    witness = 0 if previous is None else None
    # Sums over many blocks: float64 costs nothing here and keeps float32 points accurate.
    sums = blocks[0].new_zeros((len(centroids), blocks[0].shape[1]), dtype=torch.float64)
    for index, block in enumerate(blocks):
        ratios = _ratios(centroids, block)
        powers = _power(ratios, exponent)
        totals = powers.sum(dim=0)
        if previous is not None and witness is None:
            old = _power(_ratios(previous, block), exponent)
            change = (powers / totals).sub_(old.div_(old.sum(dim=0))).abs_().max()
            if not change < tolerance:
                witness = index
        # u = powers / totals and powers^(m - 1) = ratios, so u^m needs no power per entry.
        weights = powers.mul_(ratios).mul_(totals.pow_(-fuzzifier))
        sums += weights @ block
    mass = sums[:, -1:]
    # A weight can underflow to 0 for a fuzzifier close to 1: that centroid stays in place.
    updated = torch.where(mass > 0, sums[:, :-2] / mass, centroids.double())
    return updated.to(centroids.dtype), witness


def _quality(
    points: Float[Tensor, "points dims"],
    centroids: Float[Tensor, "clusters dims"],
    fuzzifier: float,
    chunk_size: int,
) -> tuple[float, float]:
    """Objective and partition coefficient, from exact distances."""
    objective = coefficient = 0.0
    for block in torch.split(points, chunk_size):
        distances = torch.cdist(block, centroids, compute_mode=_EXACT)
        shares = _soften(distances, fuzzifier)
        coefficient += float(shares.square().sum())
        objective += float(shares.pow_(fuzzifier).mul_(distances.square_()).sum())
    return objective, coefficient / len(points)


def _kmeans_plus_plus(
    points: Float[Tensor, "points dims"], clusters: int, seed: int | torch.Generator
) -> Float[Tensor, "clusters dims"]:
    """Centroids on points, each drawn with odds of its squared distance to those before."""
    generator = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    if generator.device.type != "cpu":
        raise InvalidInputError(
            f"seed is a generator on {generator.device}; it must be on the CPU, so that every "
            "device draws the same start. Give torch.Generator() or an int."
        )
    draws = torch.rand(clusters, generator=generator, dtype=torch.float64)
    nearest = torch.full((len(points),), torch.inf, dtype=torch.float64)
    chosen: list[int] = []
    for draw in draws:
        odds = nearest.cumsum(dim=0)
        # No odds yet, or none left because every point already holds a centroid: any point.
        if not 0 < float(odds[-1]) < torch.inf:
            odds = torch.arange(1, len(points) + 1, dtype=torch.float64)
        index = int(torch.searchsorted(odds, draw * odds[-1], right=True))
        chosen.append(min(index, len(points) - 1))
        distances = torch.cdist(points, points[chosen[-1:]], compute_mode=_EXACT)[:, 0]
        nearest = torch.minimum(nearest, distances.double().square().cpu())
    return points[chosen]


def _check_fuzzifier(fuzzifier: float) -> None:
    if not (isfinite(fuzzifier) and fuzzifier > 1):
        raise InvalidInputError(
            f"fuzzifier is {fuzzifier}; it must be finite and above 1. Use 2 to start with, "
            "or 1.1 for nearly hard clusters."
        )


def _check_at_least(name: str, value: int | float, least: int) -> None:
    if not value >= least:
        raise InvalidInputError(f"{name} is {value}; it must be {least} or more. Raise it.")


def _check_points(name: str, points: Tensor) -> None:
    if points.ndim != 2 or points.dtype not in (torch.float32, torch.float64):
        raise InvalidInputError(
            f"{name} is {points.dtype} of shape {tuple(points.shape)}; it must be float32 or "
            "float64 of shape (rows, dims). Convert or reshape it."
        )
    # By row sums, as isfinite() on all values would cost another copy of them.
    bad = int((~points.sum(dim=1).isfinite()).sum())
    if bad:
        raise InvalidInputError(
            f"{name} has NaN or infinity in {bad} of {len(points)} rows; every value must be "
            "finite. Drop or repair those rows."
        )


def _check_alike(points: Tensor, other: Tensor, name: str) -> None:
    given, wanted = (
        f"{tensor.shape[1]} dims of {tensor.dtype} on {tensor.device}" for tensor in (other, points)
    )
    if given != wanted:
        raise InvalidInputError(
            f"{name} has {given} but points has {wanted}; they must agree. Convert one of them."
        )
