"""Fuzzy c-means against scikit-fuzzy: time per round, and peak memory beyond the points.

    python benchmarks/bench_fcm.py

Both libraries cluster the same points, start from the same random partition and run the same
number of rounds; each run has a fresh process to itself. The clock covers the whole fit: for
ours, the closing pass for objective and partition coefficient too. Memory needs Linux.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import skfuzzy
import torch

from gennape_plugin.core.fcm import FuzzyCMeans

MIB = 2**20


@dataclass(frozen=True)
class Problem:
    points: int
    dims: int
    clusters: int
    fuzzifier: float
    rounds: int
    repeats: int


@dataclass(frozen=True)
class Outcome:
    seconds_per_round: float
    peak_bytes: int
    centroids: np.ndarray


def run(library: str, problem: Problem) -> Outcome:
    """Fastest of the repeats; the first of them gives the memory."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(problem.clusters, problem.dims))
    owners = rng.integers(problem.clusters, size=problem.points)
    points = centres[owners] + rng.normal(size=(problem.points, problem.dims))
    partition = rng.random((problem.points, problem.clusters))
    partition /= partition.sum(axis=1, keepdims=True)

    if library == "scikit-fuzzy":
        points, partition = np.ascontiguousarray(points.T), np.ascontiguousarray(partition.T)
        fit = partial(
            skfuzzy.cmeans,
            points,
            problem.clusters,
            problem.fuzzifier,
            error=0,
            maxiter=problem.rounds,
            init=partition,
        )
    else:
        # Our rounds start from centroids; Eq. 3 leads there from the partition.
        weights = partition**problem.fuzzifier
        dtype = getattr(torch, library)
        initial = torch.tensor(weights.T @ points / weights.sum(axis=0)[:, None], dtype=dtype)
        points = torch.tensor(points, dtype=dtype)
        del partition, weights
        fit = partial(
            FuzzyCMeans.fit,
            points,
            clusters=problem.clusters,
            fuzzifier=problem.fuzzifier,
            tolerance=0.0,
            max_iterations=problem.rounds,
            initial=initial,
        )
        # Thread pools and the BLAS's buffers are the process's, not this algorithm's.
        FuzzyCMeans.fit(
            points[:100].clone(), clusters=2, fuzzifier=problem.fuzzifier, max_iterations=2
        )

    times = []
    before = reset_peak()
    for repeat in range(problem.repeats):
        start = time.perf_counter()
        result = fit()
        times.append(time.perf_counter() - start)
        if repeat == 0:
            peak = memory("VmHWM") - before
    centroids = result.centroids.numpy() if isinstance(result, FuzzyCMeans) else result[0]
    return Outcome(min(times) / problem.rounds, peak, centroids)


def reset_peak() -> int:
    """Make the kernel forget the peak so far; the memory resident now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")


def memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def compare(problem: Problem) -> None:
    print(
        f"\n{problem.points:,} x {problem.dims} points, C = {problem.clusters}, "
        f"m = {problem.fuzzifier}, {problem.rounds} rounds, best of {problem.repeats}"
    )
    print(f"{'':24}{'ms/round':>10}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}   centroids differ by")
    baseline: Outcome | None = None
    for library in ("scikit-fuzzy", "float64", "float32"):
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            outcome = pool.submit(run, library, problem).result()
        baseline = baseline or outcome
        faster = baseline.seconds_per_round / outcome.seconds_per_round
        smaller = baseline.peak_bytes / max(outcome.peak_bytes, 1)
        difference = np.abs(outcome.centroids - baseline.centroids).max()
        name = library if library == "scikit-fuzzy" else f"gennape-plugin {library}"
        print(
            f"{name:24}{1e3 * outcome.seconds_per_round:10.2f}{faster:8.1f}"
            f"{outcome.peak_bytes / MIB:10.1f}{smaller:8.1f}   {difference:.1e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=45_000, help="NB-101's training split")
    parser.add_argument("--many-points", type=int, default=423_000, help="all of NB-101; 0: skip")
    parser.add_argument("--dims", type=int, default=32)
    parser.add_argument("--clusters", type=int, default=25)
    parser.add_argument("--fuzzifiers", type=float, nargs="+", default=[2.0, 2.5])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    threads = torch.get_num_threads()
    print(f"scikit-fuzzy {skfuzzy.__version__}, torch {torch.__version__}, {threads} threads")
    for fuzzifier in options.fuzzifiers:
        compare(
            Problem(
                points=options.points,
                dims=options.dims,
                clusters=options.clusters,
                fuzzifier=fuzzifier,
                rounds=options.rounds,
                repeats=options.repeats,
            )
        )
    if options.many_points:
        compare(
            Problem(
                points=options.many_points,
                dims=options.dims,
                clusters=options.clusters,
                fuzzifier=options.fuzzifiers[0],
                rounds=5,
                repeats=1,
            )
        )


if __name__ == "__main__":
    main()
