"""``gennape info``: versions, weights and devices."""

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from gennape_plugin.core.weights import WEIGHTS_FILE, read_card
from gennape_plugin.estimator import DEFAULT_WEIGHTS, WEIGHTS_FOLDER, Gennape, shipped_weights

_PACKAGES = ("gennape-plugin", "torch", "torch-geometric", "numpy", "nni", "onnx")


def run(args: argparse.Namespace) -> int:
    """Print facts about this installation."""
    if args.card:
        chosen = args.weights or DEFAULT_WEIGHTS
        print(json.dumps(Gennape.from_pretrained(chosen).card, indent=1))
        return 0
    print(f"python {platform.python_version()} on {platform.machine()}")
    for package in _PACKAGES:
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package} not installed")
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    print(f"cuda device: {cuda}; cpu threads: {torch.get_num_threads()}")
    for name in shipped_weights():
        card = read_card(WEIGHTS_FOLDER / name)
        size = (WEIGHTS_FOLDER / name / WEIGHTS_FILE).stat().st_size
        trained = card.get("trained_on", {})
        print(f"\nweights {name} ({size / 1e6:.1f} MB)")
        print(f"  predicts: {card.get('accuracy')}")
        print(f"  trained on: {trained.get('measured_rows')} cells of {trained.get('benchmark')}")
        for member, sets in card.get("validation_2", {}).items():
            numbers = sets["from_80"]
            print(
                f"  {member:10s} second validation set, cells from 80 %: "
                f"MAE {numbers['mae']:.3f} points, SRCC {numbers['srcc']:.4f}"
            )
    return 0
