"""NAS-Bench-201 in NASLib for the benchmarks beside: its labels, and graphs that cost nothing.

Needs NASLib on the path (docs/hosts/naslib.md) and a folder with ``nasbench201.jsonl.gz``.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naslib.search_spaces.core.graph import Graph
from naslib.search_spaces.nasbench201.conversions import (
    convert_op_indices_to_str,
    convert_str_to_op_indices,
)
from naslib.search_spaces.nasbench201.graph import NasBench201SearchSpace

Encoding = tuple[int, ...]
FILE = "nasbench201.jsonl.gz"


class LightCell(NasBench201SearchSpace):
    """NASLib's NAS-Bench-201 graph without operations, for search on a table.

    Its constructor makes every candidate operation of every cell (0.5 s, 9 MB), which encodings,
    mutations and table look-ups never read. Everything but the constructor is NASLib's own.
    """

    def __init__(self) -> None:
        Graph.__init__(self)
        self.num_classes, self.in_channels, self.max_epoch = 10, 3, 199
        self.space_name = "nasbench201"
        self.op_indices: Any = None
        self.labeled_archs: Any = None
        self.instantiate_model = self.sample_without_replacement = False


@dataclass(frozen=True)
class Label:
    """CIFAR-10 accuracies of a cell after 200 epochs, in percent."""

    valid: float
    test: float


def read_table(folder: Path) -> dict[Encoding, Label]:
    """Every cell's label by NASLib's encoding."""
    path = folder / FILE
    if not path.is_file():
        raise SystemExit(f"{path} is missing: give the folder that holds {FILE} with --data")
    table = {}
    with gzip.open(path, "rt") as file:
        for row in map(json.loads, file):
            table[convert_str_to_op_indices(row["arch_str"])] = Label(
                row["c10_valid_acc_200ep"], row["c10_test_acc_200ep"]
            )
    return table


def dataset_api(accuracies: Mapping[Encoding, float]) -> dict[str, Any]:
    """A table in the form that ``NasBench201SearchSpace.query`` reads."""
    return {
        "nb201_data": {
            convert_op_indices_to_str(encoding): {
                "cifar10-valid": {
                    "eval_acc1es": [accuracy],
                    "train_acc1es": [accuracy],
                    "cost_info": {"train_time": 0.0},
                }
            }
            for encoding, accuracy in accuracies.items()
        }
    }


def graphs(encodings: list[Encoding]) -> list[LightCell]:
    """NASLib graphs with these architectures."""
    made = []
    for encoding in encodings:
        graph = LightCell()
        graph.set_spec(list(encoding))
        made.append(graph)
    return made
