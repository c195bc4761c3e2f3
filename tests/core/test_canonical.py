"""The canonical hash: blind to the numbering, sensitive to everything else."""

import os
import random
import subprocess
import sys
from typing import Any

import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.graph import ComputeGraph
from hypothesis import assume, given
from hypothesis import strategies as st

from gennape_plugin.testing import renumbered

IMAGE = (1, 4, 6, 6)


def random_graph(rng: random.Random, size: int) -> ComputeGraph:
    """A DAG of ops on equal maps: repeated operands, shared weights and equal twins included."""
    b = GraphBuilder()
    made = [b.input(IMAGE)]
    convs: list[int] = []
    for _ in range(size):
        x, y = rng.choice(made[-4:]), rng.choice(made)
        match rng.randrange(8):
            case 0 | 1:
                made.append(b.conv(x, 4, kernel=rng.choice((1, 3))))
                convs.append(made[-1])
            case 2 if convs:
                owner = rng.choice(convs)
                made.append(b.add("conv", (x,), shares=owner, **dict(b.nodes[owner].attrs)))
            case 3:
                made.append(b.join(rng.choice(("add", "mul")), x, y))
            case 4:
                made.append(b.add("sub", (x, y)))
            case 5:
                made.append(b.conv(b.concat([x, y, x]), 4, kernel=1))
            case 6:
                made.append(b.add("hard_swish", (x,)))
            case _:
                made.append(b.relu(x))
    read = {operand for operands in b.operands for operand in operands}
    return b.build(*(i for i in made if i not in read))


@given(st.integers(0, 2**32), st.integers(1, 25))
def test_any_numbering_has_the_same_hash_and_view(seed: int, size: int) -> None:
    rng = random.Random(seed)
    graph = random_graph(rng, size)
    other = renumbered(graph, rng)
    assert other.hash == graph.hash
    one, two = graph.paper_view(), other.paper_view()
    assert (one.num_nodes, one.num_edges, one.num_weighted) == (
        two.num_nodes,
        two.num_edges,
        two.num_weighted,
    )
    assert (graph.params, graph.macs) == (other.params, other.macs)


@given(st.integers(0, 2**32), st.integers(2, 15))
def test_swapping_the_operands_of_a_difference_changes_the_hash(seed: int, size: int) -> None:
    graph = random_graph(random.Random(seed), size)
    operands = list(graph.operands)
    places = [
        i
        for i, node in enumerate(graph.nodes)
        if node.op == "sub" and graph.nodes[operands[i][0]] != graph.nodes[operands[i][1]]
    ]
    assume(places)
    operands[places[0]] = operands[places[0]][::-1]
    swapped = ComputeGraph(graph.nodes, operands, weight_of=graph.weight_of)
    assert swapped.hash != graph.hash


@given(st.integers(0, 2**32), st.integers(2, 15))
def test_swapping_the_operands_of_a_sum_does_not(seed: int, size: int) -> None:
    graph = random_graph(random.Random(seed), size)
    operands = [
        list(reversed(o)) if node.op in ("add", "mul") else o
        for node, o in zip(graph.nodes, graph.operands, strict=True)
    ]
    assert ComputeGraph(graph.nodes, operands, weight_of=graph.weight_of).hash == graph.hash


@given(st.integers(0, 2**32), st.integers(1, 15))
def test_sharing_changes_the_hash(seed: int, size: int) -> None:
    graph = random_graph(random.Random(seed), size)
    assume(any(i != o for i, o in enumerate(graph.weight_of)))
    assert ComputeGraph(graph.nodes, graph.operands).hash != graph.hash


def conv_graph(**change: Any) -> ComputeGraph:
    attrs: dict[str, Any] = {
        "channels": 4,
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "bias": False,
    }
    b = GraphBuilder()
    return b.build(b.add("conv", (b.input(IMAGE),), **{**attrs, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 8},
        {"kernel": (1, 1), "padding": (0, 0)},
        {"kernel": (3, 1), "padding": (1, 0)},
        {"stride": (2, 2)},
        {"stride": (1, 2)},
        {"padding": "same"},
        {"padding": (2, 2), "dilation": (2, 2)},
        {"groups": 2},
        {"bias": True},
    ],
)
def test_every_attribute_counts(change: dict[str, Any]) -> None:
    assert conv_graph(**change).hash != conv_graph().hash
    assert conv_graph().hash == conv_graph().hash


