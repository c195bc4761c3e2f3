from itertools import pairwise

import numpy as np
import pytest
import torch
from gennape_plugin.core import fcm
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.fcm import FuzzyCMeans, memberships
from hypothesis import given, settings
from hypothesis import strategies as st

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
fuzzifiers = st.sampled_from([1.1, 1.5, 2.0, 2.3, 3.0, 4.0])


def blobs(points=240, dims=5, clusters=4, seed=0, dtype=torch.float64):
    """Points around well-separated centres, in a random order."""
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.randn(clusters, dims, generator=generator, dtype=dtype)
    owner = torch.randint(clusters, (points,), generator=generator)
    return centres[owner] + torch.randn(points, dims, generator=generator, dtype=dtype)


def equation_2(points, centroids, m):
    """The formula as printed, one entry at a time."""
    u = np.empty((len(points), len(centroids)))
    for i, h in enumerate(points):
        d = [np.linalg.norm(h - c) for c in centroids]
        for j in range(len(centroids)):
            u[i, j] = 1 / sum((d[j] / d[k]) ** (2 / (m - 1)) for k in range(len(centroids)))
    return u


def equation_3(points, u, m):
    weights = u**m
    return (weights.T @ points) / weights.sum(0)[:, None]


class TestMemberships:
    @pytest.mark.parametrize("m", [1.5, 2.0, 2.7, 4.0])
    def test_equation_2(self, m):
        points, centroids = blobs(40), blobs(6, seed=1)
        expected = equation_2(points.numpy(), centroids.numpy(), m)
        torch.testing.assert_close(memberships(points, centroids, m), torch.tensor(expected))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("m", [1.0001, 1.5, 2.0, 4.0, 1000.0])
    def test_a_point_on_centroids_is_shared_by_exactly_these(self, dtype, m):
        centroids = blobs(5, seed=1, dtype=dtype)
        centroids[3] = centroids[1]
        u = memberships(centroids[[0, 1]], centroids, m)
        assert u.tolist() == [[1, 0, 0, 0, 0], [0, 0.5, 0, 0.5, 0]]

    def test_all_centroids_on_the_point(self):
        assert memberships(torch.zeros(1, 3), torch.zeros(4, 3), 2.0).tolist() == [[0.25] * 4]

    @pytest.mark.parametrize("m", [1 + 1e-6, 1.01, 2.0, 4.0])
    @pytest.mark.parametrize("far", [1e3, 1e12, 1e30])
    def test_far_points_stay_finite(self, far, m):
        points = far * blobs(30, dtype=torch.float32)
        u = memberships(points, blobs(6, seed=1, dtype=torch.float32), m)
        assert (u >= 0).all()
        torch.testing.assert_close(u.sum(1), torch.ones(30))

    def test_a_fuzzifier_close_to_one_gives_the_nearest_centroid(self):
        points, centroids = blobs(50), blobs(6, seed=1)
        u = memberships(points, centroids, 1 + 1e-9)
        nearest = torch.cdist(points, centroids).argmin(1)
        assert torch.equal(u, torch.nn.functional.one_hot(nearest, 6).double())

    def test_far_points_belong_to_all_alike(self):
        u = memberships(torch.full((1, 5), 1e9), blobs(4, seed=1, dtype=torch.float32), 2.0)
        torch.testing.assert_close(u, torch.full((1, 4), 0.25))

    def test_gradient(self):
        points, centroids = blobs(4).requires_grad_(), blobs(3, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(lambda p, c: memberships(p, c, 2.3), (points, centroids))

    @pytest.mark.parametrize("m", [1.0, 0.5, -2.0, float("nan"), float("inf")])
    def test_bad_fuzzifier(self, m):
        with pytest.raises(InvalidInputError, match=r"fuzzifier is .* above 1"):
            memberships(blobs(4), blobs(2), m)

    def test_mixed_dtypes(self):
        with pytest.raises(InvalidInputError, match=r"centroids has .*float32.* points has"):
            memberships(blobs(4), blobs(2, dtype=torch.float32), 2.0)


class TestOracle:
    """scikit-fuzzy from the same start, run for the same number of rounds."""

    @pytest.mark.parametrize("m", [1.5, 2.0, 2.4, 3.5])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_same_partition(self, m, dtype):
        skfuzzy = pytest.importorskip("skfuzzy")
        points = blobs(400, dims=8)
        u0 = np.random.default_rng(0).dirichlet(np.ones(5), len(points))
        centroids, u, _, _, losses, rounds, coefficient = skfuzzy.cmeans(
            points.numpy().T, 5, m, error=1e-7, maxiter=300, init=u0.T.copy()
        )
        initial = torch.tensor(equation_3(points.numpy(), u0, m))
        ours = FuzzyCMeans.fit(
            points.to(dtype),
            clusters=5,
            fuzzifier=m,
            tolerance=0.0,
            max_iterations=rounds,
            initial=initial.to(dtype),
            chunk_size=150,
        )
        # Float32 rounding grows along hundreds of rounds towards a shallow optimum.
        tolerance = (
            {"rtol": 1e-6, "atol": 1e-6} if dtype is torch.float64 else {"rtol": 1e-3, "atol": 1e-3}
        )
        assert ours.iterations == rounds
        np.testing.assert_allclose(ours.centroids.numpy(), centroids, **tolerance)
        np.testing.assert_allclose(ours.memberships(points.to(dtype)).numpy(), u.T, **tolerance)
        assert ours.partition_coefficient == pytest.approx(coefficient, rel=1e-3)
        # skfuzzy's last loss mixes old memberships with new distances: an upper bound.
        assert ours.objective <= losses[-1] * (1 + 1e-5)
        assert ours.objective == pytest.approx(losses[-1], rel=1e-3)


class TestFit:
    @settings(max_examples=40)
    @given(
        points=st.integers(1, 60),
        dims=st.integers(1, 6),
        clusters=st.integers(1, 6),
        m=fuzzifiers,
        seed=st.integers(0, 99),
        dtype=st.sampled_from([torch.float32, torch.float64]),
    )
    def test_any_fit_is_a_partition(self, points, dims, clusters, m, seed, dtype):
        x = blobs(points, dims, seed=seed, dtype=dtype)
        clusters = min(clusters, points)
        fitted = FuzzyCMeans.fit(x, clusters=clusters, fuzzifier=m, max_iterations=50, seed=seed)
        u = fitted.memberships(x)
        assert fitted.centroids.shape == (clusters, dims)
        assert fitted.centroids.dtype == dtype
        assert fitted.centroids.isfinite().all()
        assert (u >= 0).all()
        torch.testing.assert_close(u.sum(1), torch.ones(points, dtype=dtype))
        assert fitted.objective >= 0
        assert 1 / clusters - 1e-6 <= fitted.partition_coefficient <= 1 + 1e-6

    @settings(max_examples=20)
    @given(m=fuzzifiers, seed=st.integers(0, 99))
    def test_permutation_of_points_and_clusters(self, m, seed):
        x, initial = blobs(seed=seed), blobs(4, seed=seed + 1)
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        clusters = torch.tensor([2, 0, 3, 1])
        options = {"clusters": 4, "fuzzifier": m, "max_iterations": 20, "tolerance": 0.0}
        plain = FuzzyCMeans.fit(x, initial=initial, **options)
        moved = FuzzyCMeans.fit(x[rows], initial=initial[clusters], **options)
        torch.testing.assert_close(moved.centroids, plain.centroids[clusters])
        torch.testing.assert_close(
            moved.memberships(x[rows]), plain.memberships(x)[rows][:, clusters]
        )
        assert moved.objective == pytest.approx(plain.objective)

    @settings(max_examples=20)
    @given(m=fuzzifiers, seed=st.integers(0, 99), chunk_size=st.integers(1, 300))
    def test_chunk_size_changes_nothing(self, m, seed, chunk_size):
        x = blobs(seed=seed)
        options = {"clusters": 4, "fuzzifier": m, "seed": seed, "max_iterations": 20}
        whole = FuzzyCMeans.fit(x, **options)
        chunked = FuzzyCMeans.fit(x, chunk_size=chunk_size, **options)
        assert (chunked.iterations, chunked.converged) == (whole.iterations, whole.converged)
        torch.testing.assert_close(chunked.centroids, whole.centroids)
        assert chunked.partition_coefficient == pytest.approx(whole.partition_coefficient)

    @settings(max_examples=20)
    @given(
        m=fuzzifiers,
        scale=st.sampled_from([1e-6, 0.3, 1e6]),
        shift=st.sampled_from([0.0, -7.0, 1e4]),
    )
    def test_scale_and_translation(self, m, scale, shift):
        x = blobs()
        options = {"clusters": 4, "fuzzifier": m, "max_iterations": 20, "tolerance": 0.0}
        plain = FuzzyCMeans.fit(x, **options)
        moved = FuzzyCMeans.fit(scale * (x + shift), **options)
        torch.testing.assert_close(
            moved.centroids / scale - shift, plain.centroids, rtol=1e-6, atol=1e-6
        )
        assert moved.objective / scale**2 == pytest.approx(plain.objective, rel=1e-6)

    def test_far_from_the_origin_float32_keeps_its_digits(self):
        x = blobs(dtype=torch.float32)
        options = {"clusters": 4, "fuzzifier": 2.0, "max_iterations": 20, "tolerance": 0.0}
        plain, far = FuzzyCMeans.fit(x, **options), FuzzyCMeans.fit(x + 4096, **options)
        torch.testing.assert_close(far.centroids - 4096, plain.centroids, rtol=0, atol=2e-3)

    @pytest.mark.parametrize("m", [1.5, 2.0, 2.7])
    def test_objective_never_rises(self, m):
        x, initial = blobs(), blobs(4, seed=9)
        objectives = [
            FuzzyCMeans.fit(
                x, clusters=4, fuzzifier=m, tolerance=0.0, max_iterations=rounds, initial=initial
            ).objective
            for rounds in range(1, 15)
        ]
        assert all(new <= old * (1 + 1e-12) for old, new in pairwise(objectives))

    @pytest.mark.parametrize("chunk_size", [7, 1000])
    @pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-9])
    def test_stops_at_the_first_round_where_equation_4_holds(self, tolerance, chunk_size):
        # Sorted, so that late movers fill blocks of their own.
        x, initial = blobs().sort(dim=0).values, blobs(4, seed=9)
        fitted = FuzzyCMeans.fit(
            x,
            clusters=4,
            fuzzifier=2.0,
            tolerance=tolerance,
            initial=initial,
            chunk_size=chunk_size,
        )
        u, rounds = equation_2(x.numpy(), initial.numpy(), 2.0), 1
        while True:
            rounds += 1
            old, u = u, equation_2(x.numpy(), equation_3(x.numpy(), u, 2.0), 2.0)
            if np.abs(u - old).max() < tolerance:
                break
        assert fitted.converged
        assert fitted.iterations == rounds
        np.testing.assert_allclose(fitted.memberships(x).numpy(), u, atol=1e-9)

    def test_max_iterations(self):
        fitted = FuzzyCMeans.fit(blobs(), clusters=4, fuzzifier=2.0, max_iterations=3)
        assert (fitted.iterations, fitted.converged) == (3, False)

    def test_seed(self):
        x = blobs()
        state = torch.random.get_rng_state()
        fits = [
            FuzzyCMeans.fit(x, clusters=6, fuzzifier=2.0, max_iterations=2, seed=seed)
            for seed in (3, 3, torch.Generator().manual_seed(3), 4)
        ]
        assert torch.equal(torch.random.get_rng_state(), state)
        assert torch.equal(fits[0].centroids, fits[1].centroids)
        assert torch.equal(fits[0].centroids, fits[2].centroids)
        assert not torch.equal(fits[0].centroids, fits[3].centroids)

    def test_start_takes_distinct_points_first(self):
        x = torch.arange(5.0).repeat(20)[:, None]
        start = fcm._kmeans_plus_plus(x, 5, 0)
        assert start.flatten().sort().values.tolist() == [0, 1, 2, 3, 4]

    def test_identical_points(self):
        x = torch.full((10, 3), 7.0)
        fitted = FuzzyCMeans.fit(x, clusters=3, fuzzifier=2.0)
        assert fitted.converged
        assert fitted.objective == 0
        torch.testing.assert_close(fitted.centroids, torch.full((3, 3), 7.0))
        torch.testing.assert_close(fitted.memberships(x), torch.full((10, 3), 1 / 3))

    def test_as_many_clusters_as_points(self):
        x = blobs(6)
        fitted = FuzzyCMeans.fit(x, clusters=6, fuzzifier=1.5)
        assert fitted.objective == pytest.approx(0, abs=1e-9)
        assert fitted.partition_coefficient == pytest.approx(1)

    def test_a_centroid_that_wins_nothing_stays(self):
        x = blobs()
        initial = torch.cat([x[:2], torch.full((1, 5), 1e6, dtype=x.dtype)])
        fitted = FuzzyCMeans.fit(x, clusters=3, fuzzifier=1.001, initial=initial)
        torch.testing.assert_close(fitted.centroids[2], initial[2])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"clusters": 241}, "clusters is 241 for 240 points"),
            ({"clusters": 0}, "clusters is 0"),
            ({"fuzzifier": 1.0}, "fuzzifier is 1.0"),
            ({"tolerance": -1.0}, "tolerance is -1.0; it must be 0 or more"),
            ({"tolerance": float("nan")}, "tolerance is nan"),
            ({"max_iterations": 0}, "max_iterations is 0"),
            ({"chunk_size": 0}, "chunk_size is 0"),
            ({"initial": blobs(3)}, "initial has 3 centroids but clusters is 4"),
            ({"initial": blobs(4, dtype=torch.float32)}, "initial has 5 dims of torch.float32"),
        ],
    )
    def test_bad_arguments(self, options, message):
        with pytest.raises(InvalidInputError, match=message):
            FuzzyCMeans.fit(blobs(), **{"clusters": 4, "fuzzifier": 2.0, **options})

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_not_finite(self, value):
        x = blobs()
        x[[3, 5], 1] = value
        with pytest.raises(InvalidInputError, match="NaN or infinity in 2 of 240 rows"):
            FuzzyCMeans.fit(x, clusters=4, fuzzifier=2.0)

    def test_half_precision(self):
        with pytest.raises(InvalidInputError, match=r"float16 .* must be float32 or float64"):
            FuzzyCMeans.fit(blobs().half(), clusters=4, fuzzifier=2.0)

    @cuda
    @pytest.mark.parametrize("m", [1.5, 2.0, 2.7])
    def test_cuda_agrees_with_cpu(self, m):
        x = blobs(5000, dims=32)
        options = {"clusters": 4, "fuzzifier": m, "max_iterations": 30, "chunk_size": 999}
        cpu, gpu = FuzzyCMeans.fit(x, **options), FuzzyCMeans.fit(x.cuda(), **options)
        assert gpu.centroids.device.type == "cuda"
        torch.testing.assert_close(gpu.centroids.cpu(), cpu.centroids)
        torch.testing.assert_close(gpu.memberships(x.cuda()).cpu(), cpu.memberships(x))
        assert gpu.objective == pytest.approx(cpu.objective)
