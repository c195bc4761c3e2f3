"""NAS-Bench-101: what limits CL+T (pretraining, rows, labels), and the network over segments.

    python benchmarks/study_nb101.py noise  --labels nasbench101.jsonl.gz
    python benchmarks/study_nb101.py rows   --labels nasbench101.jsonl.gz --run runs/seed0
    python benchmarks/study_nb101.py epochs --labels nasbench101.jsonl.gz --epochs 0 3 12
    python benchmarks/study_nb101.py segments --labels nasbench101.jsonl.gz

``noise`` compares the two labels of cells that have both: no predictor can be expected to
agree with one of them better than they agree with each other. ``rows`` trains the head on
growing parts of the training set over a finished run's encoder; ``epochs`` pretrains the
encoder for several lengths; ``segments`` trains the graph network over segments, as
``gennape pretrain`` does. Figures are on the second validation set, cells from 80 %.
"""

import argparse
from collections.abc import Sequence
from statistics import fmean, pstdev

import numpy as np
import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.encoder import CLEncoder
from gennape_plugin.core.metrics import mae, srcc
from gennape_plugin.core.pretraining import ContrastiveConfig, embed, pretrain_encoder
from gennape_plugin.core.regression import fit_graph_network, fit_heads, predict_graphs
from gennape_plugin.core.segment_network import SegmentNetwork
from gennape_plugin.core.space import EmbeddingSpace
from gennape_plugin.core.spectra import spectra
from gennape_plugin.core.transform import FlopsTransform, Standardize
from gennape_plugin.core.weights import load_model
from torch import Tensor

from gennape_plugin.labels import Labelled, read_labels
from gennape_plugin.pretrain_config import PretrainConfig
from gennape_plugin.protocol import PRUNE_BELOW, Split, split_nasbench101


class Study:
    """Graphs of all sets, and CL+T trained on chosen rows of them."""

    def __init__(self, rows: Sequence[Labelled], split: Split, *, extra: bool) -> None:
        self.train = [*split.train, *(split.extra if extra else ())]
        order = [*self.train, *split.validation_1, *split.validation_2]
        nb101 = family("nasbench101")
        self.store = GraphStore.of(nb101.graph(rows[i].arch) for i in order)
        self.accuracy = torch.from_numpy(split.accuracy[order].astype(np.float32))
        first = len(self.train) + len(split.validation_1)
        self.validation_1 = self.pruned(torch.arange(len(self.train), first))
        self.every_2 = torch.arange(first, len(order))
        self.validation_2 = self.pruned(self.every_2)

    def pruned(self, rows: Tensor) -> Tensor:
        """Those of the rows that reach 80 %."""
        return rows[self.accuracy[rows] >= PRUNE_BELOW]

    def cl_t(self, encoder: CLEncoder, rows: Tensor, *, seed: int) -> tuple[float, float]:
        """MAE and SRCC of CL+T trained on ``rows``."""
        rows = self.pruned(rows)
        gflops, accuracy = self.store.gflops, self.accuracy
        h = embed(encoder, self.store)
        space = EmbeddingSpace(encoder.size)
        space.fit(h[rows], gflops[rows])
        x = space(h, gflops)
        transform = FlopsTransform.fit(accuracy[rows], gflops[rows])
        first, second = self.validation_1, self.validation_2
        heads, _ = fit_heads(
            x[rows],
            None,
            transform.forward(accuracy[rows], gflops[rows]),
            (x[first], None, accuracy[first]),
            decode=lambda y: transform.inverse(y, gflops[first]),
            seed=seed,
        )
        with torch.no_grad():
            predicted = transform.inverse(heads(x[second], None), gflops[second])
        return mae(accuracy[second], predicted), srcc(accuracy[second], predicted)


def show(what: str, found: Sequence[tuple[float, float]]) -> None:
    """One line: mean and standard deviation of MAE and SRCC over the seeds."""
    errors, ranks = zip(*found, strict=True)
    print(
        f"{what:44s} MAE {fmean(errors):.3f} +- {pstdev(errors):.3f} points   "
        f"SRCC {fmean(ranks):.4f} +- {pstdev(ranks):.4f}",
        flush=True,
    )


