"""The benchmark's report: Markdown tables in the paper's layout, and plots."""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from gennape_plugin.pools import BASELINES

from .measure import OURS, PAPER, SINGLE
from .plots import write_plots

_MEMBERS = {
    "k-GNN": "kgnn",
    "CL": "cl",
    "CL+T": "cl+t",
    "CL+FCM+T": "cl+fcm+t",
    "CL+Pairwise": "cl+pairwise",
    "CL+FCM+Pairwise": "cl+fcm+pairwise",
    "GENNAPE": PAPER,
}
_FIGURES: Mapping[str, Any] = json.loads(
    (Path(__file__).parent / "paper.json").read_text(encoding="utf-8")
)["tables"]
_NONE = "-"


def write_report(results: Mapping[str, Any], out: Path) -> None:
    """Write ``report.md`` and, where matplotlib is installed, plots into ``out``."""
    tasks = results["tasks"]
    present = {name: task for name, task in tasks.items() if "figures" in task}
    parts = [
        "# Benchmark",
        f"Weights: {', '.join(results['weights'])}. Zero-shot figures: "
        + (
            "mean ± standard deviation over weights."
            if len(results["weights"]) > 1
            else "value [95 % bootstrap interval over networks]."
        )
        + " Figures with 50 labels: mean ± standard deviation over draws, on the other networks.",
        f"Scores that use the unlabelled pool: {OURS!r}, {PAPER!r} (our weights under the paper's "
        "rule) and PRIOR8. (d): development family, on which choices were made; "
        "(s): surrogate labels.",
        *_main(present),
        *_paper_tables(present),
    ]
    absent = [task for task in tasks.values() if "absent" in task]
    if absent:
        lines = [f"- {task['title']}: `{task['absent']}`" for task in absent]
        parts += ["## Families without labels here", "\n".join(lines)]
    (out / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    write_plots(present, out)


def _main(tasks: Mapping[str, Any]) -> list[str]:
    found = []
    for metric in ("srcc", "tau_b", "ndcg@10"):
        header = ["pool", "networks", *BASELINES, "single", "ours", "ours, 50 labels"]
        header += ["paper, zero-shot", "paper, 50"]
        rows = []
        for task in tasks.values():
            figures, tuned = task["figures"], task.get("with_labels", {})
            rows.append(
                [
                    _title(task),
                    str(task["networks"]),
                    *(_cell(figures.get(name, {}).get(metric), short=True) for name in BASELINES),
                    *(_cell(figures.get(name, {}).get(metric)) for name in (SINGLE, OURS)),
                    _cell(tuned.get(OURS, {}).get(metric)),
                    _paper(task, metric, "GENNAPE", tuned=False),
                    _paper(task, metric, "GENNAPE", tuned=True),
                ]
            )
        found += [f"## {metric}", _table(header, rows)]
    return found


def _paper_tables(tasks: Mapping[str, Any]) -> list[str]:
    """Tables 3, 4, 5, 6, 8, 9 and 10: ours / the paper's."""
    chosen = {task["family"]: task for task in tasks.values() if task["paper"]}
    found = ["## The paper's tables: our reproduction / as printed"]
    if "nasbench101" in chosen:
        figures = chosen["nasbench101"]["figures"]
        printed = _FIGURES["Table 3: NB-101, MAE in % and SRCC on the second validation set"]
        rows = [
            [
                name,
                f"{_cell(figures.get(_MEMBERS.get(name, name.lower()), {}).get('mae'))} / "
                f"{values['MAE']}",
                f"{_cell(figures.get(_MEMBERS.get(name, name.lower()), {}).get('srcc'))} / "
                f"{values['SRCC']}",
            ]
            for name, values in printed.items()
        ]
        found += ["### Table 3 (NB-101, validation 2)", _table(["method", "MAE", "SRCC"], rows)]
    families = {name: task for name, task in chosen.items() if name != "nasbench101"}
    measured = {name: task for name, task in families.items() if "proxies" in task}
    if measured:
        printed = _FIGURES["Table 1: SRCC of zero-cost proxies"]
        columns = ["Synflow", "Jacov", "Fisher", "Snip", "FLOPs", "nwot", "grad_norm", "params"]
        columns += ["score", "score_population"]
        rows = [
            [
                _title(task),
                *(
                    f"{_cell(task['proxies'].get(column.lower()))} / "
                    f"{printed.get(name, {}).get(column, _NONE)}"
                    for column in columns
                ),
            ]
            for name, task in measured.items()
        ]
        found += [
            "### Table 1: SRCC of zero-cost proxies, 300 networks a family",
            _table(["family", *columns], rows),
        ]
    layouts = (
        ("Table 4: MAE in %, 50 labels", "mae", True, list(_MEMBERS)[:4]),
        ("Tables 5 and 8: SRCC, zero-shot", "srcc", False, list(_MEMBERS)),
        ("Tables 5 and 8: SRCC, 50 labels", "srcc", True, list(_MEMBERS)),
        ("Table 9: Kendall's tau, zero-shot", "tau_b", False, list(_MEMBERS)),
        ("Table 9: Kendall's tau, 50 labels", "tau_b", True, list(_MEMBERS)),
        ("Tables 6 and 10: NDCG@10, zero-shot", "ndcg@10", False, list(_MEMBERS)),
        ("Tables 6 and 10: NDCG@10, 50 labels", "ndcg@10", True, list(_MEMBERS)),
        ("Table 10: NDCG@50, zero-shot", "ndcg@50", False, list(_MEMBERS)),
        ("Table 10: NDCG@50, 50 labels", "ndcg@50", True, list(_MEMBERS)),
    )
    for title, metric, tuned, columns in layouts:
        rows = []
        for task in families.values():
            figures = task.get("with_labels", {}) if tuned else task["figures"]
            rows.append(
                [
                    _title(task),
                    *(
                        f"{_cell(figures.get(_MEMBERS[column], {}).get(metric))} / "
                        f"{_paper(task, metric, column, tuned=tuned)}"
                        for column in columns
                    ),
                ]
            )
        found += [f"### {title}", _table(["family", *columns], rows)]
    return found


def _paper(task: Mapping[str, Any], metric: str, column: str, *, tuned: bool) -> str:
    """The paper's figure for a pool's family; its own pool differs but for NB-201."""
    if not task["paper"]:
        return _NONE
    state = "fine-tuned" if tuned else "zero-shot"
    name, key = {
        "srcc": ("Table 8: SRCC of the members", f"{column} {'FT' if tuned else 'zs'}"),
        "tau_b": (f"Table 9: Kendall's tau, {state}", column),
        "ndcg@10": (f"Table 10: NDCG@10, {state}", column),
        "ndcg@50": (f"Table 10: NDCG@50, {state}", column),
        "mae": ("Table 4: MAE in % (test families fine-tuned on 50 labels)", column),
    }[metric]
    return str(_FIGURES[name].get(task["family"], {}).get(key, _NONE))


def _title(task: Mapping[str, Any]) -> str:
    marks = "".join(
        f" ({mark})" for mark, on in (("d", task["development"]), ("s", task["surrogate"])) if on
    )
    return f"{task['title']}{marks}"


def _cell(value: Mapping[str, float] | None, *, short: bool = False) -> str:
    if value is None or isnan(value["mean"]):
        return _NONE
    text = f"{value['mean']:.3f}"
    if short:
        return text
    if "sd" in value:
        return f"{text} ± {value['sd']:.3f}"
    return f"{text} [{value['low']:.3f}, {value['high']:.3f}]" if "low" in value else text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
