"""GENNAPE beside predictors of NASLib, in NASLib's PredictorEvaluator, on NAS-Bench-201.

python examples/naslib_predictors.py --data FOLDER

FOLDER holds ``nasbench201.jsonl.gz``: JSON lines with ``arch_str`` and ``c10_test_acc_200ep``.
"""

import argparse
import contextlib
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from fvcore.common.config import CfgNode
from naslib.defaults.predictor_evaluator import PredictorEvaluator
from naslib.predictors import GPPredictor, RandomForestPredictor
from naslib.search_spaces import NasBench201SearchSpace
from naslib.utils.encodings import EncodingType

from gennape_plugin.hosts.naslib import GennapePredictor

FILE = "nasbench201.jsonl.gz"
ONE_HOT = EncodingType.ADJACENCY_ONE_HOT


def read_labels(folder: Path) -> dict[str, Any]:
    """The table in the form in which NASLib looks accuracies up."""
    path = folder / FILE
    if not path.is_file():
        raise SystemExit(
            f"{path} is missing: NASLib's predictors need labels; give the folder that holds "
            f"{FILE} (examples/naslib_score.py needs none)"
        )
    with gzip.open(path, "rt") as file:
        rows = [json.loads(line) for line in file]
    return {
        "nb201_data": {
            row["arch_str"]: {
                "cifar10-valid": {
                    "eval_acc1es": [row["c10_test_acc_200ep"]],
                    "cost_info": {"train_time": 0.0},
                }
            }
            for row in rows
        }
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {FILE}")
    parser.add_argument("--test", type=int, default=100, help="test cells; 0.5 s each to make")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    table = read_labels(args.data)
    predictors = {
        "gennape, zero-shot": GennapePredictor(fine_tune=False),
        "gennape, population": GennapePredictor(fine_tune=False, scoring="population"),
        "gennape, fitted": GennapePredictor(),
        "gp": GPPredictor(encoding_type=ONE_HOT),
        "rf": RandomForestPredictor(encoding_type=ONE_HOT),
    }
    print(f"{'predictor':20} labels  kendall spearman   fit s  query ms")
    with tempfile.TemporaryDirectory() as folder:
        for name, predictor in predictors.items():
            config = CfgNode(
                {
                    "experiment_type": "vary_train_size",
                    "test_size": args.test,
                    "train_size_list": sorted(args.labels),
                    "train_size_single": max(args.labels),
                    "fidelity_single": -1,
                    "fidelity_list": [],
                    "max_hpo_time": 0,
                    "uniform_random": True,
                    "dataset": "cifar10",
                    "save": folder,
                }
            )
            space = NasBench201SearchSpace()
            space.instantiate_model = False
            evaluator = PredictorEvaluator(predictor, config=config)
            evaluator.adapt_search_space(space, load_labeled=False, dataset_api=table)
            np.random.seed(args.seed)  # the same cells for all
            with contextlib.redirect_stdout(io.StringIO()):  # it prints every prediction
                evaluator.evaluate()
            for row in evaluator.results[1:]:
                found = f"{row['kendalltau']:8.3f} {row['spearman']:8.3f}"
                seconds = f"{row['fit_time']:7.2f} {1000 * row['query_time']:9.2f}"
                print(f"{name:20} {row['train_size']:6} {found} {seconds}", flush=True)


if __name__ == "__main__":
    main()