def noise(rows: Sequence[Labelled], split: Split) -> None:
    """Agreement of the two labels of one cell."""
    both = [r.labels for r in rows if {"test_acc", "valid_acc_max"} <= r.labels.keys()]
    test = np.array([labels["test_acc"] for labels in both])
    joined = split.slope * np.array([labels["valid_acc_max"] for labels in both]) + split.offset
    kept = test >= PRUNE_BELOW
    print(f"{len(both)} cells with both labels, {kept.sum()} of them from 80 %")
    for name, part in (("all", np.full(len(both), True)), ("from 80 %", kept)):
        print(
            f"{name:10s} estimated against measured: MAE {mae(test[part], joined[part]):.3f} "
            f"points, SRCC {srcc(test[part], joined[part]):.4f}"
        )


def rows_curve(args: argparse.Namespace, rows: Sequence[Labelled], split: Split) -> None:
    """CL+T against the number of training rows, encoder fixed."""
    encoder = load_model(args.run)[0].encoder
    study = Study(rows, split, extra=True)
    measured = len(split.train)
    for part in (8, 4, 2, 1):
        chosen = torch.arange(measured)[torch.randperm(measured, generator=_generator())]
        chosen = chosen[: measured // part]
        show(
            f"{len(chosen)} measured rows",
            [study.cl_t(encoder, chosen, seed=seed) for seed in range(args.seeds)],
        )
    every = torch.arange(len(study.train))
    show(
        f"{len(every)} rows, {len(every) - measured} of them estimated",
        [study.cl_t(encoder, every, seed=seed) for seed in range(args.seeds)],
    )


def epochs_curve(args: argparse.Namespace, rows: Sequence[Labelled], split: Split) -> None:
    """CL+T against the length of contrastive pretraining."""
    study = Study(rows, split, extra=False)
    train = study.store.take(range(len(study.train)))
    signatures = spectra(train, ContrastiveConfig().eigenvalues)
    for epochs in args.epochs:
        found = []
        for seed in range(args.seeds):
            config = ContrastiveConfig(epochs=epochs)
            encoder = pretrain_encoder(train, signatures, config=config, seed=seed)
            found.append(study.cl_t(encoder, torch.arange(len(study.train)), seed=seed))
        show(f"{epochs} contrastive epochs", found)


def segments(args: argparse.Namespace, rows: Sequence[Labelled], split: Split) -> None:
    """The graph network over segments; all cells of the second validation set too."""
    study = Study(rows, split, extra=False)
    accuracy, gflops = study.accuracy, study.store.gflops
    chosen = study.pruned(torch.arange(len(study.train)))
    first, second = study.validation_1, study.every_2
    transform = Standardize.fit(accuracy[chosen], gflops[chosen])
    found: list[Tensor] = []
    for seed in range(args.seeds):
        network, fitted = fit_graph_network(
            SegmentNetwork,
            study.store.take(chosen.tolist()),
            transform.forward(accuracy[chosen], gflops[chosen]),
            (study.store.take(first.tolist()), accuracy[first]),
            config=PretrainConfig().segments,
            seed=seed,
        )
        store = study.store.take(second.tolist())
        found.append(transform.inverse(predict_graphs(network, store), store.gflops))
        print(
            f"seed {seed}: epoch {fitted.epoch}, SRCC {fitted.validation_srcc:.4f} on the first",
            flush=True,
        )
    truth = accuracy[second]
    for name, part in (("from 80 %", truth >= PRUNE_BELOW), ("all", truth >= 0)):
        show(name, [(mae(truth[part], f[part]), srcc(truth[part], f[part])) for f in found])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def main() -> None:
    """Run one of the studies."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", choices=("noise", "rows", "epochs", "segments"))
    parser.add_argument("--labels", required=True)
    parser.add_argument("--run", default="runs/seed0")
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 3, 12])
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    rows = list(read_labels(args.labels, family("nasbench101")))
    split = split_nasbench101(rows)
    if args.study == "noise":
        noise(rows, split)
    elif args.study == "rows":
        rows_curve(args, rows, split)
    elif args.study == "segments":
        segments(args, rows, split)
    else:
        epochs_curve(args, rows, split)


if __name__ == "__main__":
    main()
