"""``gennape rank``: predict several networks, best first."""

import argparse
import json

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.estimator import Gennape
from gennape_plugin.prediction import table
from gennape_plugin.shipped import DEFAULT_WEIGHTS

from ._networks import graphs_of


def run(args: argparse.Namespace) -> int:
    """Print a ranking."""
    if args.mode == "paper" and not args.population:
        raise InvalidInputError("--mode paper ranks networks against each other: add --population")
    graphs = graphs_of(args.networks, args.input)
    estimator = Gennape.from_pretrained(args.weights or DEFAULT_WEIGHTS, device=args.device)
    if args.population:
        ranking = estimator.rank_population(graphs, mode=args.mode)
    else:
        ranking = estimator.rank(graphs)
    if args.json:
        print(json.dumps([prediction.to_dict() for prediction in ranking], indent=1))
    else:
        print(table(ranking))
        print(f"\naccuracy: {ranking[0].unit}; +-: among members")
        if args.mode == "paper":
            print("score: weighted mean of the six members' ranks among these networks, 0 to 1")
        elif ranking[0].basis == "population":
            print("score: normal score among these networks")
        elif ranking[0].basis == "labels":
            print("score: accuracy predicted from the labels of fine-tuning, a fraction")
        strange = [p for p in ranking if not p.familiar]
        if ranking[0].label_distance is not None:
            if strange:
                print("?: unlike the networks with labels; the accuracy is not to be relied on")
            return 0
        if any(p.distance > 1 for p in strange):
            placed = "" if args.population else "placed by size and depth alone, and "
            print(
                f"distance above 1: unlike the training graphs; {placed}the accuracy is an "
                "extrapolation not to be relied on"
            )
        if any(p.distance <= 1 for p in strange):
            print(
                "? beside a smaller distance: operations that were never trained on; the accuracy "
                "is not to be relied on"
            )
    return 0
