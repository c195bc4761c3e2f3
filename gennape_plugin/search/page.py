"""A search as one HTML page: trade-off, table, and what changed, before and after."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from importlib.metadata import version

import numpy as np

from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.search import Candidate
from gennape_plugin.estimator import Gennape
from gennape_plugin.prediction import engineering
from gennape_plugin.report.attribution import FloatArray
from gennape_plugin.report.drawing import drawings
from gennape_plugin.report.markup import section, table, text
from gennape_plugin.report.page import html_page
from gennape_plugin.report.structure import parts_of

from .scoring import Scorer

#: Networks of the front that are drawn: its ends and its middle.
_DRAWN = 3
_MAX_CHANGES = 60
#: By what the score is made of, and whether it is pessimistic.
_UNITS = {
    ("members", True): "standard deviations above the average NAS-Bench-101 cell, by the member "
    "that thinks least of the network",
    ("members", False): "standard deviations above the average NAS-Bench-101 cell",
    ("labels", True): "predicted accuracy less its deviation, in percent",
    ("labels", False): "predicted accuracy, in percent",
    ("size", True): "a size prior: standard deviations above the average NAS-Bench-101 cell",
    ("size", False): "a size prior: standard deviations above the average NAS-Bench-101 cell",
}
_KEY = (
    '<p class="dim">Cross: the start. Large dots: the best trade-offs that keep the constraints. '
    "Small dots: all networks scored within the region that the weights know.</p>"
)
_LEGEND = (
    '<p><span class="key down">Orange</span> parts of the start are gone or changed, '
    '<span class="key up">green</span> ones of the found network are new or changed; an '
    "operation whose channels changed counts as changed. Boxes with a thick outline open "
    "below.</p>"
)


def search_page(
    estimator: Gennape, networks: Sequence[tuple[str, Candidate]], plot: str, scorer: Scorer
) -> str:
    """The page.

    Args:
        estimator: Named in the footer.
        networks: The start first, then the front.
        plot: The trade-off as SVG.
        scorer: How networks were scored.
    """
    start, front = networks[0][1], networks[1:]
    title = f"Search from {start.graph.name or 'network'}"
    caution = scorer.caution
    notice = f'<p class="notice">{text(caution, 1000)}</p>' if caution else ""
    content = [section("found", "Found", notice + plot + _KEY + _table(networks, scorer))]
    places = sorted({0, len(front) // 2, len(front) - 1}) if front else []
    for name, candidate in [front[i] for i in places][:_DRAWN]:
        content.append(_changes(name, start, candidate))
    links = {"found": "Found"} | {f"net-{front[i][0]}": f"Network {front[i][0]}" for i in places}
    return html_page(title, links, content, _footer(estimator))


def _footer(estimator: Gennape) -> str:
    weights = text(estimator.card.get("name", "unnamed"))
    return f"gennape-plugin {version('gennape-plugin')}, weights {weights}"


def _table(networks: Sequence[tuple[str, Candidate]], scorer: Scorer) -> str:
    first = networks[0][1].scores
    rows = []
    for name, candidate in networks:
        s = candidate.scores
        interval = "" if s.interval is None else f" ({s.interval[0]:.1f} to {s.interval[1]:.1f})"
        accuracy = f"{s.accuracy:.2f}{interval}" if scorer.basis != "size" else "–"
        rows.append(
            (
                f'<a href="graphs/{name}.json">{name}</a>',
                engineering(s.flops),
                f"{s.flops / first.flops - 1:+.1%}",
                engineering(s.params),
                f"{s.depth}",
                f"{s.quality:.3f}",
                accuracy,
                f"{s.distance:.2f}",
                f"{s.unseen:.1%}",
                f"{len(candidate.changes)}",
            )
        )
    header = (
        "network",
        "FLOPs",
        "to start",
        "parameters",
        "depth",
        "quality",
        "accuracy, % (90 %)",
        "distance",
        "unseen",
        "changes",
    )
    unit = text(_UNITS[scorer.basis, scorer.cautious])
    return table(f"Start and front. Quality: {unit}", header, rows)


def _changes(name: str, start: Candidate, candidate: Candidate) -> str:
    shown = candidate.changes[:_MAX_CHANGES]
    more = len(candidate.changes) - len(shown)
    items = "".join(f"<li>{text(change)}</li>" for change in shown)
    rest = f"<p>and {more} more</p>" if more else ""
    gone, new = changed_nodes(start.graph, candidate.graph)
    content = (
        f"<details><summary>{len(candidate.changes)} changes in order</summary><ol>{items}</ol>"
        f"{rest}</details>{_LEGEND}<h3>Before</h3>{_drawn(start.graph, -gone, f'{name}-before')}"
        f"<h3>After</h3>{_drawn(candidate.graph, new, f'{name}-after')}"
    )
    s, first = candidate.scores, start.scores
    title = f"Network {name}: FLOPs {s.flops / first.flops - 1:+.1%}"
    return section(f"net-{name}", title, content)


def _drawn(graph: ComputeGraph, values: FloatArray, prefix: str) -> str:
    return drawings(graph, parts_of(graph), values, say=_say, prefix=f"part-{prefix}")


def _say(value: float) -> tuple[str, str]:
    count = abs(round(value))
    if not count:
        return "", ""
    return f"{count} {'new' if value > 0 else 'gone'}", f"{count} operations changed"


def changed_nodes(before: ComputeGraph, after: ComputeGraph) -> tuple[FloatArray, FloatArray]:
    """1 for each node of a graph that the other does not have in the same order, else 0."""
    a, b = (list(zip(g.nodes, g.scopes, strict=True)) for g in (before, after))
    gone, new = np.ones(len(a)), np.ones(len(b))
    for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        gone[block.a : block.a + block.size] = 0
        new[block.b : block.b + block.size] = 0
    return gone, new
