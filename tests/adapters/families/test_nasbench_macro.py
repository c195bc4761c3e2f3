import gzip
import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.families.nasbench_macro import ArchMacro, NASBenchMacro
from gennape_plugin.core.errors import ArchitectureError
from hypothesis import given
from hypothesis import strategies as st
from twins import assert_twins

FAMILY = NASBenchMacro()
EVERY = ["".join(digits) for digits in itertools.product("012", repeat=8)]


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    path = data_dir / "nasbench_macro.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.data
@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_recorded_parameters_and_flops(rows: list[dict[str, Any]], every: int) -> None:
    """The benchmark calls a multiply-add one FLOP."""
    assert len({FAMILY.parse(FAMILY.encoding_of(row)) for row in rows}) == len(rows) == 6561
    for row in rows[::every]:
        graph = FAMILY.graph(FAMILY.parse(FAMILY.encoding_of(row)))
        assert (graph.params, graph.macs) == (row["params"], row["flops"]), row["arch"]


def test_identities_by_hand() -> None:
    graph = FAMILY.graph(FAMILY.parse("00000000"))
    # Stem, three strided convolutions, head; each with batch norm, the first and last with ReLU.
    convs = [
        (3 * 9, 32, 32 * 32),
        (32, 64, 16 * 16),
        (64, 128, 8 * 8),
        (128, 256, 4 * 4),
        (256, 1280, 4 * 4),
    ]
    assert graph.macs == sum(k * c * area for k, c, area in convs) + 1280 * 10
    assert graph.params == sum(k * c + 2 * c for k, c, _ in convs) + 1280 * 10 + 10
    paper = graph.paper_view()
    assert paper.num_nodes == 2 + 5 * 2 + 2 + 2
    assert paper.num_edges == paper.num_nodes - 1
    assert paper.num_weighted == 6


def test_blocks_by_hand() -> None:
    """A block is three convolutions; it has a sum unless it changes the shape."""
    identities = FAMILY.graph(FAMILY.parse("00000000"))
    for digit, expand, kernel in (("1", 3, 3), ("2", 6, 5)):
        first = FAMILY.graph(FAMILY.parse(f"{digit}0000000"))
        hidden = 32 * expand
        block = 32 * hidden + kernel**2 * hidden + hidden * 64 + 2 * (2 * hidden + 64)
        assert first.params - identities.params == block - (32 * 64 + 2 * 64)
        second = FAMILY.graph(FAMILY.parse(f"0{digit}000000"))
        hidden = 64 * expand
        block = 2 * 64 * hidden + kernel**2 * hidden + 2 * (2 * hidden + 64)
        assert second.params - identities.params == block
        found = Counter(op.name for op in first.paper_view().ops)
        assert (found["Add"], found["Depthwise"]) == (0, 1)
        found = Counter(op.name for op in second.paper_view().ops)
        assert (found["Add"], found["Depthwise"]) == (1, 1)


def test_stages() -> None:
    graph = FAMILY.graph(FAMILY.parse("1" * 8))
    sums = [node.shape[1:] for node in graph.nodes if node.op == "add"]
    assert sums == [(64, 16, 16)] + [(128, 8, 8)] * 2 + [(256, 4, 4)] * 2


# -- the network ----------------------------------------------------------------------------------


def some(count: int, seed: int = 0) -> list[ArchMacro]:
    rng = random.Random(seed)
    return [FAMILY.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("text", ["00000000", "11111111", "22222222"])
def test_module_and_graph_are_the_same_network(text: str) -> None:
    assert_twins(FAMILY, FAMILY.parse(text))


def test_module_runs() -> None:
    module = FAMILY.module(FAMILY.parse("02012100")).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 32, 32)).isfinite().all()


def test_some_encodings_are_one_network() -> None:
    """Where in a stage an identity stands makes no difference."""
    one, other, third = (FAMILY.parse(text) for text in ("00000010", "00000001", "00000100"))
    assert FAMILY.graph(one) == FAMILY.graph(other) != FAMILY.graph(third)
    hashes = {FAMILY.graph(FAMILY.parse(text)).hash for text in EVERY[::9]}
    assert len(hashes) < len(EVERY[::9])


