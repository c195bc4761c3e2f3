"""What each part of the default's fine-tuning gives, by number of labels.

Every variant is fitted to the same draws of labels and measured by SRCC on 2,000 networks
without one, of each development family:

* ``all parts``: what is shipped;
* ``a deviation's grace``: zero-shot kept only where it is ahead in cross-validation by more
  than one bootstrap deviation of the difference;
* ``never zero-shot``: the regressions whatever cross-validation says;
* ``no line``: without the line in the size prior;
* ``trained encoder only``, ``untrained only``: on one embedding, and on the two others.

    python benchmarks/study_few_labels.py --data FOLDER
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import torch
from gennape_plugin.core.few_shot import CrossValidation, fit_few_shot
from gennape_plugin.core.metrics import bootstrap_difference, srcc
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_outputs import Outputs

from gennape_plugin import Gennape
from gennape_plugin.label_sets import label_set
from gennape_plugin.pools import read_pool

POOLS = {
    "NB-201": ("nasbench201", None),
    "NB-201, all": ("nasbench201", "all"),
    "NB-301": ("nasbench301", None),
    "MBv3": ("ofa_mobilenetv3", None),
    "Macro": ("nasbench_macro", None),
}
REST = 2000


def variants(
    model: GennapeModel, known: Outputs, rest: Outputs, truth: torch.Tensor, seed: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """The score that each variant gives to the networks without a label."""
    size, there = model.ranker.size(known.statistics), model.ranker.size(rest.statistics)
    rankings = [size, model.score(known), model.population_score(known)]
    zero_shot = model.population_score(rest)
    yield "zero-shot", zero_shot

    def tuned(
        known: Outputs, rest: Outputs, *, line: float = 1.0
    ) -> tuple[torch.Tensor, CrossValidation]:
        few, checked = fit_few_shot(known, truth, line * size, rankings=rankings, seed=seed)
        few.blend.fill_(1.0)
        return few.predict(rest, line * there)[0], checked

    def kept(found: torch.Tensor, checked: CrossValidation) -> torch.Tensor:
        return found if checked.helps else zero_shot

    found, checked = tuned(known, rest)
    best = max(rankings, key=lambda ranking: srcc(truth, ranking.double()))
    lead = bootstrap_difference(srcc, truth, checked.predicted, best.double(), level=0.68)
    yield "all parts", kept(found, checked)
    yield "a deviation's grace", zero_shot if lead.high < 0 else found
    yield "never zero-shot", found
    yield "no line", kept(*tuned(known, rest, line=0.0))
    one = [replace(outputs, untrained=()) for outputs in (known, rest)]
    yield "trained encoder only", kept(*tuned(*one))
    two = [
        replace(outputs, embedding=outputs.untrained[0], untrained=outputs.untrained[1:])
        for outputs in (known, rest)
    ]
    yield "untrained only", kept(*tuned(*two))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--labels", nargs="+", type=int, default=[8, 25, 50])
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    model = Gennape.from_pretrained().model
    model.add_untrained()
    figures: dict[tuple[int, str], dict[str, list[float]]] = {}
    for title, (name, subset) in POOLS.items():
        labels = args.data / label_set(name).file
        pool = read_pool(labels, family_name=name, subset=subset)
        outputs = model.predict(pool.store)
        for count in args.labels:
            for seed in range(args.draws):
                order = np.random.default_rng(seed).permutation(len(pool.truth)).tolist()
                known, rest = order[:count], order[count : count + REST]
                truth = torch.from_numpy(pool.truth)
                for variant, scores in variants(
                    model, outputs.take(known), outputs.take(rest), truth[known], seed
                ):
                    row = figures.setdefault((count, variant), {})
                    row.setdefault(title, []).append(srcc(truth[rest], scores))
        print(f"{title}: done", flush=True)
    for count in args.labels:
        print(f"\n| {count} labels | {' | '.join(POOLS)} | mean |")
        print("|---|" + "---|" * (len(POOLS) + 1))
        for (labels_used, variant), row in figures.items():
            if labels_used == count:
                cells = [f"{fmean(v):.3f} ± {pstdev(v):.3f}" for v in row.values()]
                mean = fmean(fmean(values) for values in row.values())
                print(f"| {variant} | {' | '.join(cells)} | {mean:.3f} |")


if __name__ == "__main__":
    main()
