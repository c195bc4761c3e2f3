"""Memory of capturing networks of five billion parameters (20 GB in 32 bits), without their data.

    python benchmarks/bench_memory.py

A transformer of 25 pre-norm blocks, 4,096 wide, is captured from a module on the meta device
and as many parameters from an ONNX file, with its weights in a file beside it, empty but of the
full length, and with that file missing.

Each is measured in a process of its own. *growth* is the greatest resident memory during the
capture less what was resident before it, with the network made and the reader imported.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from bench_capture import EncoderBlock
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.captured import Capture
from torch import nn

from gennape_plugin.process_memory import peak_mib, reset_peak

BLOCKS: Final = 25
WIDTH: Final = 4096
HEADS: Final = 32
TOKENS: Final = 16


def transformer() -> nn.Module:
    """5.03 billion parameters on the meta device."""
    with torch.device("meta"):
        return nn.Sequential(*(EncoderBlock(WIDTH, HEADS) for _ in range(BLOCKS))).eval()


def write_onnx(folder: Path, *, data: str) -> Path:
    """Blocks of as many parameters as an ONNX file.

    Args:
        folder: Where to.
        data: ``"beside"`` it in a file without content, or ``"missing"``.
    """
    import onnx

    make, nodes, weights, size = onnx.helper.make_node, [], [], 0
    x = "x"
    # The widest products of a block: queries, keys and values; out; and the two of the perceptron.
    shapes = ((WIDTH, 3 * WIDTH), (3 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH))
    for block in range(BLOCKS):
        for place, shape in enumerate(shapes):
            count = shape[0] * shape[1]
            name = f"w{block}.{place}"
            tensor = onnx.TensorProto(name=name, dims=shape, data_type=1)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "weights.bin"), ("offset", size)):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, str(value)
            size += 4 * count
            weights.append(tensor)
            nodes += [
                make("MatMul", [x, name], [f"y{name}"]),
                make("Relu", [f"y{name}"], [f"z{name}"]),
            ]
            x = f"z{name}"
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [value("x", 1, [1, TOKENS, WIDTH])],
        [value(x, 1, None)],
        weights,
    )
    path = folder / "net.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    if data == "beside":
        with (folder / "weights.bin").open("wb") as file:
            os.truncate(file.fileno(), size)  # takes no space
    return path


def measured(work: Callable[[], Capture]) -> str:
    """One line: parameters, nodes, seconds and growth of a capture."""
    before = reset_peak()
    start = time.perf_counter()
    graph = work().graph
    seconds = time.perf_counter() - start
    after = peak_mib()
    if before is None or after is None:
        raise SystemExit("this system does not tell the memory of a process: run this on Linux")
    return f"{graph.params / 1e9:10.2f} {len(graph):8d} {seconds:9.2f} {after - before:11.1f}"


def case(name: str, folder: Path) -> str:
    """Make a network and measure its capture."""
    if name == "module":
        module = transformer()
        return measured(lambda: capture(module, (TOKENS, WIDTH)))
    # Written by a process of its own, whose memory must not be this one's.
    write: list[Any] = [sys.executable, __file__, "--write", name.removeprefix("onnx-")]
    subprocess.run([*write, "--folder", folder], check=True)
    import onnx  # noqa: F401 (the reader's, not the network's)

    return measured(lambda: capture_onnx(folder / "net.onnx"))


CASES: Final = ("module", "onnx-beside", "onnx-missing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--write", choices=("beside", "missing"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write_onnx(args.folder, data=args.write)
        return
    if args.case:
        with tempfile.TemporaryDirectory() as folder:
            print(case(args.case, Path(folder)))
        return
    columns = ("params, 1e9", "nodes", "seconds", "growth, MiB")
    print(
        f"{'':14s}{columns[0]:>11s}{columns[1]:>9s}{columns[2]:>10s}{columns[3]:>12s}", flush=True
    )
    for name in CASES:
        done = subprocess.run(
            [sys.executable, __file__, "--case", name], check=True, capture_output=True, text=True
        )
        print(f"{name:14s} {done.stdout.rstrip()}", flush=True)


if __name__ == "__main__":
    main()
