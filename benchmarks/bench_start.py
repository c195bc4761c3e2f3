"""Cold start: `gennape --help`, and the first score of a small module.

    python benchmarks/bench_start.py [--repeats 5]

Each repeat is a fresh process. The score's time starts when ``import torch`` is done.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SCORE = """
import time
import torch
from torch import nn
start = time.perf_counter()
from gennape_plugin import Gennape
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                    nn.Linear(8, 10))
Gennape.from_pretrained().score(net, input_shape=(3, 32, 32))
print(time.perf_counter() - start)
"""


def main() -> None:
    """Print medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    command = Path(sys.executable).with_name("gennape")
    helps, scores = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        helps.append(time.perf_counter() - start)
        done = subprocess.run(
            [sys.executable, "-c", SCORE], check=True, capture_output=True, text=True
        )
        scores.append(float(done.stdout))
    for what, found in (("gennape --help", helps), ("import and first score after torch", scores)):
        print(f"{what:36s} {median(found):.2f} s  [{min(found):.2f}, {max(found):.2f}]")


if __name__ == "__main__":
    main()
