"""``gennape finetune``: tune weights to a family by a few labels."""

import argparse
import random
from pathlib import Path

from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.few_shot import MIN_LABELS
from gennape_plugin.estimator import Gennape
from gennape_plugin.families import family
from gennape_plugin.label_sets import label_set
from gennape_plugin.labels import accuracies, read_labels
from gennape_plugin.shipped import DEFAULT_WEIGHTS


def run(args: argparse.Namespace) -> int:
    """Tune, say how it went, and write a weights folder."""
    out = Path(args.out)
    if out.exists() and any(out.iterdir()):
        raise InvalidInputError(f"{out} is not empty: give a new folder")
    space = family(args.family)
    rows = read_labels(args.labels, space, keep=label_set(args.family).keep)
    archs, values = accuracies(rows, args.column, args.labels, fractions=args.fractions)
    if args.samples is not None:
        if not MIN_LABELS <= args.samples <= len(archs):
            raise InvalidInputError(
                f"--samples {args.samples}: give {MIN_LABELS} to {len(archs)}, as many as "
                f"{args.labels} holds"
            )
        chosen = random.Random(args.seed).sample(range(len(archs)), args.samples)
        archs, values = [archs[i] for i in chosen], [values[i] for i in chosen]
    estimator = Gennape.from_pretrained(args.weights or DEFAULT_WEIGHTS, device=args.device)
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)  # an error before minutes of tuning, not after
    try:
        tuned = estimator.fine_tune(
            (space.graph(arch) for arch in archs),
            values,
            mode=args.mode,
            dataset=space.dataset,
            seed=args.seed,
        )
    except BaseException as error:
        if made:
            out.rmdir()
        if isinstance(error, LabelsError):
            raise LabelsError(f"{args.labels}: {error}") from None
        raise
    tuned.save(out)
    facts = tuned.card["fine_tuned"]
    print(f"{facts['labels']} labels of {space.title}, mode {args.mode}: {out}")
    if args.mode == "paper":
        print("the six members' ranking is tuned: gennape rank --population --mode paper shows it")
    else:
        print(
            f"cross-validated SRCC {facts['cross_validated_srcc']:.3f}, "
            f"zero-shot {facts['zero_shot_srcc']:.3f} on the same labels"
        )
        if facts["kept_zero_shot_order"]:
            print("the labels did not improve the ranking, so the zero-shot order is kept")
    return 0
