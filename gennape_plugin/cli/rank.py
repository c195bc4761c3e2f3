"""``gennape rank``: predict several networks, best first."""

import argparse
import json

from gennape_plugin.estimator import DEFAULT_WEIGHTS, Gennape
from gennape_plugin.prediction import table

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Print a ranking."""
    graphs = graphs_of(args.networks, args.input)
    estimator = Gennape.from_pretrained(args.weights or DEFAULT_WEIGHTS, device=args.device)
    ranking = estimator.rank(graphs)
    if args.json:
        print(json.dumps([prediction.to_dict() for prediction in ranking], indent=1))
    else:
        print(table(ranking))
        print(f"\naccuracy: {ranking[0].unit}; +-: among members")
        if not all(prediction.familiar for prediction in ranking):
            print(
                "distance above 1: unlike the training graphs; placed by FLOPs alone, and the "
                "accuracy is an extrapolation not to be relied on"
            )
    return 0
