"""A pool: labelled networks as graphs, with the untrained baselines beside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.ranker import Ranker
from gennape_plugin.core.statistics import STATISTICS
from gennape_plugin.families import family

from .label_sets import label_set
from .labels import Labelled, read_labels

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Untrained scores printed beside every evaluation; they have no MAE. Effective FLOPs are
#: those that the output depends on (what only `none` operations read does not count);
#: PRIOR8 is the mean normal score of eight size and depth statistics within the pool.
BASELINES: Final = ("FLOPs", "effective FLOPs", "params", "conv count", "PRIOR8")


@dataclass(frozen=True)
class Pool:
    """Labelled networks.

    Attributes:
        family: Name of the family.
        target: Label column.
        subset: Part of the labels.
        variant: Network that encodings stood for.
        rows: Rows of the file, those that are not in the part included.
        truth: Accuracies; fractions where the labels are accuracies in percent.
        store: The graphs, in the same order.
        baselines: Untrained scores by name.
    """

    family: str
    target: str
    subset: str
    variant: str
    rows: int
    truth: Array
    store: GraphStore
    baselines: Mapping[str, Array]


def read_pool(
    labels: str | Path,
    *,
    family_name: str,
    target: str | None = None,
    variant: str | None = None,
    subset: str | None = None,
) -> Pool:
    """Read a labels file and build its graphs.

    Args:
        labels: Label file (see :mod:`.labels`).
        family_name: Family of its architectures.
        target: Label column; the family's default where left out.
        variant: Network that an encoding stands for; the family's default where left out.
        subset: Part of the labels; the family's default where left out.

    Raises:
        LabelsError: for labels that cannot be used.
        InvalidInputError: for an unknown family, variant or subset.
    """
    known, space = label_set(family_name), family(family_name)
    target, variant = target or known.target, variant or known.variant
    subset = subset or next(iter(known.subsets))
    if subset not in known.subsets:
        raise InvalidInputError(
            f"{space.title} labels have no part {subset!r}: choose from {', '.join(known.subsets)}"
        )
    passed = 0

    def keep(row: Mapping[str, Any]) -> bool:
        nonlocal passed
        kept = known.keep(row)
        passed += not kept
        return kept

    rows = list(read_labels(labels, space, keep=keep))
    chosen = [rows[i] for i in known.subsets[subset](rows)]
    truth = truth_of(chosen, target, percent=known.percent, path=labels)
    store, sizes = GraphStore(), {name: np.empty(len(chosen)) for name in BASELINES}
    for i, row in enumerate(chosen):
        graph = space.graph(row.arch, variant=variant)
        view = graph.paper_view()
        store.add(graph)
        sizes["FLOPs"][i], sizes["params"][i] = graph.flops, graph.params
        sizes["conv count"][i] = sum(op.name in ("Conv", "Depthwise") for op in view.ops)
    sizes["effective FLOPs"] = store.statistics[:, STATISTICS.index("log_macs")].double().numpy()
    sizes["PRIOR8"] = Ranker()(store.statistics).numpy()
    total = len(rows) + passed
    return Pool(family_name, target, subset, variant, total, truth, store, sizes)


def truth_of(rows: Sequence[Labelled], target: str, *, percent: bool, path: str | Path) -> Array:
    """The labels of a pool, accuracies as fractions; an architecture may occur twice.

    Raises:
        LabelsError: for fewer than two rows, missing labels, or another unit than announced.
    """
    if len(rows) < 2:
        raise LabelsError(f"{path}: {len(rows)} architectures to evaluate; at least 2 are needed")
    missing = [row.key for row in rows if target not in row.labels]
    if missing:
        raise LabelsError(
            f"{path}: {len(missing)} architectures have no {target!r} (first: {missing[0]}); "
            f"columns are {', '.join(sorted(rows[0].labels))}"
        )
    values = np.array([row.labels[target] for row in rows])
    if percent and values.max() <= 1:
        raise LabelsError(
            f"{path}: {target} never exceeds 1, but percentages are expected: multiply by 100"
        )
    if percent and not (values.min() >= 0 and values.max() <= 100):
        raise LabelsError(
            f"{path}: {target} goes from {values.min():.4g} to {values.max():.4g}, but percentages "
            "are expected"
        )
    if not percent and values.max() > 1:
        raise LabelsError(
            f"{path}: {target} reaches {values.max():.4g}, but fractions are expected: "
            "divide by 100"
        )
    return values / 100 if percent else values
