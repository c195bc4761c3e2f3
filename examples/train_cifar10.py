"""Train networks on CIFAR-10 under one recipe, to compare a found one with its start.

    python examples/train_cifar10.py found.json start.json --seeds 0 1 2 --results trained.jsonl

A network is anything that `gennape build` takes: a graph's .json, `model.py:Net`, an .onnx file
(its structure, not its weights). SGD with Nesterov momentum, a rate that rises over five epochs and
falls along a cosine, crops and flips; the accuracy is that of the last epoch on the 10,000 test
images, not the best one. Needs torchvision for the images, which are downloaded once; `--synthetic`
makes up some instead and says nothing about accuracy.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch
from gennape_plugin.core.errors import GennapeError
from gennape_plugin.core.graph import ComputeGraph
from torch import Tensor, nn
from torch.nn import functional as F

from gennape_plugin.architectures import resolve, to_graph

CLASSES, SIDE = 10, 32
#: Of the training images, by channel.
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass
class Images:
    """Images ``(count, 3, 32, 32)`` from 0 to 255 and their classes ``(count,)``."""

    pixels: Tensor
    classes: Tensor

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.classes.to(device))


def downloaded(folder: str) -> tuple[Images, Images]:
    try:
        from torchvision.datasets import CIFAR10
    except (ImportError, RuntimeError) as error:
        sys.exit(
            f"CIFAR-10 is read by torchvision, which cannot be imported ({error}): pip install the "
            "version that belongs to this torch, or try the recipe with --synthetic"
        )
    parts = []
    for train in (True, False):
        found = CIFAR10(folder, train=train, download=True)
        pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
        parts.append(Images(pixels, torch.tensor(found.targets)))
    return parts[0], parts[1]


def made_up(count: int) -> tuple[Images, Images]:
    """Ten patterns under noise: learnable in a minute, and nothing else."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(CLASSES, 3, 4, 4, generator=generator)
    parts = []
    for size in (count, count // 2):
        classes = torch.randint(CLASSES, (size,), generator=generator)
        noise = torch.randn(size, 3, SIDE, SIDE, generator=generator)
        pixels = F.interpolate(patterns, (SIDE, SIDE))[classes] * 255 + 20 * noise
        parts.append(Images(pixels.clamp(0, 255).to(torch.uint8), classes))
    return parts[0], parts[1]


def normalised(pixels: Tensor) -> Tensor:
    shift = torch.tensor(MEAN, device=pixels.device)[:, None, None]
    scale = torch.tensor(DEVIATION, device=pixels.device)[:, None, None]
    return (pixels.float() / 255 - shift) / scale


def augmented(x: Tensor) -> Tensor:
    """A random crop of each image, padded by four pixels, and a flip of every second."""
    count, device = len(x), x.device
    x = F.pad(x, (4, 4, 4, 4))
    rows, columns = torch.randint(0, 9, (2, count, 1), device=device)
    rows = rows + torch.arange(SIDE, device=device)
    columns = columns + torch.arange(SIDE, device=device)
    flipped = torch.rand(count, 1, device=device) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns)
    sample = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(3, device=device)[None, :, None, None]
    return x[sample, channel, rows[:, None, :, None], columns[:, None, None, :]]


def graph_of(reference: str) -> ComputeGraph:
    name, architecture = resolve(reference)
    return to_graph(
        architecture, (3, SIDE, SIDE) if isinstance(architecture, nn.Module) else None
    ).renamed(name)


def checked(graph: ComputeGraph) -> ComputeGraph:
    wanted = [(1, 3, SIDE, SIDE), (1, CLASSES)]
    shapes = [graph.nodes[i].shape for i in (*graph.inputs, *graph.operands[-1])]
    if shapes != wanted:
        maps = " to ".join(map(str, shapes))
        sys.exit(f"{graph.name} maps {maps}: for CIFAR-10 it must map {wanted[0]} to {wanted[1]}")
    return graph


