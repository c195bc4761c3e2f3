"""Graphs built and scored a second: NAS-Bench-101 encodings, shipped weights.

    python benchmarks/bench_scoring.py [--graphs 4096] [--threads 1] [--weights NAME]

Cells are drawn by the benchmark's own sampler and pruned, so no data is needed. Each
figure is the median over ``--repeats`` with the smallest and largest beside.
"""

import argparse
import random
import time
from collections.abc import Callable
from statistics import median

import torch
from gennape_plugin.adapters.families import NASBench101
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.quotient import quotient, unmerged

from gennape_plugin.estimator import Gennape
from gennape_plugin.shipped import DEFAULT_WEIGHTS


def rates(run: Callable[[], object], items: int, repeats: int) -> str:
    """Items a second: median [smallest, largest] over the repeats."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        found.append(items / (time.perf_counter() - start))
    return f"{median(found):9.0f} /s  [{min(found):.0f}, {max(found):.0f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    family = NASBench101()
    rng = random.Random(0)
    cells = [family.sample(rng) for _ in range(args.graphs)]
    estimator = Gennape.from_pretrained(args.weights)
    model = estimator.model
    graphs = [family.graph(cell) for cell in cells]
    store = GraphStore.of(graphs)
    model.outputs(store, batch_size=512)
    print(
        f"{args.graphs} NAS-Bench-101 cells, {store.nodes.mean():.0f} nodes on average, "
        f"{args.threads} thread(s), members {', '.join(model.members)}"
    )
    n, r = args.graphs, args.repeats

    def show(what: str, run: Callable[[], object], items: int = n) -> None:
        print(f"{what:46s} {rates(run, items, r)}")

    show("encoding to graph", lambda: [family.graph(cell) for cell in cells])
    show("graph to batchable arrays", lambda: GraphStore.of(graphs))
    for size in (1, 32, 512):
        part = store.take(range(min(n, 64 * size)))
        show(
            f"arrays to all members' outputs, batch {size}",
            lambda part=part, size=size: model.outputs(part, batch_size=size),  # type: ignore[misc]
            len(part),
        )
    show("graph to score (512 a batch)", lambda: model.score(model.predict(GraphStore.of(graphs))))
    show(
        "encoding to score (512 a batch)",
        lambda: model.score(model.predict(GraphStore.of(family.graph(cell) for cell in cells))),
    )
    batch = store.batch(range(min(n, 512)))
    encoder = model.encoder
    with torch.no_grad():
        show("encoder, equal nodes merged", lambda: encoder(batch), batch.num_graphs)
        whole = unmerged(batch, encoder.config.layers)
        show("encoder, every node", lambda: encoder(batch, plan=whole), batch.num_graphs)
    classes = len(quotient(batch, encoder.config.layers).blocks[-1].own)
    print(f"{batch.num_nodes} nodes of a batch of {batch.num_graphs} fall into {classes} classes")


if __name__ == "__main__":
    main()
