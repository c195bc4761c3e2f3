"""How each family's labels are read: column, unit, parts, and what the paper calls it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .families import family
from .hooks import ask, hookimpl
from .labels import Labelled
from .protocol import PRUNE_BELOW, split_nasbench101

Subset = Callable[[Sequence[Labelled]], Sequence[int]]


def _everything(rows: Sequence[Labelled]) -> Sequence[int]:
    return range(len(rows))


def _keep_all(row: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True)
class LabelSet:
    """A family's labels.

    Attributes:
        target: Default label column.
        percent: Whether labels are percentages (otherwise fractions).
        file: Name of the labels file in a data folder.
        subsets: Named parts of a labels file; the first is the default.
        surrogate: Whether the labels are another regressor's predictions.
        development: Whether choices of the default mode were made on this family.
        keep: Which raw rows can be read at all.
        variant: Network that an encoding stands for by default.
    """

    target: str
    percent: bool = True
    file: str = ""
    subsets: Mapping[str, Subset] = field(default_factory=lambda: {"all": _everything})
    surrogate: bool = False
    development: bool = False
    keep: Callable[[Mapping[str, Any]], bool] = _keep_all
    variant: str = "benchmark"


def _nasbench101(part: str, *, pruned: bool = False) -> Subset:
    def rows_of(rows: Sequence[Labelled]) -> Sequence[int]:
        chosen: Sequence[int] = getattr(split_nasbench101(rows), part)
        return [i for i in chosen if not pruned or rows[i].labels["test_acc"] >= PRUNE_BELOW]

    return rows_of


def _complete_widths(row: Mapping[str, Any]) -> bool:
    """Some published rows have lost their stem's widths, so their network is unknown."""
    widths = row.get("w")
    return not isinstance(widths, list) or None not in widths


#: By family. Labels of the paper's own three families are not among our data; their files
#: hold one architecture a line with its ``accuracy`` in percent.
LABEL_SETS: Final[Mapping[str, LabelSet]] = {
    "nasbench101": LabelSet(
        "test_acc",
        percent=False,
        file="nasbench101.jsonl.gz",
        subsets={
            "validation_2": _nasbench101("validation_2"),
            "validation_2_from_80": _nasbench101("validation_2", pruned=True),
            "validation_1": _nasbench101("validation_1"),
        },
    ),
    "nasbench201": LabelSet(
        "c10_test_acc_200ep",
        file="nasbench201.jsonl.gz",
        subsets={
            "no-none": lambda rows: [i for i, row in enumerate(rows) if "none" not in row.arch.ops],
            "all": _everything,
        },
        development=True,
    ),
    "nasbench301": LabelSet("c10_valid_acc_nb301", file="nasbench301.jsonl.gz", development=True),
    "ofa_proxyless": LabelSet(
        "imagenet_top1_surrogate", file="ofa_proxyless_surrogate.jsonl.gz", surrogate=True
    ),
    "ofa_mobilenetv3": LabelSet("imagenet_top1", file="ofa_mobilenetv3.jsonl.gz", development=True),
    "ofa_resnet50": LabelSet(
        "imagenet_top1_surrogate",
        file="ofa_resnet50_surrogate.jsonl.gz",
        surrogate=True,
        keep=_complete_widths,
    ),
    "hiaml": LabelSet("accuracy", file="hiaml.jsonl.gz"),
    "inception": LabelSet("accuracy", file="inception.jsonl.gz"),
    "two_path": LabelSet("accuracy", file="two_path.jsonl.gz"),
    "nasbench_macro": LabelSet(
        "c10_test_acc_mean", file="nasbench_macro.jsonl.gz", development=True
    ),
    "transnas101_micro": LabelSet("val_class_object", file="transnas101_micro.jsonl.gz"),
    "transnas101_macro": LabelSet("val_class_object", file="transnas101_macro.jsonl.gz"),
}


@hookimpl
def gennape_label_sets() -> Mapping[str, LabelSet]:
    """Those of the built-in families."""
    return LABEL_SETS


def label_set(family_name: str) -> LabelSet:
    """The label set of a family; of a plugin's family that has none, ``accuracy`` in percent.

    Raises:
        InvalidInputError: naming the families there are.
    """
    for known in ask("gennape_label_sets"):
        if family_name in known:
            found: LabelSet = known[family_name]
            return found
    return LabelSet("accuracy", file=f"{family(family_name).name}.jsonl.gz")