def rate_at(step: int, steps: int, warm_up: int) -> float:
    """Share of the highest learning rate."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1)))


def trained(net: nn.Module, train: Images, args: argparse.Namespace) -> None:
    batches = max(len(train.classes) // args.batch, 1)
    steps, warm_up = args.epochs * batches, min(5, args.epochs // 4) * batches
    optimizer = torch.optim.SGD(
        net.parameters(), args.rate, momentum=0.9, nesterov=True, weight_decay=args.decay
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_at(step, steps, warm_up)
    )
    device = train.classes.device
    for epoch in range(args.epochs):
        net.train()
        total = torch.zeros((), device=device)
        order = torch.randperm(len(train.classes), device=device)
        for batch in order[: batches * args.batch].split(args.batch):
            x = augmented(normalised(train.pixels[batch]))
            with torch.autocast(device.type, torch.bfloat16, enabled=args.half):
                loss = F.cross_entropy(net(x), train.classes[batch], label_smoothing=args.smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.detach()
        if not total.isfinite():
            sys.exit(f"the loss is {total.item()} in epoch {epoch + 1}: try a smaller --rate")
        if args.verbose:
            print(f"  epoch {epoch + 1}: loss {total.item() / batches:.4f}", flush=True)


@torch.no_grad()
def accuracy(net: nn.Module, test: Images, batch: int) -> float:
    """Percent of the test images."""
    net.eval()
    right = 0
    for pixels, classes in zip(test.pixels.split(batch), test.classes.split(batch), strict=True):
        right += int((net(normalised(pixels)).argmax(1) == classes).sum())
    return 100 * right / len(test.classes)


def settings(args: argparse.Namespace) -> dict[str, object]:
    names = ("epochs", "batch", "rate", "decay", "smoothing", "half", "synthetic")
    return {name: getattr(args, name) for name in names}


def known(path: Path | None, recipe: dict[str, object]) -> dict[tuple[str, int], float]:
    """Accuracies in the file of results, under the same recipe, by hash of the graph and seed."""
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(r["hash"], r["seed"]): r["accuracy"] for r in rows if r["recipe"] == recipe}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+", metavar="NETWORK")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1, help="highest learning rate")
    parser.add_argument("--decay", type=float, default=5e-4, help="weight decay")
    parser.add_argument("--smoothing", type=float, default=0.0, help="of labels")
    parser.add_argument("--half", action="store_true", help="bfloat16 where autocast has it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--data", default="cifar10", help="folder of the images")
    parser.add_argument("--synthetic", type=int, nargs="?", const=2048, metavar="COUNT")
    parser.add_argument("--results", type=Path, help="JSON lines; what is in it is not run again")
    parser.add_argument("--verbose", action="store_true", help="print every epoch")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        graphs = [checked(graph_of(reference)) for reference in args.networks]
        for graph in graphs:
            with torch.device("meta"):
                graph.to_module()  # before hours of training of those before it
    except GennapeError as error:
        sys.exit(str(error))
    device = torch.device(args.device)
    train, test = made_up(args.synthetic) if args.synthetic else downloaded(args.data)
    train, test = train.to(device), test.to(device)
    recipe = settings(args)
    found = known(args.results, recipe)
    print(f"recipe: {', '.join(f'{name} {value}' for name, value in recipe.items())}; {device}")
    for graph in graphs:
        for seed in args.seeds:
            if (graph.hash, seed) in found:
                continue
            begin = time.perf_counter()
            torch.manual_seed(seed)
            net = graph.to_module().to(device)
            trained(net, train, args)
            percent = accuracy(net, test, 500)
            found[graph.hash, seed] = percent
            seconds = time.perf_counter() - begin
            print(f"{graph.name}, seed {seed}: {percent:.2f} % in {seconds:.0f} s", flush=True)
            row = {"network": graph.name, "hash": graph.hash, "seed": seed, "accuracy": percent}
            if args.results is not None:
                with args.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**row, "seconds": seconds, "recipe": recipe}) + "\n")
    print("\n| network | MFLOPs | M parameters | accuracy, % | seeds |\n|---|---|---|---|---|")
    for graph in graphs:
        values = [found[graph.hash, seed] for seed in args.seeds]
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        print(
            f"| {graph.name} | {graph.flops / 1e6:.1f} | {graph.params / 1e6:.3f} "
            f"| {mean(values):.2f}{spread} | {len(values)} |"
        )


if __name__ == "__main__":
    main()
