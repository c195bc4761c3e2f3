"""Cells of NAS-Bench-101 and -201 in NNI's samples."""

import random

import pytest
from gennape_plugin.adapters.families.nasbench101 import INPUT, OUTPUT, NASBench101
from gennape_plugin.adapters.families.nasbench201 import EDGES, NASBench201
from gennape_plugin.adapters.nni.nasbench101 import cell_of as cell101
from gennape_plugin.adapters.nni.nasbench201 import OPERATIONS
from gennape_plugin.adapters.nni.nasbench201 import cell_of as cell201
from gennape_plugin.core.errors import ArchitectureError


def test_text_of_a_201_cell() -> None:
    sample = {
        "cell/0_1": "conv_3x3",
        "cell/0_2": "none",
        "cell/1_2": "skip_connect",
        "cell/0_3": "avg_pool_3x3",
        "cell/1_3": "conv_1x1",
        "cell/2_3": "conv_3x3",
    }
    assert str(cell201(sample)) == (
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    )


def test_201_cells_there_and_back() -> None:
    names = {ours: theirs for theirs, ours in OPERATIONS.items()}
    rng = random.Random(0)
    for _ in range(50):
        cell = NASBench201().sample(rng)
        pairs = zip(EDGES, cell.ops, strict=True)
        assert cell201({f"cell/{u}_{v}": names[op] for (u, v), op in pairs}) == cell


def test_101_cells_there_and_back() -> None:
    rng = random.Random(0)
    for _ in range(50):
        cell = NASBench101().sample(rng)
        assert (cell.ops[0], cell.ops[-1]) == (INPUT, OUTPUT)
        count = len(cell.ops)
        sample: dict[str, object] = {"cell/num_nodes": count}
        for v in range(1, count):
            sample[f"cell/input{v}"] = [u for u in range(v) if cell.matrix[u][v]]
            if v < count - 1:
                sample[f"cell/op{v}"] = cell.ops[v]
        assert cell101(sample) == cell


def test_a_101_cell_without_a_path() -> None:
    with pytest.raises(ArchitectureError, match="no path"):
        cell101({"cell/num_nodes": 2, "cell/input1": []})
