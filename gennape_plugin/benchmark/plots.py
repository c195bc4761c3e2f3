"""The benchmark's plots: label histograms, a map of embeddings, predicted against true."""

from collections.abc import Mapping
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np


def write_plots(tasks: Mapping[str, Any], out: Path) -> list[Path]:
    """Write PNG files; none where matplotlib (the extra ``plots``) is not installed.

    Args:
        tasks: Results of the tasks that have labels.
        out: Folder to write into.
    """
    if find_spec("matplotlib") is None or not tasks:
        return []
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    columns = 4
    rows = ceil(len(tasks) / columns)
    written = []
    for name, draw in (("fig2-histograms", _histogram), ("predicted-true", _scatter)):
        figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
        for place, task in enumerate(tasks.values(), start=1):
            axes = figure.add_subplot(rows, columns, place)
            axes.set_title(task["title"], fontsize=9)
            draw(axes, task)
        written.append(out / f"{name}.png")
        figure.savefig(written[-1], dpi=110)
    figure = Figure(figsize=(8, 6), layout="constrained")
    _map(figure.add_subplot(), tasks)
    written.append(out / "fig5-embeddings.png")
    figure.savefig(written[-1], dpi=110)
    return written


def _histogram(axes: Any, task: Mapping[str, Any]) -> None:
    axes.hist(100 * np.array(task["histogram"]), bins=50)
    axes.set_xlabel("label, %", fontsize=8)


def _scatter(axes: Any, task: Mapping[str, Any]) -> None:
    predicted, truth = task["scatter"]
    axes.plot(predicted, 100 * np.array(truth), ".", markersize=3, alpha=0.5)
    axes.set_xlabel("zero-shot population score", fontsize=8)
    axes.set_ylabel("label, %", fontsize=8)


def _map(axes: Any, tasks: Mapping[str, Any]) -> None:
    """First two principal components of all families' embeddings together."""
    by_family = {task["family"]: np.array(task["map"]) for task in tasks.values()}
    # A few families lie far out; a bounded scale keeps the others apart.
    points = np.arcsinh(np.concatenate(list(by_family.values())))
    points -= points.mean(axis=0)
    _, _, directions = np.linalg.svd(points, full_matrices=False)
    flat, start = points @ directions[:2].T, 0
    for name, rows in by_family.items():
        part = flat[start : start + len(rows)]
        start += len(rows)
        axes.plot(part[:, 0], part[:, 1], ".", markersize=4, alpha=0.6, label=name)
    axes.legend(fontsize=8)
    axes.set_xlabel("first component")
    axes.set_ylabel("second component")
