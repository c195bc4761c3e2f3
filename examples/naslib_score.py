"""Random architectures of a NASLib search space, ranked without a label.

python examples/naslib_score.py --space nasbench301 --count 20
"""

import argparse
import random
from dataclasses import replace

import numpy as np
from gennape_plugin.adapters.naslib.spaces import plain
from naslib.search_spaces import get_search_space

from gennape_plugin import Gennape
from gennape_plugin.prediction import table

SPACES = ("nasbench201", "nasbench301", "transbench101_micro", "transbench101_macro")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", choices=SPACES, default="nasbench201")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    np.random.seed(args.seed)  # NASLib draws from both

    # A NASLib graph takes some 0.5 s and 9 MB to make: one is held at a time.
    dataset = "class_object" if args.space.startswith("transbench101") else "cifar10"
    estimator = Gennape.from_pretrained()
    found, encodings = [], {}
    for place in range(args.count):
        graph = get_search_space(args.space, dataset)
        graph.instantiate_model = False  # the encoding is enough
        graph.sample_random_architecture()
        name = f"sample {place}"
        found.append(replace(estimator.score(graph), name=name))
        encodings[name] = graph.get_hash()
    found.sort(key=lambda prediction: -prediction.score)
    print(table(found))
    print(f"\nthe first one's encoding: {plain(encodings[found[0].name])}")


if __name__ == "__main__":
    main()
