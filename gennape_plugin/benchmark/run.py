"""Runs the benchmark pool by pool; what is done is not done again."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.files import without_nan, write_whole
from gennape_plugin.core.weights import WEIGHTS_FILE, load_model
from gennape_plugin.families import family
from gennape_plugin.label_sets import label_set
from gennape_plugin.pools import BASELINES, Pool, read_pool

from . import measure, slow
from .cache import cached_outputs, digest
from .report import write_report
from .tasks import TASKS, Task

#: Changes with whatever makes old figures wrong.
VERSION = "4"


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure.

    Attributes:
        seeds: Draws of 50 labels.
        resamples: Bootstrap resamples of zero-shot figures of a single model.
        paper_tuning: Also fine-tune by the paper's protocol (minutes a pool and seed).
        comparators: Also train Table 3's comparators (minutes each and seed).
        proxies: Also run Table 1's zero-cost proxies on 300 networks a family (hours for
            those with large images).
        only: Names of tasks; all where empty.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    resamples: int = 200
    paper_tuning: bool = False
    comparators: bool = False
    proxies: bool = False
    only: tuple[str, ...] = ()


def benchmark(
    data: Path,
    out: Path,
    weights: Sequence[Path],
    *,
    labels: Mapping[str, Path] | None = None,
    config: BenchmarkConfig | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure every task whose labels are there, and write the report.

    Args:
        data: Folder of labels files (see :mod:`gennape_plugin.label_sets`).
        out: Folder for results, caches, report and plots.
        weights: Weights folders; several that differ in their seed give deviations of the
            zero-shot figures, and the first is fine-tuned.
        labels: Labels files by family, in the place of those in ``data``.
        config: What to measure.
        note: Receives one line of text at each step.

    Returns:
        The results, as written to ``results.json``.

    Raises:
        InvalidInputError: for an unknown task or family.
        LabelsError: for a labels file that cannot be used.
    """
    config, labels = config or BenchmarkConfig(), labels or {}
    unknown = set(config.only) - {task.name for task in TASKS}
    if unknown:
        raise InvalidInputError(
            f"unknown tasks {', '.join(sorted(unknown))}: choose from "
            f"{', '.join(task.name for task in TASKS)}"
        )
    for name in labels:
        label_set(name)
    files = {
        task.name: labels.get(task.family, data / label_set(task.family).file) for task in TASKS
    }
    if not any(path.is_file() for path in files.values()):
        raise InvalidInputError(
            f"{data} holds none of the labels files, such as {label_set('nasbench201').file}: give "
            "their folder with --data, or single files with --labels"
        )
    models = [load_model(folder)[0] for folder in weights]
    for folder, model in zip(weights, models, strict=True):
        if model.few_shot is not None:
            raise InvalidInputError(
                f"{folder} was fine-tuned, so nothing of it is zero-shot: give pretrained weights"
            )
    out.mkdir(parents=True, exist_ok=True)
    models[0].add_untrained()  # this one is fine-tuned
    results: dict[str, Any] = {"weights": [folder.name for folder in weights], "tasks": {}}
    started = time.perf_counter()
    for task in TASKS:
        if config.only and task.name not in config.only:
            continue
        path = files[task.name]
        if not path.is_file():
            results["tasks"][task.name] = {
                "absent": f"gennape benchmark --data FOLDER --out FOLDER --labels "
                f"{task.family}=FILE",
                **_facts(task),
            }
            note(f"{task.title}: no labels ({path.name})")
            continue
        results["tasks"][task.name] = _task(task, path, out, weights, models, config, note)
        note(f"{task.title}: done after {time.perf_counter() - started:.0f} s")
    write_whole(out / "results.json", json.dumps(without_nan(results), indent=1) + "\n")
    write_report(results, out)
    return results


def _facts(task: Task) -> dict[str, Any]:
    known = label_set(task.family)
    return {
        **asdict(task),
        "surrogate": known.surrogate,
        "development": known.development,
        "dataset": family(task.family).dataset,
    }


def _task(
    task: Task,
    path: Path,
    out: Path,
    weights: Sequence[Path],
    models: Sequence[Any],
    config: BenchmarkConfig,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """One task's figures, each part kept in a file of its own as soon as it is there."""
    contents = [digest(folder / WEIGHTS_FILE) for folder in weights]
    source = digest(VERSION, path, task.family, task.target, task.subset)
    pools: list[Pool] = []

    def pool() -> Pool:
        if not pools:
            pools.append(
                read_pool(
                    path,
                    family_name=task.family,
                    target=task.target or None,
                    subset=task.subset or None,
                )
            )
        return pools[0]

    def outputs(number: int) -> Any:
        name = digest(VERSION, path, task.family, task.subset, contents[number])
        return cached_outputs(
            out / "cache" / f"{task.family}-{name[:24]}.safetensors",
            lambda: models[number].predict(pool().store),
        )

    def part(name: str, settings: str, make: Callable[[], Any]) -> Any:
        key = digest(source, *contents, settings)
        file = out / "parts" / f"{task.name}-{name}.json"
        if file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["key"] == key:
                return kept["value"]
        value = make()
        write_whole(file, json.dumps({"key": key, "value": value}))
        return value

    def zero_shot() -> dict[str, Any]:
        found = [outputs(i) for i in range(len(models))]
        figures = measure.zero_shot(models, found, pool(), resamples=config.resamples)
        shown = torch.randperm(len(pool().truth), generator=torch.Generator().manual_seed(0))[:400]
        return {
            "networks": len(pool().truth),
            "figures": figures,
            "histogram": pool().truth.tolist()
            if len(pool().truth) <= 2000
            else pool().truth[:: len(pool().truth) // 2000].tolist(),
            "map": found[0].embedding[shown].tolist(),
            "scatter": [
                models[0].population_score(found[0])[shown].tolist(),
                pool().truth[shown].tolist(),
            ],
        }

    result = {**_facts(task), **part("zero-shot", f"{config.resamples} {BASELINES}", zero_shot)}
    tuned = task.tuned and result["networks"] >= 2 * measure.LABELS
    if task.tuned and not tuned:
        note(f"{task.title}: {result['networks']} networks are too few to tune and test on")
    if tuned:
        result["with_labels"] = part(
            "tuned",
            str(config.seeds),
            lambda: measure.tuned_default(models[0], outputs(0), pool(), config.seeds),
        )
    if tuned and task.paper and config.paper_tuning:
        note(f"{task.title}: the paper's fine-tuning")
        result["with_labels"] |= part(
            "tuned-paper",
            str(config.seeds),
            lambda: measure.tuned_paper(models[0], pool(), config.seeds),
        )
    if task.family == "nasbench101" and config.comparators:
        note("Table 3's comparators")
        result["figures"] |= part(
            "comparators",
            str(config.seeds),
            lambda: slow.comparators(path, config.seeds[:3], note),
        )
    if task.paper and task.family != "nasbench101" and config.proxies:
        note(f"{task.title}: zero-cost proxies")
        kept = out / "parts" / f"{task.name}-proxies.jsonl"
        result["proxies"] = part(
            "proxies",
            "with scores",
            lambda: slow.proxies(path, task.family, kept, models[0]),
        )
    return result
