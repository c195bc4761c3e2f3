"""Fuzzy c-means against scikit-fuzzy: time per round, and peak memory beyond the points.

    python benchmarks/bench_fcm.py

Both libraries cluster the same points, start from the same random partition and run the same
number of rounds; each run has a fresh process to itself. The clock covers the whole fit: for
ours, the closing pass for objective and partition coefficient too. Memory needs Linux
with glibc.

Columns: wall and CPU time per round and peak memory, each followed by scikit-fuzzy's over it;
partition coefficient; largest difference of a centroid's coordinate from scikit-fuzzy's. On a
busy machine read the CPU time, with OMP_NUM_THREADS=1 (waiting threads spin).
"""

import argparse
import ctypes
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import skfuzzy
import torch
from gennape_plugin.core.fcm import FuzzyCMeans

from gennape_plugin.process_memory import peak_mib, reset_peak

MIB = 2**20


@dataclass(frozen=True)
class Problem:
    """What to cluster, and how."""

    points: int
    dims: int
    clusters: int
    fuzzifier: float
    rounds: int
    repeats: int


@dataclass(frozen=True)
class Outcome:
    """What one library made of it."""

    wall: float
    cpu: float
    peak_bytes: float
    centroids: np.ndarray
    coefficient: float


def run(library: str, problem: Problem) -> Outcome:
    """Fastest of the repeats; the first of them gives the memory."""
    rng = np.random.default_rng(0)
    # Variances fall as they do after a PCA. In 32 dimensions of equal variance every centroid
    # would end at the mean, and powers of equal distances are unusually cheap.
    centres = 4 * rng.normal(size=(problem.clusters, problem.dims))
    owners = rng.integers(problem.clusters, size=problem.points)
    points = centres[owners] + rng.normal(size=(problem.points, problem.dims))
    points /= np.arange(1, problem.dims + 1)
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

    wall, cpu = [], []
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # or the fit reuses, unseen, what making data left
    before = reset_peak() or 0.0
    for repeat in range(problem.repeats):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        result = fit()
        wall.append((time.perf_counter() - wall_start) / problem.rounds)
        cpu.append((time.process_time() - cpu_start) / problem.rounds)
        if repeat == 0:
            peak = ((peak_mib() or 0.0) - before) * 2**20  # bytes
    if isinstance(result, FuzzyCMeans):
        centroids, coefficient = result.centroids.numpy(), result.partition_coefficient
    else:
        centroids, coefficient = result[0], float(result[-1])
    return Outcome(min(wall), min(cpu), peak, centroids, coefficient)


def compare(problem: Problem) -> None:
    print(
        f"\n{problem.points:,} x {problem.dims} points, C = {problem.clusters}, "
        f"m = {problem.fuzzifier}, {problem.rounds} rounds, best of {problem.repeats}"
    )
    columns = "wall ms", "ratio", "CPU ms", "ratio", "peak MiB", "ratio", "partition", "centroids"
    print(" " * 22 + "".join(f"{column:>10}" for column in columns))
    baseline: Outcome | None = None
    for library in ("scikit-fuzzy", "float64", "float32"):
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
            outcome = pool.submit(run, library, problem).result()
        baseline = baseline or outcome
        name = library if library == "scikit-fuzzy" else f"gennape-plugin {library}"
        print(
            f"{name:22}"
            f"{1e3 * outcome.wall:10.2f}{baseline.wall / outcome.wall:10.1f}"
            f"{1e3 * outcome.cpu:10.2f}{baseline.cpu / outcome.cpu:10.1f}"
            f"{outcome.peak_bytes / MIB:10.1f}{baseline.peak_bytes / outcome.peak_bytes:10.1f}"
            f"{outcome.coefficient:10.3f}"
            f"{np.abs(outcome.centroids - baseline.centroids).max():10.1e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=45_000, help="NB-101's training split")
    parser.add_argument("--many-points", type=int, default=423_000, help="all of NB-101; 0: skip")
    parser.add_argument("--dims", type=int, default=32)
    parser.add_argument("--clusters", type=int, default=25)
    parser.add_argument("--fuzzifiers", type=float, nargs="+", default=[2.0, 2.5])
    parser.add_argument("--rounds", type=int, default=50)
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
