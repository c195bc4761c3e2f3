"""What of a network the weights have never seen in training, in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import WeightsError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.core.ops import OPS
from gennape_plugin.core.paper import PaperGraph
from gennape_plugin.core.sums import plain_sums


def seen_in(store: GraphStore) -> dict[str, Any]:
    """Facts about training graphs that :func:`novelty` compares with."""
    distinct = store.distinct_ops()
    gflops = store.gflops
    return {
        "labels": sorted({op.name for op in distinct}),
        "gflops": [float(gflops.min()), float(gflops.max())],
        "pixels": max(max(op.resolution[:4]) for op in distinct),
        "channels": max(max(op.resolution[4:]) for op in distinct),
    }


def checked_seen(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts of :func:`seen_in` on a card; empty where it has none.

    Raises:
        WeightsError: if they are not what :func:`seen_in` writes.
    """
    trained = card.get("trained_on", {})
    seen: Any = trained.get("seen", {}) if isinstance(trained, dict) else None
    if seen == {}:
        return {}
    try:
        low, high = map(float, seen["gflops"])
        return {
            "labels": list(map(str, seen["labels"])),
            "gflops": [low, high],
            "pixels": float(seen["pixels"]),
            "channels": float(seen["channels"]),
        }
    except (KeyError, TypeError, ValueError):
        raise WeightsError(
            "the card's 'trained_on' is not what `gennape pretrain` writes: the weights folder is "
            "damaged"
        ) from None


def is_familiar(
    distance: Float[Tensor, "graphs"], unseen: Float[Tensor, "graphs"]
) -> Bool[Tensor, "graphs"]:
    """Whether graphs are like the training graphs, in embedding and in operations.

    ``benchmarks/study_ood.py`` shows why both are asked, and fuzzy memberships are not.

    Args:
        distance: 99 % of the training graphs stay below 1.
        unseen: Share of operations whose label was never trained on; 0 in training.
    """
    return (distance <= 1) & (unseen <= 0)


@dataclass(frozen=True)
class Novelty:
    """What of a network lies outside the training graphs.

    Attributes:
        notes: One sentence for each way.
        unseen: Share of its operations whose label was never trained on.
    """

    notes: tuple[str, ...] = ()
    unseen: float = 0.0


def novelty(graph: ComputeGraph, view: PaperGraph, seen: Mapping[str, Any]) -> Novelty:
    """What of a network lies outside the training graphs; nothing where those are unknown.

    Args:
        graph: The network.
        view: Its effective part in the paper's view.
        seen: What :func:`seen_in` wrote into the weights' card; empty for unknown.
    """
    if not seen:
        return Novelty()
    found = []
    gflops, (low, high) = graph.flops / 1e9, seen["gflops"]
    if not low <= gflops <= high:
        found.append(
            f"{gflops:.3g} GFLOPs, trained on {low:.2g} to {high:.3g}: the accuracy is extrapolated"
        )
    # Operations are interned: few of them are distinct objects.
    distinct = {id(op): op for op in view.ops}.values()
    pixels = max(max(op.resolution[:4]) for op in distinct)
    channels = max(max(op.resolution[4:]) for op in distinct)
    if pixels > seen["pixels"]:
        found.append(f"maps of up to {pixels:.0f} pixels, trained on {seen['pixels']:.0f}")
    if channels > seen["channels"]:
        found.append(f"up to {channels:.0f} channels, trained on {seen['channels']:.0f}")
    untrained: dict[str, int] = {}
    if any(op.name not in seen["labels"] for op in distinct):
        labels = Counter(op.name for op in view.ops)
        untrained = {name: n for name, n in labels.items() if name not in seen["labels"]}
        found.append("operations never seen in training: " + _listed(untrained))
    nearest: Counter[str] = Counter()
    if any(map(_approximated, {id(node): node for node in graph.nodes}.values())):
        approximated = filter(_approximated, plain_sums(graph).nodes)
        nearest.update(n.attr("target") if n.op == "custom" else n.op for n in approximated)
    if nearest:
        found.append("operations read as the nearest known one: " + _listed(nearest))
    return Novelty(tuple(found), sum(untrained.values()) / len(view.ops))


def _approximated(node: Node) -> bool:
    """Whether the paper's view shows another operation in its place."""
    return bool(node.paper) and not OPS[node.op].exact


def _listed(counts: Mapping[str, int]) -> str:
    shown = sorted(counts.items(), key=lambda item: -item[1])
    rest = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return ", ".join(f"{name} ({n})" for name, n in shown[:6]) + rest
