"""NASLib's Bananas or Npenas on NAS-Bench-201 with GENNAPE for a judge: no label, no training.

python examples/naslib_search.py --optimizer npenas --epochs 30
"""

import argparse
import random
import time

import numpy as np
from fvcore.common.config import CfgNode
from naslib.optimizers import Bananas, Npenas
from naslib.search_spaces import NasBench201SearchSpace
from naslib.search_spaces.nasbench201.conversions import convert_op_indices_to_str

from gennape_plugin.hosts.naslib import ZeroCostScores, register

OPTIMIZERS = {"bananas": Bananas, "npenas": Npenas}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="bananas")
    parser.add_argument("--epochs", type=int, default=30, help="architectures to choose")
    parser.add_argument("--candidates", type=int, default=20, help="mutants to score a round")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    np.random.seed(args.seed)
    start = time.perf_counter()

    undo = register("gennape", fine_tune=False)  # predictor_type "gennape" exists from here on
    config = CfgNode(
        {
            "dataset": "cifar10",
            "search": {
                "predictor_type": "gennape",
                "epochs": args.epochs,
                "num_init": 10,
                "k": 10,
                "num_ensemble": 1,  # members would all be equal
                "acq_fn_type": "exploit_only",
                "acq_fn_optimization": "mutation",
                "encoding_type": "adjacency_one_hot",  # read by NASLib, unused
                "num_arches_to_mutate": 5,
                "max_mutations": 1,
                "num_candidates": args.candidates,
                "use_zc_api": True,  # scores instead of looked-up accuracies
            },
        }
    )
    space = NasBench201SearchSpace()
    space.instantiate_model = False
    search = OPTIMIZERS[args.optimizer](config, zc_api=ZeroCostScores("nasbench201"))
    search.adapt_search_space(space)
    for epoch in range(args.epochs):
        search.new_epoch(epoch)
    undo()

    found = {model.arch.get_hash(): float(model.accuracy) for model in search.train_data}
    seconds = time.perf_counter() - start
    print(f"{len(found)} architectures chosen in {seconds:.0f} s; the best by score:")
    for encoding in sorted(found, key=lambda key: -found[key])[:5]:
        print(f"{found[encoding]:+.3f}  {convert_op_indices_to_str(encoding)}")


if __name__ == "__main__":
    main()
