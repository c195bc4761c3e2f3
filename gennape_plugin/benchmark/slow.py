"""What takes minutes to hours: Table 3's comparators, Table 1's zero-cost proxies."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from gennape_plugin.adapters.torch.proxies import zero_cost
from gennape_plugin.comparators import table3_comparators
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.files import append_json_line, read_json_lines
from gennape_plugin.core.metrics import bootstrap_interval, spread, srcc
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.families import family
from gennape_plugin.label_sets import label_set
from gennape_plugin.labels import read_labels
from gennape_plugin.pools import truth_of

#: Networks a family for the proxies, the same for everybody.
NETWORKS: Final = 300
#: Table 1's proxies, and two more.
NAMES: Final = ("synflow", "jacov", "fisher", "snip", "nwot", "grad_norm", "params", "flops")
_BATCH: Final = {32: 64, 224: 8}


def comparators(
    labels: Path, seeds: Sequence[int], note: Callable[[str], None]
) -> dict[str, dict[str, dict[str, float]]]:
    """MAE and SRCC of NPN, BANANAS and TNASP on the second validation set, cells from 80 %."""
    runs = table3_comparators(labels, seeds=seeds, note=note)["runs"]
    return {
        name: {
            metric: spread([run["validation_2"]["from_80"][metric] for run in of_seeds])
            for metric in ("mae", "srcc")
        }
        for name, of_seeds in runs.items()
    }


def proxies(
    labels: Path, family_name: str, kept: Path, model: GennapeModel
) -> dict[str, dict[str, float]]:
    """SRCC of zero-cost proxies, with bootstrap intervals, on a fixed draw of networks.

    Beside them, the model's two zero-shot scores of the same networks.

    Weights are PyTorch's initial ones, batches random numbers: 64 samples, or 8 of large
    images. Every network's values go to ``kept`` at once, so nothing is computed twice.
    """
    import torch

    known, space = label_set(family_name), family(family_name)
    rows = list(read_labels(labels, space, keep=known.keep))
    rows = [rows[i] for i in next(iter(known.subsets.values()))(rows)]
    archs = [row.arch for row in rows]
    truth = truth_of(rows, known.target, percent=known.percent, path=labels)
    chosen = random.Random(0).sample(range(len(archs)), min(NETWORKS, len(archs)))
    found = {record["arch"]: record["values"] for record in read_json_lines(kept)}
    for row in chosen:
        key = str(archs[row])
        if key in found:
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(row)
            module = space.module(archs[row])
        size = space.input_shape[-1]
        values = zero_cost(
            module, space.input_shape, names=NAMES, batch_size=_BATCH.get(size, 16), seed=0
        )
        found[key] = {name: _rankable(value) for name, value in values.items()}
        append_json_line(kept, {"arch": key, "values": found[key]})
    labels_of = truth[chosen]
    columns = {
        name: np.array([found[str(archs[row])][name] for row in chosen], dtype=np.float64)
        for name in NAMES
    }
    outputs = model.predict(GraphStore.of(space.graph(archs[row]) for row in chosen))
    columns["score"] = model.score(outputs).double().numpy()
    columns["score_population"] = model.population_score(outputs).numpy()
    results = {}
    for name, scores in columns.items():
        interval = bootstrap_interval(srcc, labels_of, scores, resamples=1000)
        results[name] = {
            "mean": srcc(labels_of, scores), "low": interval.low, "high": interval.high
        }  # fmt: skip
    return results


def _rankable(value: float) -> float:
    """Infinities as the largest finite numbers: they have a rank, and JSON can hold them."""
    return float(np.clip(value, -1e300, 1e300))
