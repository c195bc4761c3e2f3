"""GENNAPE in NASLib's Bananas and Npenas on NAS-Bench-201, beside their own predictors.

    python benchmarks/naslib_search.py --data FOLDER --out runs/naslib/search.jsonl

The optimizers run as NASLib ships them, with the settings of its ``discrete_config.yaml``. What
differs is the predictor, and how many true accuracies the search may see:

- ``gennape``: none. Scores stand in for accuracies (``ZeroCostScores``); after 200 epochs the ten
  best found are looked up.
- ``gennape-fitted``, ``var_sparse_gp`` (NASLib's setting), ``bananas`` (the MLP of BANANAS): one
  look-up an epoch.
- ``random``: look-ups of random cells.
- ``gennape-all``: no search; the ten best scores of all 15,625 encodings are looked up.
- ``flops-all``: the same with the ten largest networks.

A look-up is the CIFAR-10 validation accuracy; reported is the test accuracy of the cell with the
best validation accuracy among those looked up. Results are appended as they come, and what is
there is not repeated.
"""

import argparse
import heapq
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from gennape_plugin.adapters.naslib import graph_of
from gennape_plugin.core.files import append_json_line, read_json_lines
from naslib.optimizers import Bananas, Npenas
from naslib_nb201 import Encoding, Label, LightCell, dataset_api, read_table

from gennape_plugin.hosts.naslib import ZeroCostScores, register, score_encodings

FINAL = 10
ZERO_SHOT_EPOCHS = 200
OPTIMIZERS = {"bananas": Bananas, "npenas": Npenas}
GENNAPE = "gennape"

#: Predictor type and look-ups.
SETTINGS = (
    (GENNAPE, FINAL),
    *(("gennape-fitted", count) for count in (50, 200)),
    *(("var_sparse_gp", count) for count in (50, 200)),
    *(("bananas", count) for count in (50, 200)),
)


def config(predictor: str, epochs: int, seed: int) -> CfgNode:
    """NASLib's ``naslib/runners/nas/discrete_config.yaml`` with a budget."""
    search = CfgNode(
        {
            "predictor_type": predictor,
            "epochs": epochs,
            "seed": seed,
            "num_init": 10,
            "k": 10,
            "num_ensemble": 1 if predictor.startswith(GENNAPE) else 3,
            "acq_fn_type": "its",
            "acq_fn_optimization": "mutation",
            "encoding_type": "adjacency_one_hot",
            "num_arches_to_mutate": 5,
            "max_mutations": 1,
            "num_candidates": 200,
            "use_zc_api": predictor == GENNAPE,
        }
    )
    return CfgNode({"dataset": "cifar10", "search": search})


def searched(
    optimizer: str, predictor: str, epochs: int, seed: int, api: dict[str, Any]
) -> list[tuple[float, Encoding]]:
    """What a search took for the accuracy of each cell that it chose."""
    scores = ZeroCostScores("nasbench201") if predictor == GENNAPE else None
    search = OPTIMIZERS[optimizer](config(predictor, epochs, seed), zc_api=scores)
    search.adapt_search_space(LightCell(), dataset_api=None if scores is not None else api)
    for epoch in range(epochs):
        search.new_epoch(epoch)
    return [
        (float(model.accuracy), tuple(map(int, model.arch.get_hash())))
        for model in search.train_data
    ]


def chosen(table: dict[Encoding, Label], looked_up: Iterable[Encoding]) -> Label:
    return max((table[cell] for cell in looked_up), key=lambda label: label.valid)


def best_scores(found: Iterable[tuple[float, Encoding]]) -> list[Encoding]:
    """The cells with the ten best scores."""
    scores = {cell: score for score, cell in found}
    return heapq.nlargest(FINAL, scores, key=lambda cell: scores[cell])


