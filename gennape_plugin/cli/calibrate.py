"""``gennape calibrate``: intervals for predicted accuracies, onto a card."""

import argparse
from pathlib import Path

from gennape_plugin.calibration import calibrate
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.weights import update_card
from gennape_plugin.estimator import Gennape
from gennape_plugin.shipped import DEFAULT_WEIGHTS, weights_folder


def run(args: argparse.Namespace) -> int:
    """Print bounds with what they cover, and write them."""
    folder = weights_folder(args.weights or DEFAULT_WEIGHTS)
    estimator = Gennape.from_pretrained(folder)
    if estimator.model.few_shot is not None:
        raise InvalidInputError(
            f"{folder} was fine-tuned, which gave it intervals of its own: give pretrained weights"
        )
    found = calibrate(estimator.model, estimator.card, Path(args.data), note=print)
    update_card(folder, {"calibration": found})
    print(f"written to the card in {folder}")
    return 0
