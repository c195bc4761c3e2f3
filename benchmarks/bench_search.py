"""From the best known networks of three families to cheaper ones (the paper's Table 7).

    python benchmarks/bench_search.py --data FOLDER [--seeds 3] [--out FILE]

NAS-Bench-101 uses the shipped weights as they are. The other two are far from their training
graphs, so the weights are first tuned with 50 labels of the family (for once-for-all ResNet50
a surrogate's), drawn with the seed.
"""

import argparse
import random
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from gennape_plugin.core.files import append_json_line

from gennape_plugin import Gennape
from gennape_plugin.families import family
from gennape_plugin.label_sets import label_set
from gennape_plugin.labels import read_labels
from gennape_plugin.search import SearchConfig, search

#: Family, and by how much the paper's FLOPs fall.
STARTS = {"nasbench101": 0.19, "nasbench201": 0.10, "ofa_resnet50": 0.22}
LABELS = 50


def labelled(name: str, data: Path) -> tuple[list[tuple[Any, float]], list[tuple[Any, float]]]:
    """Architectures with accuracies in percent: all, and those that labels are drawn from.

    The latter are the family's usual part: NAS-Bench-201 without ``none``, as in the paper.
    """
    labels = label_set(name)
    rows = [
        row
        for row in read_labels(data / labels.file, family(name), keep=labels.keep)
        if row.labels.get(labels.target) is not None
    ]
    scale = 1 if labels.percent else 100
    pairs = [(row.arch, scale * row.labels[labels.target]) for row in rows]
    part = next(iter(labels.subsets.values())) if name != "nasbench101" else None
    return pairs, pairs if part is None else [pairs[i] for i in part(rows)]


def tuned(name: str, rows: list[tuple[Any, float]], seed: int) -> Gennape:
    """The shipped weights; tuned with labels for all but the family they were trained on."""
    shipped = Gennape.from_pretrained()
    if name == "nasbench101":
        return shipped
    chosen = random.Random(seed).sample(rows, LABELS)
    make = family(name).graph
    return shipped.fine_tune([make(a) for a, _ in chosen], [y for _, y in chosen], seed=seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--population", type=int, default=40)
    parser.add_argument("--engines", nargs="+", default=["nsga2", "local"])
    parser.add_argument("--only", nargs="+", default=list(STARTS))
    parser.add_argument("--out", type=Path, help="results as JSON lines")
    args = parser.parse_args()
    for name in args.only:
        rows, pool = labelled(name, args.data)
        arch, label = max(rows, key=lambda row: row[1])
        start = family(name).graph(arch)
        print(f"{name}: best of {len(rows)} labels, {label:.2f} %, {start.flops / 1e9:.4g} GFLOPs")
        for engine in args.engines:
            kept = []
            for seed in range(args.seeds):
                begun, worked = perf_counter(), process_time()
                config = SearchConfig(
                    iterations=args.iterations,
                    population=args.population,
                    min_accuracy="start",
                    engine=engine,
                    seed=seed,
                )
                estimator = tuned(name, pool, seed)
                found, _, scorer = search(estimator, start, config)
                wall, cpu = perf_counter() - begun, process_time() - worked
                first = found.start.scores
                times = found.seconds
                total = sum(times.values())
                shares = {key: round(value / total, 3) for key, value in times.items()}
                record = {
                    "family": name,
                    "engine": engine,
                    "seed": seed,
                    "basis": scorer.basis,
                    "wall": wall,
                    "cpu": cpu,
                    "scored": len(found.scored),
                    "shares": shares,
                    "start": first.to_dict(),
                    "front": [c.scores.to_dict() for c in found.front],
                }
                if args.out:
                    append_json_line(args.out, record)
                if not found.front:
                    print(f"  {engine} seed {seed}: none met the constraints, {wall:.0f} s")
                    continue
                cheap = min(found.front, key=lambda c: c.scores.flops).scores
                kept.append(1 - cheap.flops / first.flops)
                low, high = cheap.interval or (float("nan"), float("nan"))
                print(
                    f"  {engine} seed {seed} ({scorer.basis}): FLOPs -{kept[-1]:.1%}, accuracy "
                    f"{first.accuracy:.2f} to {cheap.accuracy:.2f} % (90 % {low:.1f} to "
                    f"{high:.1f}), quality {first.quality:.3f} to {cheap.quality:.3f}, distance "
                    f"{first.distance:.2f} to {cheap.distance:.2f}, {len(found.front)} on the "
                    f"front, {len(found.scored)} scored, {wall:.0f} s "
                    f"({cpu:.0f} s of one core), {shares}",
                    flush=True,
                )
            if kept:
                print(
                    f"  {engine}: FLOPs -{np.mean(kept):.1%} ± {np.std(kept):.1%} over "
                    f"{len(kept)} of {args.seeds} seeds (paper: -{STARTS[name]:.0%})"
                )


if __name__ == "__main__":
    main()
