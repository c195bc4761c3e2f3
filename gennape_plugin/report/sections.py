"""The report's tables: prediction, cost by stage, and what pushes the score."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node
from gennape_plugin.prediction import Prediction, engineering

from .attribution import Attribution, FloatArray
from .drawing import describe
from .markup import bar, section, signed_bar, table, text
from .structure import Part, elements

_BASIS: Final = {
    "members": "standard deviations of predicted accuracy above the average NAS-Bench-101 cell",
    "size": "standard deviations of size and depth above the average NAS-Bench-101 cell; this "
    "far from the training graphs the trained members are not trusted",
    "labels": "accuracy predicted from the labels of fine-tuning, a fraction",
}
_MAX_STAGES: Final = 24  # rows of a table of stages
_TOP: Final = 12  # rows of the table of kinds of operations


def prediction_section(p: Prediction, basis: str) -> str:
    """Score, accuracy, familiarity, cost, hash, notes and members.

    Args:
        p: The prediction.
        basis: What its score is made of. Where labels did not help, fine-tuning keeps the
            zero-shot score, so this may differ from the prediction's own basis.
    """
    trusted = p.familiar
    accuracy = f"{p.accuracy:.2f} %"
    if trusted:
        accuracy += f" ± {p.accuracy_std:.2f} (standard deviation among members)"
    else:
        accuracy += " (extrapolated: do not rely on it)"
    if p.interval is not None:
        low, high = p.interval
        accuracy += f"<br>90 % interval {low:.1f} to {high:.1f} %"
    near = p.distance <= 1 and p.unseen <= 0
    familiar = "like the training graphs" if near else "unlike the training graphs"
    facts = [
        ("Score", f'<b class="score">{p.score:+.3f}</b> {text(_BASIS.get(basis, basis))}'),
        ("Accuracy", f'{accuracy}<br><span class="dim">{text(p.unit)}</span>'),
        (
            "Distance",
            f'{p.distance:.2f}: {familiar} <span class="dim">(99 % of those stay below 1)</span>',
        ),
        *(
            []
            if p.label_distance is None
            else [
                (
                    "Distance from the labelled networks",
                    f'{p.label_distance:.2f} <span class="dim">(99 % of those stay below 1)</span>',
                )
            ]
        ),
        ("FLOPs", f'{engineering(p.flops)} <span class="dim">(2 × multiply-adds)</span>'),
        ("Parameters", engineering(p.params)),
        ("Hash", f"<code>{text(p.graph_hash)}</code>"),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    notes = "".join(f"<li>{text(note)}</li>" for note in p.notes)
    listed = f'<h3>Unlike what was trained on</h3><ul class="notes">{notes}</ul>' if notes else ""
    return section("prediction", "Prediction", f"<dl>{items}</dl>{listed}{_members(p)}")


def _members(p: Prediction) -> str:
    rows = []
    for name, value in p.members.items():
        if name == "flops":
            rows.append((text(name), f"{value:.4g} GFLOPs", ""))
        elif name in p.orders:
            rows.append((text(name), f"{value:.2f} (no unit)", ""))
        else:
            rows.append((text(name), f"{value:.2f} %", bar(value / 100)))
    return table("What each member says", ("member", "output", "0 to 100 %"), rows)


def cost_section(graph: ComputeGraph, root: Part, found: Attribution) -> str:
    """Parameters, FLOPs and attribution by scope and by resolution."""
    parts = _Totals(graph, found)
    by_scope = [
        (
            text(part.path or describe(graph.nodes[part.start]))
            + (f" (× {part.copies})" if part.copies > 1 else ""),
            range(part.start, part.stop),
        )
        for part in elements(root, _MAX_STAGES)
    ]
    maps: dict[str, list[int]] = {}
    for i, node in enumerate(graph.nodes):
        maps.setdefault(resolution(node), []).append(i)
    by_map = [(text(name), nodes) for name, nodes in maps.items()]
    return section(
        "costs",
        "Cost by stage",
        parts.table("By scope, in order", "scope", by_scope)
        + parts.table("By size of the map that is written", "map", by_map),
    )


class _Totals:
    """Sums over groups of nodes; weights count where they are first used."""

    def __init__(self, graph: ComputeGraph, found: Attribution) -> None:
        self.flops = np.array([node.flops for node in graph.nodes], dtype=np.float64)
        owned = zip(graph.nodes, graph.weight_of, strict=True)
        self.params = np.array(
            [node.params if owner == i else 0 for i, (node, owner) in enumerate(owned)],
            dtype=np.float64,
        )
        self.values = found.values

    def table(self, caption: str, what: str, groups: Sequence[tuple[str, Sequence[int]]]) -> str:
        if len(groups) > _MAX_STAGES:
            kept, rest = groups[: _MAX_STAGES - 1], groups[_MAX_STAGES - 1 :]
            others = [i for _, nodes in rest for i in nodes]
            groups = [*kept, (f"{len(rest)} more", others)]
        sums = [[float(a[list(n)].sum()) for a in self._columns] for _, n in groups]
        most = [max((abs(row[i]) for row in sums), default=0.0) or 1.0 for i in range(3)]
        rows = [
            (
                name,
                str(len(nodes)),
                engineering(flops),
                bar(flops / most[0]),
                engineering(params),
                bar(params / most[1]),
                f"{value:+.3f}",
                signed_bar(value, most[2]),
            )
            for (name, nodes), (flops, params, value) in zip(groups, sums, strict=True)
        ]
        header = (what, "operations", "FLOPs", "", "parameters", "", "score", "")
        return table(caption, header, rows)

    @property
    def _columns(self) -> tuple[FloatArray, ...]:
        return self.flops, self.params, self.values


def resolution(node: Node) -> str:
    """Size of the map that a node writes, channels apart."""
    sizes = [size for i, size in enumerate(node.shape) if i not in (0, node.axis)]
    if not sizes:
        return "none (vectors)"
    return "×".join(map(str, sizes)) if len(sizes) > 1 else f"length {sizes[0]}"


def attribution_section(graph: ComputeGraph, found: Attribution) -> str:
    """How attributions were measured, and the kinds of operations with the largest."""
    kinds: dict[str, list[int]] = {}
    for i in map(int, np.flatnonzero(found.values)):
        node = graph.nodes[i]
        kinds.setdefault(f"{describe(node)} at {resolution(node)}", []).append(i)
    sums = {kind: float(found.values[nodes].sum()) for kind, nodes in kinds.items()}
    order = sorted(kinds, key=lambda kind: -abs(sums[kind]))[:_TOP]
    largest = abs(sums[order[0]]) if order else 0.0
    rows = []
    for kind in order:
        nodes = kinds[kind]
        most = max(nodes, key=lambda i: abs(found.values[i]))
        flops = sum(graph.nodes[i].flops for i in nodes)
        rows.append(
            (
                text(kind),
                text(graph.scopes[most] or f"operation {most}"),
                f"{found.values[most]:+.3f}",
                str(len(nodes)),
                f"{flops / max(graph.flops, 1):.1%}",
                f"{sums[kind]:+.3f}",
                signed_bar(sums[kind], largest),
            )
        )
    what = {
        "members": "the trained members; they never saw a network that lacks a single operation, "
        "so read the small parts with care",
        "size": "the size prior, so it says what the network's size and depth hang on",
        "labels": "the regressions on the labels of fine-tuning",
    }[found.basis]
    sharing = (
        "each by itself"
        if found.reach is None
        else f"those with equal surroundings within {found.reach} edges together"
    )
    skipped = (
        f" The {found.skipped} cheapest operations were not measured, as the network is large."
        if found.skipped
        else ""
    )
    intro = (
        "<p>An operation's part of the score is what the score loses when that operation alone is "
        "deleted: joined through, at no cost and no depth. It is what <em>this estimator</em> "
        f"makes of the network, here {what}; it is no measurement of the trained network. Parts "
        "do not add up to the score, since sizes act by their logarithm. "
        f"{found.deletions} deletions were scored, {sharing}.{skipped}</p>"
    )
    listed = table(
        "Kinds of operations with the largest parts of the score",
        ("kind", "most at", "there", "operations", "of FLOPs", "score", ""),
        rows,
        words=2,
    )
    return section("attribution", "What pushes the score", intro + listed)
