"""What tells a network of another family from NAS-Bench-101's, without labels.

    python benchmarks/study_ood.py --data FOLDER [--networks 300]

NAS-Bench-101's are held-out cells of the benchmark (its labels are not read); the other
families' networks are drawn by their samplers. For each measure: the area under the ROC curve,
and the share of networks beyond the limit (distance 1; for the entropy, what 99 % of the
held-out cells keep; any operation never trained on).
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.members import HeadMember, SegmentMember
from sklearn.metrics import roc_auc_score

from gennape_plugin import Gennape
from gennape_plugin.familiarity import checked_seen
from gennape_plugin.families import families, family
from gennape_plugin.label_sets import label_set
from gennape_plugin.labels import read_labels

KNOWN = "nasbench101"


@torch.no_grad()
def measures(estimator: Gennape, graphs: Sequence[ComputeGraph]) -> dict[str, np.ndarray]:
    """Every measure of every graph; larger is less familiar."""
    model, store = estimator.model, GraphStore.of(graphs)
    batch = store.batch(range(len(store)))
    x = model.space(model.encoder(batch), batch.gflops)
    fuzzy, segments = model.members["cl+fcm+t"], model.members["segments"]
    assert isinstance(fuzzy, HeadMember)
    assert isinstance(segments, SegmentMember)
    assert fuzzy.partition is not None
    weights = fuzzy.partition(x).double()
    entropy = -(weights * weights.clamp(min=1e-12).log()).sum(1) / np.log(weights.shape[1])
    own = segments.raw_and_distance(batch, x)[1]
    assert own is not None
    return {
        "encoder": model.space.distance(x).numpy(),
        "segments": own.numpy(),
        "distance": model.predict(store).distance.numpy(),
        "entropy": entropy.numpy(),
        "unseen": store.unseen(set(checked_seen(estimator.card)["labels"])).numpy(),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--networks", type=int, default=300)
    args = options.parse_args()
    estimator = Gennape.from_pretrained()
    cells, known_labels = family(KNOWN), label_set(KNOWN)
    rows = list(read_labels(args.data / known_labels.file, cells))
    held_out = list(known_labels.subsets["validation_2"](rows))
    chosen = random.Random(0).sample(held_out, min(args.networks, len(held_out)))
    known = measures(estimator, [cells.graph(rows[i].arch) for i in chosen])
    limits = {"encoder": 1.0, "segments": 1.0, "distance": 1.0, "unseen": 0.0}
    limits["entropy"] = float(np.quantile(known["entropy"], 0.99))
    print(f"{'':20s}" + "".join(f"{m:>26s}" for m in known))
    beyond = {m: float((values > limits[m]).mean()) for m, values in known.items()}
    print(
        f"{'held-out cells':20s}" + "".join(f"{f'beyond {b:6.1%}':>26s}" for b in beyond.values())
    )
    for name, space in families().items():
        if name == KNOWN:
            continue
        rng = random.Random(0)
        found = measures(estimator, [space.graph(space.sample(rng)) for _ in range(args.networks)])
        cells_of = []
        for measure, outside in found.items():
            truth = [0] * len(known[measure]) + [1] * len(outside)
            area = roc_auc_score(truth, np.concatenate([known[measure], outside]))
            share = float((outside > limits[measure]).mean())
            cells_of.append(f"AUC {area:.3f}, beyond {share:6.1%}")
        print(f"{name:20s}" + "".join(f"{cell:>26s}" for cell in cells_of), flush=True)


if __name__ == "__main__":
    main()
