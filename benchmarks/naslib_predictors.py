"""GENNAPE beside NASLib's own predictors on NAS-Bench-201: Kendall's tau by number of labels.

    python benchmarks/naslib_predictors.py --data FOLDER --out runs/naslib/predictors.jsonl

Every predictor sees the same cells: for each seed 200 test cells and nested training sets, drawn
without the cells that NASLib never samples. Each is made as NASLib's Ensemble makes it, with one
member and default hyperparameters, in percent of CIFAR-10 test accuracy. Results are appended as
they come; started again, what is there is not repeated. ``--proxies`` measures NASLib's zero-cost
proxies on the test cells, on a batch of noise (no images are needed).
"""

import argparse
import contextlib
import io
import random
import statistics
import time
from collections import defaultdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gennape_plugin.adapters.naslib import graph_of
from gennape_plugin.core.files import append_json_line, read_json_lines
from naslib.predictors.ensemble import Ensemble
from naslib.predictors.zerocost import ZeroCost
from naslib.search_spaces.nasbench201.graph import NasBench201SearchSpace
from naslib_nb201 import Encoding, Label, graphs, read_table
from scipy.stats import kendalltau

from gennape_plugin.hosts.naslib import GennapePredictor

TEST = 200
GENNAPE = "gennape"
PREDICTORS = (
    *(GENNAPE, "rf", "lgb", "xgb", "gp", "gcn", "bonas", "mlp", "ngb", "var_sparse_gp", "dngo"),
    *("bananas", "bayes_lin_reg", "sparse_gp", "gpwl", "nao", "seminas", "bohamiann"),
)
PROXIES = ("params", "flops", "synflow", "nwot", "jacov", "snip", "grad_norm")


def sampled(encoding: Encoding) -> bool:
    """Whether NASLib's own sampling can draw the cell."""
    a = encoding
    return not (a[0] == a[1] == a[2] == 1 or a[2] == a[4] == a[5] == 1)


def split(table: dict[Encoding, Label], seed: int, most: int) -> tuple[list[Encoding], ...]:
    """Test and training cells of a seed; smaller training sets begin larger ones."""
    cells = random.Random(seed).sample(sorted(filter(sampled, table)), TEST + most)
    return cells[:TEST], cells[TEST:]


def seeded(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def predict(name: str, train: Any, labels: list[float], test: Any) -> tuple[Any, float, float]:
    """Predictions, CPU seconds of fit, CPU seconds of query."""
    if name == GENNAPE:
        predictor: Any = GennapePredictor("nasbench201")
    else:
        predictor = Ensemble(num_ensemble=1, ss_type="nasbench201", predictor_type=name)
    predictor.pre_process()
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):  # some of NASLib's print as they train
        if name == "seminas":
            predictor.set_pre_computations(unlabeled=train)
        predictor.fit(train, labels)
        fitted = time.process_time()
        found = np.asarray(predictor.query(test), dtype=float)
    end = time.process_time()
    return found.reshape(-1, len(test)).mean(axis=0), fitted - start, end - fitted


def zero_shot(cells: list[Encoding]) -> dict[str, tuple[Any, float]]:
    """Scores and CPU seconds without a label."""
    found: dict[str, tuple[Any, float]] = {}
    for scoring in ("single", "population"):
        predictor = GennapePredictor("nasbench201", scoring=scoring)  # type: ignore[arg-type]
        predictor.pre_process()
        start = time.process_time()
        scores = predictor.query(graphs(cells))
        found[f"gennape, {scoring}"] = scores, time.process_time() - start
    networks = [graph_of("nasbench201", cell) for cell in cells]
    found["FLOPs"] = [network.flops for network in networks], 0.0
    found["parameters"] = [network.params for network in networks], 0.0
    return found


def proxies(names: list[str], cells: list[Encoding]) -> dict[str, tuple[Any, float]]:
    """NASLib's zero-cost proxies on parsed networks, making the network not timed."""
    noise = torch.randn(32, 3, 32, 32), torch.randint(10, (32,))
    found: dict[str, list[float]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    for cell in cells:
        graph = NasBench201SearchSpace()
        graph.set_spec(list(cell))
        graph.parse()
        for name in names:
            start = time.process_time()
            score = ZeroCost(method_type=name).query(graph, dataloader=[noise])
            seconds[name] += time.process_time() - start
            found[name].append(float(np.nan_to_num(score, posinf=1e30, neginf=-1e30)))
    return {name: (found[name], seconds[name]) for name in names}


def table_of(rows: list[dict[str, Any]]) -> str:
    """Mean and deviation over seeds."""
    taus: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        taus[row["predictor"], row["labels"]].append(row)
    lines = [
        "predictor | labels | Kendall's tau | seeds | fit, CPU s | query, CPU ms a cell",
        "- | -: | -: | -: | -: | -:",
    ]
    for (name, labels), found in sorted(taus.items(), key=lambda item: (item[0][1], item[0][0])):
        values = [row["tau"] for row in found if isfinite(row["tau"])]
        constant = len(found) - len(values)  # equal predictions have no order
        seeds = f"{len(found)}, {constant} without order" if constant else f"{len(found)}"
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        tau = f"{statistics.mean(values):.3f}{spread}" if values else "-"
        fit = statistics.mean(row["fit_s"] for row in found)
        query = statistics.mean(row["query_s"] for row in found) / TEST * 1000
        lines.append(f"{name} | {labels} | {tau} | {seeds} | {fit:.2f} | {query:.2f}")
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with nasbench201.jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path("runs/naslib/predictors.jsonl"))
    parser.add_argument("--predictors", nargs="*", default=list(PREDICTORS), metavar="NAME")
    parser.add_argument("--proxies", nargs="*", default=[], choices=PROXIES, metavar="NAME")
    parser.add_argument("--sizes", nargs="*", type=int, default=[50, 10, 100, 500])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_json_lines(args.out)
    done = {(row["predictor"], row["labels"], row["seed"]) for row in rows}

    def keep(name: str, labels: int, seed: int, found: Any, fit: float, query: float) -> None:
        tau = float(kendalltau(found, truth).statistic)
        row = {"predictor": name, "labels": labels, "seed": seed, "tau": tau}
        rows.append({**row, "fit_s": fit, "query_s": query})
        append_json_line(args.out, rows[-1])
        print(f"{name:20} {labels:4} labels, seed {seed}: tau {tau:.3f}, {fit:.1f} s", flush=True)

    cells = read_table(args.data)
    for seed in [] if args.table else range(args.seeds):
        test, train = split(cells, seed, 500)
        truth = [cells[cell].test for cell in test]
        labels = [cells[cell].test for cell in train]
        if ("gennape, single", 0, seed) not in done:
            for name, (found, seconds) in zero_shot(test).items():
                keep(name, 0, seed, found, 0.0, seconds)
        wanted = [name for name in args.proxies if (f"{name} (noise)", 0, seed) not in done]
        for name, (found, seconds) in (proxies(wanted, test) if wanted else {}).items():
            keep(f"{name} (noise)", 0, seed, found, 0.0, seconds)
        for size in args.sizes:
            for name in args.predictors:
                if (name, size, seed) in done:
                    continue
                seeded(seed)
                made = graphs(train[:size]), labels[:size], graphs(test)
                try:
                    keep(name, size, seed, *predict(name, *made))
                except Exception as error:
                    # One predictor that fails must not end the comparison; it is named.
                    print(f"{name}: {type(error).__name__}: {error}"[:200], flush=True)
    print(table_of(rows))


if __name__ == "__main__":
    main()