def table_of(rows: list[dict[str, Any]]) -> str:
    """Mean, deviation and extremes over seeds."""
    runs: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        runs[row["optimizer"], row["predictor"], row["lookups"]].append(row)
    lines = [
        "optimizer | predictor | look-ups | test accuracy of the chosen cell | worst, best | seeds "
        "| CPU s a run",
        "- | - | -: | -: | -: | -: | -:",
    ]
    for (optimizer, predictor, lookups), found in sorted(runs.items()):
        tests = [row["test"] for row in found]
        spread = f" ± {statistics.stdev(tests):.2f}" if len(tests) > 1 else ""
        cpu = statistics.mean(row["cpu_s"] for row in found)
        lines.append(
            f"{optimizer} | {predictor} | {lookups} | {statistics.mean(tests):.2f}{spread} | "
            f"{min(tests):.2f}, {max(tests):.2f} | {len(tests)} | {cpu:.0f}"
        )
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with nasbench201.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path("runs/naslib/search.jsonl"))
    parser.add_argument("--predictors", nargs="*", default=[name for name, _ in SETTINGS])
    parser.add_argument("--optimizers", nargs="*", default=list(OPTIMIZERS), choices=OPTIMIZERS)
    parser.add_argument("--lookups", nargs="*", type=int, default=[FINAL, 50, 200])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_json_lines(args.out)
    done = {(r["optimizer"], r["predictor"], r["lookups"], r["seed"]) for r in rows}

    table = read_table(args.data)
    api = dataset_api({cell: label.valid for cell, label in table.items()})
    print(f"best test accuracy {max(label.test for label in table.values()):.2f}, that of the "
          f"cell with the best validation accuracy {chosen(table, table).test:.2f}")  # fmt: skip

    def keep(
        optimizer: str, predictor: str, lookups: int, seed: int, found: Label, cpu: float
    ) -> None:
        row = {"optimizer": optimizer, "predictor": predictor, "lookups": lookups, "seed": seed}
        rows.append({**row, "valid": found.valid, "test": found.test, "cpu_s": cpu})
        append_json_line(args.out, rows[-1])
        print(*rows[-1].values(), flush=True)

    if not args.table:
        cells = sorted(table)
        if ("none", "gennape-all", FINAL, 0) not in done and GENNAPE in args.predictors:
            start = time.process_time()
            scores = zip(score_encodings("nasbench201", cells), cells, strict=True)
            found = chosen(table, best_scores(scores))
            keep("none", "gennape-all", FINAL, 0, found, time.process_time() - start)
        if ("none", "flops-all", FINAL, 0) not in done:
            start = time.process_time()
            sizes = ((float(graph_of("nasbench201", cell).flops), cell) for cell in cells)
            found = chosen(table, best_scores(sizes))
            keep("none", "flops-all", FINAL, 0, found, time.process_time() - start)
        undo = [register(GENNAPE, fine_tune=False), register("gennape-fitted")]
        for seed in range(args.seeds):
            for count in args.lookups:
                if ("none", "random", count, seed) not in done:
                    drawn = random.Random(seed).sample(cells, count)
                    keep("none", "random", count, seed, chosen(table, drawn), 0.0)
            for predictor, lookups in SETTINGS:
                for optimizer in args.optimizers:
                    wanted = predictor in args.predictors and lookups in args.lookups
                    if not wanted or (optimizer, predictor, lookups, seed) in done:
                        continue
                    random.seed(seed)
                    np.random.seed(seed)
                    torch.manual_seed(seed)
                    epochs = ZERO_SHOT_EPOCHS if predictor == GENNAPE else lookups
                    start = time.process_time()
                    trail = searched(optimizer, predictor, epochs, seed, api)
                    cpu = time.process_time() - start
                    looked_up = (
                        best_scores(trail) if predictor == GENNAPE else [c for _, c in trail]
                    )
                    keep(optimizer, predictor, lookups, seed, chosen(table, looked_up), cpu)
        for take_back in reversed(undo):
            take_back()
    print(table_of(rows))


if __name__ == "__main__":
    main()
