"""``gennape info``: versions, weights and devices."""

import argparse
import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from gennape_plugin.estimator import Gennape
from gennape_plugin.shipped import DEFAULT_WEIGHTS, shipped_weights

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
    for name in shipped_weights() if args.weights is None else [args.weights]:
        print(f"\nweights {name}\n{_summary(Gennape.from_pretrained(name).card)}")
    return 0


def _summary(card: Mapping[str, Any]) -> str:
    """The card in a few lines; cards of other people's weights may lack parts."""
    trained = card.get("trained_on")
    trained = trained if isinstance(trained, dict) else {}
    lines = [
        f"  predicts: {card.get('accuracy')}",
        f"  trained on: {trained.get('measured_rows')} cells of {trained.get('benchmark')}",
    ]
    tuned = card.get("fine_tuned")
    if isinstance(tuned, dict):
        lines.append(
            f"  fine-tuned ({tuned.get('mode')}) with {tuned.get('labels')} labels"
            + (f" of {tuned['dataset']}" if tuned.get("dataset") else "")
            + "; what follows was measured before"
        )
    results = card.get("validation_2")
    for member, sets in results.items() if isinstance(results, dict) else ():
        with suppress(KeyError, TypeError, ValueError):
            numbers = sets["from_80"]
            # Members that only order networks have no error in points.
            error = f"MAE {numbers['mae']:.3f} points, " if "mae" in numbers else ""
            lines.append(
                f"  {member:15s} second validation set, cells from 80 %: "
                f"{error}SRCC {numbers['srcc']:.4f}"
            )
    table = card.get("benchmark")
    for pool, entry in table.items() if isinstance(table, dict) else ():
        with suppress(KeyError, TypeError, ValueError):
            zero_shot = entry["zero_shot"]
            text = f"zero-shot {zero_shot['ours']['srcc']['mean']:.3f}"
            if "with_50_labels" in entry:
                text += f", with 50 labels {entry['with_50_labels']['ours']['srcc']['mean']:.3f}"
            text += f" (FLOPs {zero_shot['FLOPs']['srcc']['mean']:.3f})"
            lines.append(f"  {pool:32s} SRCC {text}")
    return "\n".join(lines)
