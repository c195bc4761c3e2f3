"""``gennape evaluate``: predictions against labels."""

import argparse
import json
from pathlib import Path

from gennape_plugin.estimator import Gennape
from gennape_plugin.evaluate import evaluate
from gennape_plugin.shipped import DEFAULT_WEIGHTS


def run(args: argparse.Namespace) -> int:
    """Print a table of metrics and write it as JSON where asked."""
    models = [Gennape.from_pretrained(name).model for name in args.weights or [DEFAULT_WEIGHTS]]
    result = evaluate(
        models,
        args.labels,
        family_name=args.family,
        target=args.target,
        variant=args.variant,
        subset=args.subset,
        resamples=args.resamples,
    )
    print(result)
    if args.json:
        Path(args.json).write_text(json.dumps(result.to_dict(), indent=1) + "\n", encoding="utf-8")
        print(f"written to {args.json}")
    return 0
