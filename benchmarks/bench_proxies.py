"""An encoding scored by the estimator against zero-cost proxies on the same cells, one thread.

    python benchmarks/bench_proxies.py [--cells 12] [--all]

Times from the NAS-Bench-201 string to the score; proxies start from the string too, and
build the module. ``--all`` also scores all 15,625 cells in a stream.
"""

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.adapters.families.nasbench201 import OPERATIONS, Cell201
from gennape_plugin.adapters.torch.proxies import PROXIES, zero_cost

from gennape_plugin import Gennape
from gennape_plugin.process_memory import peak_mib, reset_peak


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cells", type=int, default=12)
    options.add_argument("--all", action="store_true")
    args = options.parse_args()
    torch.set_num_threads(1)
    space, estimator, rng = family("nasbench201"), Gennape.from_pretrained(), random.Random(0)
    cells = [str(space.sample(rng)) for _ in range(max(args.cells, 512))]

    def scored(texts: list[str]) -> float:
        start = time.perf_counter()
        for _ in estimator.score_stream(space.graph(space.parse(text)) for text in texts):
            pass
        return time.perf_counter() - start

    scored(cells[:64])  # operations met for the first time are worked out once
    ours = statistics.median(scored(cells) / len(cells) for _ in range(3))
    print(f"score, streamed: {1000 * ours:.3f} ms a cell")
    for name in PROXIES:
        each = [timed(partial(proxy, space, text, name)) for text in cells[: args.cells]]
        median = statistics.median(each)
        print(f"{name:10s} {1000 * median:9.2f} ms a cell, {median / ours:7.1f} times the score's")
    if args.all:
        before = reset_peak()
        everything = [str(Cell201(ops)) for ops in itertools.product(OPERATIONS, repeat=6)]
        seconds = scored(everything)
        peak = peak_mib()
        grown = "?" if before is None or peak is None else f"+{peak - before:.0f} MiB"
        print(f"all {len(everything)} cells: {seconds:.1f} s, peak memory {grown}")


def proxy(space: object, text: str, name: str) -> None:
    module = space.module(space.parse(text))  # type: ignore[attr-defined]
    zero_cost(module, (3, 32, 32), names=[name], batch_size=64)


def timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
