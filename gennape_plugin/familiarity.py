"""What of a network the weights have never seen in training, in words."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.ops import OPS


def seen_in(store: GraphStore) -> dict[str, Any]:
    """Facts about training graphs that :func:`unfamiliar` compares with."""
    distinct = store.distinct_ops()
    gflops = store.gflops
    return {
        "labels": sorted({op.name for op in distinct}),
        "gflops": [float(gflops.min()), float(gflops.max())],
        "pixels": max(max(op.resolution[:4]) for op in distinct),
        "channels": max(max(op.resolution[4:]) for op in distinct),
    }


def unfamiliar(graph: ComputeGraph, seen: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence for each way in which a network lies outside the training graphs.

    Args:
        graph: The network.
        seen: What :func:`seen_in` wrote into the weights' card; empty for unknown.
    """
    if not seen:
        return ()
    found = []
    gflops, (low, high) = graph.flops / 1e9, seen["gflops"]
    if not low <= gflops <= high:
        found.append(
            f"{gflops:.3g} GFLOPs, trained on {low:.2g} to {high:.3g}: the accuracy is extrapolated"
        )
    view = graph.paper_view()
    pixels = max(max(op.resolution[:4]) for op in view.ops)
    channels = max(max(op.resolution[4:]) for op in view.ops)
    if pixels > seen["pixels"]:
        found.append(f"maps of up to {pixels:.0f} pixels, trained on {seen['pixels']:.0f}")
    if channels > seen["channels"]:
        found.append(f"up to {channels:.0f} channels, trained on {seen['channels']:.0f}")
    labels = Counter(op.name for op in view.ops)
    untrained = {name: n for name, n in labels.items() if name not in seen["labels"]}
    if untrained:
        found.append("operations never seen in training: " + _listed(untrained))
    nearest = Counter(
        node.attr("target") if node.op == "custom" else node.op
        for node in graph.nodes
        if node.paper and not OPS[node.op].exact
    )
    if nearest:
        found.append("operations read as the nearest known one: " + _listed(nearest))
    return tuple(found)


def _listed(counts: Mapping[str, int]) -> str:
    shown = sorted(counts.items(), key=lambda item: -item[1])
    rest = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return ", ".join(f"{name} ({n})" for name, n in shown[:6]) + rest