@pytest.mark.slow
def test_number_of_networks() -> None:
    """In a stage the sequence of its blocks counts: 3 * 3 and twice 3 * (1 + 2 + 4)."""
    graphs = {FAMILY.graph(FAMILY.parse(text)) for text in EVERY}
    assert len(graphs) == 9 * 21 * 21


@pytest.mark.parametrize("make", [FAMILY.graph, FAMILY.module])
@pytest.mark.parametrize("variant", ["paper", "tf"])
def test_there_is_one_variant(make: Any, variant: str) -> None:
    with pytest.raises(ArchitectureError, match=f"no variant '{variant}': choose from benchmark"):
        make(FAMILY.parse("0" * 8), variant=variant)


def test_name_and_scopes() -> None:
    graph = FAMILY.graph(FAMILY.parse("02012100"))
    assert graph.name == "nasbench_macro/02012100"
    # Identities that keep the shape are nothing; the first layer of a stage always is something.
    layers = ["stage0.layer0", "stage0.layer1", "stage1.layer0", "stage1.layer1", "stage1.layer2"]
    assert list(dict.fromkeys(graph.scopes)) == ["stem", *layers, "stage2.layer0", "head"]


# -- encodings ------------------------------------------------------------------------------------


def test_every_text_is_parsed_and_written_back() -> None:
    archs = [FAMILY.parse(text) for text in EVERY]
    assert [str(arch) for arch in archs] == EVERY
    assert len(set(archs)) == 6561


def test_forms_of_an_architecture() -> None:
    arch = FAMILY.parse("02012100")
    assert arch.layers == (0, 2, 0, 1, 2, 1, 0, 0)
    assert FAMILY.parse(arch) is arch
    for form in (" 02012100\n", list(arch.layers), arch.layers, [*map(np.int64, arch.layers)]):
        assert FAMILY.parse(form) == arch
    assert {type(digit) for digit in FAMILY.parse([*map(np.int64, arch.layers)]).layers} == {int}


@pytest.mark.parametrize(
    "encoding",
    [
        "",
        "0201210",
        "020121000",
        "02012103",
        "0201210-",
        "0201 2100",
        "0201210a",
        "0201210\N{SUPERSCRIPT TWO}",
        "0201210\N{ARABIC-INDIC DIGIT ZERO}",
        pytest.param("0" * 10**6, id="long"),
        None,
        2012100,
        pytest.param(10**5000, id="huge"),
        2.0,
        math.nan,
        True,
        b"02012100",
        {},
        {"arch": "02012100"},
        [],
        [0] * 7,
        [0] * 9,
        [0] * 7 + [3],
        [0] * 7 + [-1],
        [0] * 7 + [True],
        [0] * 7 + [1.0],
        [0] * 7 + ["1"],
        [0] * 7 + [None],
        [0] * 7 + [math.nan],
        [0] * 7 + [10**5000],
        [[0] * 8],
    ],
)
def test_refused(encoding: object) -> None:
    with pytest.raises(
        ArchitectureError, match="not a NAS-Bench-Macro architecture: give 8 digits"
    ):
        FAMILY.parse(encoding)


@given(st.lists(st.integers(-1, 3), min_size=7, max_size=9))
def test_any_digits_are_parsed_or_refused(digits: list[int]) -> None:
    if len(digits) == 8 and set(digits) <= {0, 1, 2}:
        assert FAMILY.parse(digits).layers == tuple(digits)
        assert FAMILY.parse(str(FAMILY.parse(digits))) == FAMILY.parse(digits)
    else:
        with pytest.raises(ArchitectureError):
            FAMILY.parse(digits)


def test_encoding_of_a_row() -> None:
    assert FAMILY.encoding_of({"arch": "02012100", "other": 1}) == "02012100"
    assert FAMILY.encoding_of({}) is None


def test_sampler() -> None:
    drawn = some(300)
    assert drawn == some(300)
    assert drawn != some(300, seed=1)
    assert all(FAMILY.parse(str(arch)) == arch for arch in drawn)
    for layer in range(8):
        counts = Counter(arch.layers[layer] for arch in drawn)
        assert set(counts) == {0, 1, 2}
        assert min(counts.values()) > 70
