"""Graphs, batches and small models for the tests of the networks, the weights and the command."""

import gzip
import json
import math
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_description import model_of
from gennape_plugin.core.weights import save_model
from hypothesis import strategies as st

CARD = {
    "name": "small",
    "dataset": "CIFAR-10",
    "accuracy": "of nothing: random weights",
    "trained_on": {"benchmark": "none", "measured_rows": 0},
}


@cache
def graphs_of(name: str, count: int, first: int = 0) -> tuple[ComputeGraph, ...]:
    """Sampled architectures of a family, the same ones at every call."""
    space = family(name)
    seeds = range(first, first + count)
    return tuple(space.graph(space.sample(random.Random(seed))) for seed in seeds)


@cache
def store_of(name: str, count: int, first: int = 0) -> GraphStore:
    return GraphStore.of(graphs_of(name, count, first))


def chain(length: int, channels: int = 8) -> ComputeGraph:
    """A plain network of ``length`` convolutions."""
    b = GraphBuilder(f"chain{length}")
    x = b.input((1, 3, 8, 8))
    for _ in range(length):
        x = b.relu(b.conv(x, channels, kernel=3))
    return b.build(b.linear(b.mean(x, (2, 3)), 10))


@st.composite
def dags(draw: st.DrawFn) -> ComputeGraph:
    """Random networks: few kinds of operations, many equal ones, arbitrary joins."""
    # beartype draws the list items that it checks; Hypothesis objects to a changed state.
    state = random.getstate()
    b = GraphBuilder("dag")
    nodes = [b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)]
    unread = set(nodes)

    def pick() -> int:
        node = draw(st.sampled_from(nodes))
        unread.discard(node)
        return node

    for kind in draw(
        st.lists(st.sampled_from(["conv", "point", "relu", "add", "cat"]), max_size=14)
    ):
        x = pick()
        if kind == "conv":
            x = b.conv(x, 4, kernel=3)
        elif kind == "point":
            x = b.conv(x, 4, kernel=1, bias=True)
        elif kind == "relu":
            x = b.relu(x)
        elif kind == "add":
            x = b.join("add", x, pick())
        else:
            x = b.conv(b.concat([x, pick()]), 4, kernel=1)
        nodes.append(x)
        unread.add(x)
    ends = sorted(unread)
    x = ends[0] if len(ends) == 1 else b.join("add", *ends)
    graph = b.build(b.linear(b.mean(x, (2, 3)), 10))
    random.setstate(state)
    return graph


def description(**changes: object) -> dict[str, object]:
    """A small model with a member of every kind."""
    flops = {"kind": "flops", "mean": 0.5, "std": 0.1}
    plain = {"kind": "standardize", "mean": 0.9, "std": 0.05}
    heads = {"kind": "heads", "features": 65, "hidden": 16, "layers": 2}
    return {
        "encoder": {"width": 32, "layers": 2, "heads": 2, "hidden": 16},
        "members": {
            "cl": {**heads, "transform": plain, "partition": None},
            "cl+fcm+t": {
                **heads,
                "transform": flops,
                "partition": {"clusters": 3, "fuzzifier": 2.0},
            },
            "kgnn": {
                "kind": "graph",
                "width": 32,
                "layers": 3,
                "convolution": "kgnn",
                "transform": plain,
            },
            "segments": {
                "kind": "segments",
                "width": 32,
                "layers": 2,
                "dropout": 0.1,
                "transform": plain,
            },
            "flops": {"kind": "flops"},
        },
        "ensemble": ["cl", "cl+fcm+t", "kgnn", "flops"],
        "ranker": {"trees": 0, "nodes": 1},
        "few_shot": None,
        **changes,
    }


def paper_description(**changes: object) -> dict[str, object]:
    """A small model with the six members of the paper's ensemble."""
    members = dict(description()["members"])
    pairwise = {"kind": "pairwise", "features": 65, "hidden": 16, "layers": 2, "vector": 4}
    partition = members["cl+fcm+t"]["partition"]
    plain = {**members.pop("cl"), "transform": members["cl+fcm+t"]["transform"]}
    added = {
        "cl+t": plain,
        "cl+pairwise": {**pairwise, "partition": None},
        "cl+fcm+pairwise": {**pairwise, "partition": partition},
    }
    return description(members=added | members, ensemble=["cl+t", "cl+fcm+t"], **changes)


def small_model(
    seed: int = 0, describe: Callable[[], dict[str, object]] = description
) -> GennapeModel:
    """A model with random weights and measured references."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_of(describe())
        for member in model.members.values():
            if getattr(member, "partition", None) is not None:
                member.partition.components.normal_(std=0.1)
                member.partition.centroids.normal_()
        store = store_of("nasbench101", 24)
        x = model.encoder.eval()(store.batch(range(24))).detach()
    model.space.fit(x, store.gflops)
    model.set_references(store)
    return model.eval()


def save_small_model(folder: Path, *, half: bool = False) -> Path:
    save_model(small_model(), folder, CARD, half=half)
    return folder


class UnchangedRng:
    """Asserts that a block neither seeds torch's global random state nor draws from it."""

    def __enter__(self) -> None:
        self.before = torch.get_rng_state()

    def __exit__(self, *exception: object) -> None:
        assert torch.equal(torch.get_rng_state(), self.before)


def labels_of(count: int, first: int = 0) -> list[dict[str, object]]:
    """Rows of a NAS-Bench-101 label file: accuracies from FLOPs and depth, with some noise."""
    space, rng, rows = family("nasbench101"), random.Random(first), {}
    seed = first
    while len(rows) < count:
        cell = space.sample(random.Random(seed))
        seed += 1
        graph = space.graph(cell)
        accuracy = 0.76 + 0.05 * math.log10(graph.flops / 1e8) + 0.0004 * len(graph)
        rows[cell.hash] = {
            "hash": cell.hash,
            "matrix": [list(row) for row in cell.matrix],
            "ops": list(cell.ops),
            "test_acc": round(min(accuracy + rng.gauss(0, 0.01), 0.96), 5),
        }
    return list(rows.values())


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path
