"""Ranks torchvision's ImageNet networks without training, against their published accuracies.

    PYTHONPATH=.venv/zoo python benchmarks/rank_torchvision.py --labels FILE [--synflow]

Labels are JSON lines with ``model``, ``weights`` and ``acc_at_1`` (percent); those of the first
ImageNet-1K recipes (``IMAGENET1K_V1``) are used, without quantised networks. Prints Kendall's
tau-b of each score with a bootstrap interval over networks, and of its difference from that
of parameters. ``score_population`` and PRIOR8 use the unlabelled population.
"""

import argparse
import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from gennape_plugin.adapters.torch import capture
from gennape_plugin.adapters.torch.proxies import zero_cost
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.metrics import kendall_tau_b
from gennape_plugin.core.ranker import SIZE, Ranker, normal_scores, quantiles
from gennape_plugin.core.statistics import STATISTICS

from gennape_plugin import Gennape
from gennape_plugin.zoo.torchvision_models import imported

RESAMPLES = 2000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--labels", required=True)
    options.add_argument("--synflow", action="store_true", help="minutes: runs every network")
    args = options.parse_args()
    models = imported()
    rows = [r for r in read(Path(args.labels)) if usable(r)]
    graphs, synflow = [], []
    for row in rows:
        size = models.get_model_weights(row["model"])["IMAGENET1K_V1"].transforms().crop_size[0]
        auxiliary = {"inception_v3": {"init_weights": False}, "googlenet": {"init_weights": False}}
        settings = auxiliary.get(row["model"], {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = models.get_model(row["model"], **settings)
        graphs.append(capture(net, (3, size, size), name=row["model"]).graph)
        if args.synflow:
            synflow.append(
                zero_cost(net, (3, 224, 224), names=["synflow"], batch_size=1)["synflow"]
            )
        del net
    truth = np.array([row["acc_at_1"] for row in rows])
    estimator, store = Gennape.from_pretrained(), GraphStore.of(graphs)
    found = estimator.score_population(graphs)
    scores = {
        "score_population": np.array([p.score for p in found]),
        "score": np.array([p.score for p in estimator.score_many(graphs)]),
        "PRIOR8": Ranker()(store.statistics).numpy(),
        "trees": normal_scores(estimator.model.ranker.trees(quantiles(store.statistics))).numpy(),
        "FLOPs": np.array([g.flops for g in graphs], dtype=float),
        "params": np.array([g.params for g in graphs], dtype=float),
        **({"synflow": np.array(synflow)} if synflow else {}),
    }
    print(f"{len(rows)} networks, accuracies {truth.min():.1f} to {truth.max():.1f} %; "
          f"{sum(p.distance <= 1 for p in found)} within distance 1")  # fmt: skip
    draws = np.random.default_rng(0).integers(len(rows), size=(RESAMPLES, len(rows)))
    taus = {
        name: np.array([kendall_tau_b(truth[d], values[d]) for d in draws])
        for name, values in scores.items()
    }
    for name, values in scores.items():
        low, high = np.nanquantile(taus[name], [0.025, 0.975])
        text = f"{name:18s} tau-b {kendall_tau_b(truth, values):.3f} [{low:.3f}, {high:.3f}]"
        low, high = np.nanquantile(taus[name] - taus["params"], [0.025, 0.975])
        print(f"{text}   minus params' [{low:+.3f}, {high:+.3f}]")
    print("\nstatistics alone, to see which of them carry over")
    for column, name in enumerate(STATISTICS):
        tau = kendall_tau_b(truth, store.statistics[:, column].numpy())
        print(f"  {name:22s} {tau:+.3f}{'  (size prior)' if name in SIZE else ''}")
    print("\nfurthest off in rank (ours - true)")
    off = rank(scores["score_population"]) - rank(truth)
    for i in [*np.argsort(off)[:6], *np.argsort(-off)[:6]]:
        print(f"  {rows[i]['model']:24s} {off[i]:+4.0f}  {truth[i]:.1f} %")


def rank(values: Any) -> Any:
    return np.argsort(np.argsort(values))


def usable(row: dict[str, Any]) -> bool:
    return (
        row["weights"].endswith("IMAGENET1K_V1")
        and "Quantized" not in row["weights"]
        and row.get("acc_at_1") is not None
    )


def read(path: Path) -> list[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    main()