def test_ops_and_shapes_count_and_names_do_not() -> None:
    def single(op: str, shape: tuple[int, ...] = IMAGE, name: str = "", scope: str = "") -> str:
        b = GraphBuilder(name)
        x = b.input(shape)
        b.set_scope(scope)
        return b.build(b.add(op, (x,))).hash

    assert single("relu") == single("relu", name="a", scope="b")
    assert len({single("relu"), single("tanh"), single("relu", (2, 4, 6, 6))}) == 3
    assert len(single("relu")) == 32
    assert int(single("relu"), 16) >= 0


def test_sums_commute_and_concatenations_do_not() -> None:
    def joined(op: str, *, flip: bool, **attrs: int) -> str:
        b = GraphBuilder()
        x = b.input(IMAGE)
        pair = (b.relu(x), b.add("tanh", (x,)))
        return b.build(b.add(op, pair[::-1] if flip else pair, **attrs)).hash

    for op in ("add", "mul"):
        assert joined(op, flip=False) == joined(op, flip=True)
    for op in ("sub", "div"):
        assert joined(op, flip=False) != joined(op, flip=True)
    assert joined("concat", flip=False, dim=1) != joined("concat", flip=True, dim=1)


def test_a_diamond_with_one_conv_or_two() -> None:
    def diamond(kind: str) -> ComputeGraph:
        b = GraphBuilder()
        x = b.input(IMAGE)
        one = b.conv(x, 4, kernel=3)
        two = {
            "same node": lambda: one,
            "shared weights": lambda: b.add("conv", (x,), shares=one, **dict(b.nodes[one].attrs)),
            "own weights": lambda: b.conv(x, 4, kernel=3),
        }[kind]()
        return b.build(b.join("add", one, two))

    hashes = {diamond(kind).hash for kind in ("same node", "shared weights", "own weights")}
    assert len(hashes) == 3


def test_which_nodes_share_matters() -> None:
    def chain(owners: tuple[int, ...]) -> str:
        b = GraphBuilder()
        x = b.input(IMAGE)
        for owner in owners:
            own = owner == len(b.nodes)
            x = (
                b.conv(x, 4, kernel=3)
                if own
                else b.add("conv", (x,), shares=owner, **dict(b.nodes[owner].attrs))
            )
        return b.build(x).hash

    patterns = [(1, 2, 3, 4), (1, 1, 3, 3), (1, 2, 1, 2), (1, 2, 2, 1), (1, 1, 1, 1), (1, 1, 1, 4)]
    assert len({chain(p) for p in patterns}) == len(patterns)


@pytest.mark.parametrize("op", ["add", "mul"])
def test_squares_of_two_convs_differ_from_two_products_of_them(op: str) -> None:
    """Nodes with equal surroundings: only which operands are one node tells them apart."""

    def crossed(cross: bool) -> ComputeGraph:
        b = GraphBuilder()
        x = b.input(IMAGE)
        p, q = b.conv(x, 4, kernel=3), b.conv(x, 4, kernel=3)
        pairs = ((p, q), (p, q)) if cross else ((p, p), (q, q))
        return b.build(b.join("add", *(b.join(op, *pair) for pair in pairs)))

    one, two = crossed(True), crossed(False)
    assert one.paper_view().num_nodes != two.paper_view().num_nodes
    assert one.hash != two.hash


def test_the_position_of_a_repeated_operand_matters() -> None:
    def joined(*positions: int) -> str:
        b = GraphBuilder()
        x = b.input(IMAGE)
        twins = (b.relu(x), b.relu(x))
        return b.build(b.concat([twins[p] for p in positions]), *twins).hash

    assert len({joined(0, 0, 1), joined(0, 1, 0), joined(0, 1, 1)}) == 3


_EQUAL_NUMBERS = """
import sys
from gennape_plugin.core.builder import GraphBuilder

def plus(value):
    b = GraphBuilder()
    return b.build(b.add("add", (b.input((1, 2)),), scalar=value)).hash

print(*sorted({plus(eval(text)) for text in sys.argv[1:]}))
"""


def test_equal_numbers_hash_alike_in_whatever_order_they_are_met() -> None:
    """Nodes are interned, so the first spelling of a number stands for all of them."""
    hashes = [
        subprocess.run(
            [sys.executable, "-c", _EQUAL_NUMBERS, *spellings],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.split()
        for seed, spellings in (("0", ("1", "1.0")), ("1", ("1.0", "1")))
    ]
    assert len(hashes[0]) == 1
    assert hashes[0] == hashes[1]
