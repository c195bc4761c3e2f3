"""``gennape score``: predict one network."""

import argparse
import json

from gennape_plugin.estimator import Gennape
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Print one prediction."""
    graphs = graphs_of([args.network], args.input)
    estimator = Gennape.from_pretrained(args.weights or DEFAULT_WEIGHTS, device=args.device)
    prediction = estimator.score(graphs[0])
    print(json.dumps(prediction.to_dict(), indent=1) if args.json else prediction)
    return 0
