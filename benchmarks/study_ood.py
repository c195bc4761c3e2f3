"""Which measures tell networks like the training graphs from others.

    python benchmarks/study_ood.py [--networks 300]

Networks are drawn from each family's search space; no labels are used. Prints, for the
distance, the entropy of fuzzy memberships and the share of operations whose label was never
trained on: the area under the ROC curve against NAS-Bench-101 cells, and the share of each
family that the threshold (99 % of these cells stay below) calls unfamiliar.
"""

import argparse
import random

import numpy as np
import torch
from gennape_plugin.adapters.families import families
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.members import HeadMember
from sklearn.metrics import roc_auc_score

from gennape_plugin import Gennape
from gennape_plugin.familiarity import checked_seen


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--networks", type=int, default=300)
    args = options.parse_args()
    estimator = Gennape.from_pretrained()
    member = estimator.model.members["cl+fcm+t"]
    assert isinstance(member, HeadMember)
    assert member.partition is not None
    labels = set(checked_seen(estimator.card)["labels"])
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, space in families().items():
        rng = random.Random(0)
        store = GraphStore.of(space.graph(space.sample(rng)) for _ in range(args.networks))
        outputs = estimator.model.predict(store)
        with torch.no_grad():
            weights = member.partition(outputs.embedding).double()
        entropy = -(weights * weights.clamp(min=1e-12).log()).sum(1) / np.log(weights.shape[1])
        found[name] = {
            "distance": outputs.distance.numpy(),
            "entropy": entropy.numpy(),
            "unseen": store.unseen(labels).numpy(),
        }
    known = found.pop("nasbench101")
    limits = {measure: np.quantile(values, 0.99) for measure, values in known.items()}
    print(f"{'':20s}" + "".join(f"{m:>26s}" for m in known))
    print(f"{'threshold':20s}" + "".join(f"{limits[m]:26.3f}" for m in known))
    for name, values in found.items():
        cells = []
        for measure, inside in known.items():
            outside = values[measure]
            truth = [0] * len(inside) + [1] * len(outside)
            area = roc_auc_score(truth, np.concatenate([inside, outside]))
            share = float((outside > limits[measure]).mean())
            cells.append(f"AUC {area:.3f}, beyond {share:6.1%}")
        print(f"{name:20s}" + "".join(f"{cell:>26s}" for cell in cells))


if __name__ == "__main__":
    main()
