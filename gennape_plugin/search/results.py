"""What a search writes: table, graphs, source, plot and page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gennape_plugin.core.errors import RebuildError
from gennape_plugin.core.graph_json import graph_to_dict
from gennape_plugin.core.rebuild import to_source
from gennape_plugin.core.search import Candidate, Goal, RunFolder, SearchResult
from gennape_plugin.estimator import Gennape
from gennape_plugin.prediction import engineering

from .page import search_page
from .plot import trade_off
from .scoring import Scorer


@dataclass(frozen=True)
class Found:
    """A row of the table.

    Attributes:
        name: ``"start"``, or the number of the network.
        candidate: The network.
        source: Name of its Python file, empty where it cannot be rebuilt.
    """

    name: str
    candidate: Candidate
    source: str


def write_results(
    folder: RunFolder,
    estimator: Gennape,
    result: SearchResult,
    goal: Goal,
    scorer: Scorer,
    *,
    modules: bool = True,
) -> list[Found]:
    """Write everything into the folder; what an earlier run wrote is replaced.

    Args:
        folder: The search's folder.
        estimator: For the page's footer.
        result: What was found.
        goal: What it was held to.
        scorer: How it was scored.
        modules: Whether to write networks as Python source.

    Raises:
        OSError: if something cannot be written.
    """
    rows = []
    for place, candidate in enumerate([result.start, *result.front]):
        name = f"{place:02d}" if place else "start"
        folder.write(f"graphs/{name}.json", graph_to_dict(candidate.graph))
        source = ""
        if modules:
            try:
                folder.write_text(f"modules/{name}.py", to_source(candidate.graph))
                source = f"modules/{name}.py"
            except RebuildError:
                source = ""
        rows.append(Found(name, candidate, source))
    # Others are of an earlier, larger front.
    folder.keep_only("graphs", {f"{row.name}.json" for row in rows})
    folder.keep_only("modules", {f"{row.name}.py" for row in rows if row.source})
    title = result.start.graph.name or "network"
    plot = trade_off(result.start, result.front, list(result.scored.values()), title)
    folder.write_text("pareto.svg", plot)
    folder.write("results.json", summary(rows, result, goal, scorer))
    folder.write_text(
        "report.html", search_page(estimator, [(r.name, r.candidate) for r in rows], plot, scorer)
    )
    return rows


def summary(
    rows: Sequence[Found], result: SearchResult, goal: Goal, scorer: Scorer
) -> dict[str, Any]:
    """The table and the facts of the search as plain JSON values."""
    return {
        "basis": scorer.basis,
        "caution": scorer.caution,
        "goal": goal.to_dict(),
        "scored": len(result.scored),
        "proposals": result.proposals,
        "duplicates": result.duplicates,
        "seconds": {name: round(value, 3) for name, value in result.seconds.items()},
        "networks": [
            {
                "name": row.name,
                "hash": row.candidate.graph.hash,
                **row.candidate.scores.to_dict(),
                "generation": row.candidate.generation,
                "changes": list(row.candidate.changes),
                "graph": f"graphs/{row.name}.json",
                "module": row.source or None,
            }
            for row in rows
        ],
    }


def table(rows: Sequence[Found], scorer: Scorer) -> str:
    """The table as text, the start first."""
    first = rows[0].candidate.scores
    lines = [
        f"{'network':>8} {'FLOPs':>9} {'':>7} {'params':>9} {'depth':>6} {'quality':>8} "
        f"{'accuracy':>9}  {'90 % interval':<14} {'distance':>8} {'changes':>8}"
    ]
    for row in rows:
        s = row.candidate.scores
        accuracy, interval = f"{s.accuracy:.2f} %", ""
        if scorer.basis == "size":
            accuracy = "–"
        elif s.interval is not None:
            interval = f"{s.interval[0]:.1f} to {s.interval[1]:.1f}"
        lines.append(
            f"{row.name:>8} {engineering(s.flops):>9} {s.flops / first.flops - 1:>+7.1%} "
            f"{engineering(s.params):>9} {s.depth:>6} {s.quality:>8.3f} {accuracy:>9}  "
            f"{interval:<14} {s.distance:>8.2f} {len(row.candidate.changes):>8}"
        )
    return "\n".join(lines)
