"""Files of graphs: nothing is lost, and nothing but GraphError comes out of a damaged one."""

import json
import math
import random
import time
from pathlib import Path
from typing import Any

import pytest
from gennape_plugin.core import graph_json
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.graph_json import graph_from_dict, graph_to_dict, load_graph, save_graph
from hypothesis import given
from hypothesis import strategies as st
from mutations import JUNK, TOKENS, bounded, deep, mutated_bytes, mutated_json

IMAGE = (1, 4, 6, 6)


def sample() -> ComputeGraph:
    """A little of everything that a file holds: tuples, nothing, text, floats, sharing."""
    b = GraphBuilder("sample")
    x = b.input(IMAGE)
    with b.scope("body"):
        y = b.conv(x, 4, kernel=3)
        z = b.add("conv", (y,), shares=y, **dict(b.nodes[y].attrs))
        z = b.join("add", y, z, y)
        z = b.add("adaptive_avg_pool", (b.relu(z),), size=(None, 3))
        z = b.add("slice", (z,), out_shape=(1, 4, 2, 3), spec=((2, 0, 4, 2), None))
    z = b.add("lstm", (b.add("reshape", (z,), shape=(1, 8, 3)),), out_shape=(1, 8, 5), hidden=5)
    z = b.add("softmax", (b.add("mul", (b.batch_norm(z),), scalar=-math.inf),))
    return b.build(b.linear(b.mean(z, (1,)), 10), y)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, str, int]:
    return draw(st.integers(0, 2**32)), draw(st.text(max_size=20)), draw(st.integers(1, 20))


def random_graph(seed: int, name: str, size: int) -> ComputeGraph:
    rng = random.Random(seed)
    b = GraphBuilder(name)
    made = [b.input(IMAGE)]
    for step in range(size):
        b.set_scope(f"{name}{step}")
        x = rng.choice(made)
        owners = [i for i in made if b.nodes[i].op == "conv"]
        match rng.randrange(6):
            case 0:
                made.append(b.conv(x, 4, kernel=rng.choice((1, 3)), bias=rng.random() < 0.5))
            case 1 if owners:
                owner = rng.choice(owners)
                made.append(b.add("conv", (x,), shares=owner, **dict(b.nodes[owner].attrs)))
            case 2:
                made.append(b.join("add", x, rng.choice(made), x))
            case 3:
                made.append(b.add("leaky_relu", (x,), slope=rng.random()))
            case 4:
                y = b.add("permute", (x,), dims=(0, 2, 3, 1))
                made.append(b.add("permute", (b.linear(y, 4),), dims=(0, 3, 1, 2)))
            case _:
                made.append(b.add("custom", (x,), target=name, out_shape=IMAGE))
    return b.build(*made[-2:], prune=True)


def assert_same(one: ComputeGraph, two: ComputeGraph) -> None:
    assert one == two
    assert (one.name, one.scopes) == (two.name, two.scopes)
    assert one.hash == two.hash
    assert [n.axis for n in one.nodes] == [n.axis for n in two.nodes]
    assert [n.in_axis for n in one.nodes] == [n.in_axis for n in two.nodes]
    assert one.paper_view().ops == two.paper_view().ops
    assert (one.params, one.macs) == (two.params, two.macs)


@given(graphs())
def test_round_trip(case: tuple[int, str, int]) -> None:
    graph = random_graph(*case)
    record = graph_to_dict(graph)
    assert_same(graph_from_dict(record), graph)
    text = json.dumps(record)
    assert_same(graph_from_dict(json.loads(text)), graph)
    assert json.loads(text) == record  # plain JSON values: no tuples
    assert graph_to_dict(graph_from_dict(record)) == record


def test_round_trip_of_everything_at_once(tmp_path: Path) -> None:
    graph = sample()
    save_graph(graph, tmp_path / "graph.json")
    assert_same(load_graph(tmp_path / "graph.json"), graph)
    assert_same(load_graph(str(tmp_path / "graph.json")), graph)


def test_equal_operations_are_written_once() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    for _ in range(100):
        x = b.relu(x)
    record = graph_to_dict(b.build(x))
    assert len(record["ops"]) == 3
    assert len(record["nodes"]) == 102


def test_names_sharing_and_scopes_may_be_left_out() -> None:
    record = graph_to_dict(sample())
    for key in ("name", "shared", "scopes"):
        del record[key]
    graph = graph_from_dict(record)
    assert (graph.name, set(graph.scopes)) == ("", {""})
    assert graph.weight_of == tuple(range(len(graph)))


def test_recorded_shapes_are_inferred_again() -> None:
    record = graph_to_dict(sample())
    conv = next(entry for entry in record["ops"] if entry["op"] == "conv")
    conv["out"] = [1, 4, 6, 7]
    with pytest.raises(GraphError, match="was recorded"):
        graph_from_dict(record)


def test_operands_must_have_the_shapes_that_the_op_expects() -> None:
    """Also where the node they are read from has other axes than the record says."""
    record = graph_to_dict(sample())
    linear = next(entry for entry in record["ops"] if entry["op"] == "linear")
    linear["in"] = [[5]]
    linear["out"] = [10]
    with pytest.raises(GraphError, match=r"'linear'.*expects operands of shapes"):
        graph_from_dict(record)


# -- damaged files ------------------------------------------------------------------------------


def works(graph: ComputeGraph) -> None:
    """Whatever a reader lets through must be usable as a graph."""
    assert graph.params >= 0
    assert graph.macs >= 0
    assert len(graph.hash) == 32
    assert graph.paper_view().num_nodes <= 4 * len(graph)
    assert repr(graph)
    record = graph_to_dict(graph)
    assert graph_to_dict(graph_from_dict(record)) == record or "nan" in repr(record)


def test_mutations_give_a_graph_or_a_graph_error() -> None:
    """Most mutations must not survive."""
    record, rng = graph_to_dict(sample()), random.Random(0)
    refused = 0
    for _ in range(1500):
        broken = mutated_json(record, rng)
        with bounded(seconds=2):
            try:
                graph = graph_from_dict(broken)
            except GraphError:
                refused += 1
            else:
                works(graph)
    assert refused > 1000


@pytest.mark.parametrize("seed", range(3))
def test_mutated_files_give_a_graph_or_a_graph_error(tmp_path: Path, seed: int) -> None:
    path, rng = tmp_path / "graph.json", random.Random(seed)
    save_graph(sample(), path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(250):
        path.write_bytes(mutated_bytes(whole, rng, tokens=TOKENS))
        with bounded():
            try:
                graph = load_graph(path)
            except GraphError:
                refused += 1
            else:
                works(graph)
    assert 150 < refused < 250


@pytest.mark.parametrize("value", [None, [], "graph", 3, {}, {"format": "gennape-graph"}])
def test_not_a_graph(value: object) -> None:
    with pytest.raises(GraphError):
        graph_from_dict(value)


@pytest.mark.parametrize("key", ["format", "version", "ops", "nodes"])
@pytest.mark.parametrize("value", ["missing", *JUNK, 2, "gennape-graph2", deep(5000)])
def test_needed_fields(key: str, value: Any) -> None:
    record = graph_to_dict(sample())
    if value == "missing":
        del record[key]
    elif value == record[key] or (value is True and key == "version"):
        return
    else:
        record[key] = value
    with pytest.raises(GraphError):
        graph_from_dict(record)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("nodes", 2, 1), [2], "node 2 reads .*must come before"),
        (("nodes", 2, 1), [5], "node 2 reads .*must come before"),
        (("nodes", 2, 1), [-1], "node 2 reads .*must come before"),
        (("nodes", 2, 1), [0.0], "node 2 reads .*must come before"),
        (("nodes", 2, 1), [True], "node 2 reads .*must come before"),
        (("nodes", 2, 1), [], "expects operands"),
        (("nodes", 2, 1), {"0": 1}, "operands are a list"),
        (("nodes", 2, 0), 99, "node 2 refers to op"),
        (("nodes", 2, 0), -1, "node 2 refers to op"),
        (("nodes", 2, 0), True, "node 2 refers to op"),
        (("nodes", 2), [0, [], 0], "at most 2 entries"),
        (("nodes", 2), [], "node 2 refers to op"),
        (("shared",), [[2, 1, 0]], "'shared' holds"),
        (("shared",), [[2, 99]], "'shared' holds"),
        (("shared",), [[2, -1]], "'shared' holds"),
        (("shared",), ["ab"], "'shared' holds"),
        (("shared",), [[1, 2]], "cannot share"),
        (("shared",), [[8, 1]], "share weights but have"),
        (("scopes",), ["a"], "all four must be equally many"),
        (("scopes", 0), 3, "scopes are text"),
        (("name",), 3, "'name' is text"),
        (("name",), "x" * 5000, "at most 4096"),
        (("ops", 0, "op"), "conv", "'conv' (got 0 operands|has no attribute|needs)"),
        (("ops", 0, "op"), ["conv"], "'op' is a name"),
        (("ops", 0, "op"), "rm -rf", "unknown op"),
        (("ops", 0, "attrs"), [], "'attrs' is an object"),
        (("ops", 0, "attrs", "colour"), 1, "has no attribute colour"),
        (("ops", 0, "attrs", "dtype"), {"a": 1}, "an attribute is text"),
        (("ops", 0, "attrs", "dtype"), "x" * 5000, "an attribute is text"),
        (("ops", 0, "attrs", "dtype"), 1 << 64, "an attribute is text"),
        (("ops", 0, "attrs", "shape"), [1, 4, 6, -6], "was recorded"),
        (("ops", 0, "attrs", "shape"), [1, 4, 6, 1 << 60], "was recorded"),
        (("ops", 0, "out"), [1.0, 4, 6, 6], "a shape is a list of integers"),
        (("ops", 0, "out"), [1] * 17, "at most 16"),
        (("ops", 0, "out"), None, "a shape is a list"),
        (("ops", 1, "in"), [1, 4], "a shape is a list"),
        (("ops", 1, "in"), None, "'in' lists shapes"),
        (("ops", 1, "attrs", "groups"), 0, "'groups' is 0"),
        (("ops", 1, "attrs", "groups"), -2, "'groups' is -2"),
        (("ops", 1, "attrs", "bias"), "yes", "'bias' is 'yes'"),
        (("ops", 1, "attrs", "kernel"), [3], "a window of kernel"),
        (("ops", 1, "attrs", "kernel"), [3, "3"], "conv"),
        (("ops", 1, "attrs", "kernel"), math.nan, "conv"),
    ],
)
def test_refused(path: tuple[Any, ...], value: Any, message: str) -> None:
    record = graph_to_dict(sample())
    holder: Any = record
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    with pytest.raises(GraphError, match=message):
        graph_from_dict(record)


@pytest.mark.parametrize(
    "attrs", [{"hidden": "5"}, {"hidden": -5}, {"layers": 2.5}, {"projection": None}]
)
def test_ops_without_a_shape_rule_are_checked_too(attrs: dict[str, Any]) -> None:
    record = graph_to_dict(sample())
    lstm = next(entry for entry in record["ops"] if entry["op"] == "lstm")
    lstm["attrs"] |= attrs
    with pytest.raises(GraphError, match="lstm"):
        graph_from_dict(record)


def test_claimed_layers_cost_no_time() -> None:
    record = graph_to_dict(sample())
    lstm = next(entry for entry in record["ops"] if entry["op"] == "lstm")
    lstm["attrs"]["layers"] = 1 << 40
    start = time.perf_counter()
    assert graph_from_dict(record).params > 1 << 40
    assert time.perf_counter() - start < 1


def test_long_attributes_are_read_once_for_each_op() -> None:
    b = GraphBuilder()
    x = b.add("slice", (b.input((1, 4)),), spec=(0,) * 60_000, out_shape=(1, 4))
    record = graph_to_dict(b.build(x))
    slices = [[1, [i]] for i in range(20_000)]
    record["nodes"] = [[0, []], *slices, [2, [20_000]]]
    del record["scopes"]
    start = time.process_time()
    assert len(graph_from_dict(record)) == 20_002
    assert time.process_time() - start < 3


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"format":' * 2000,
        b"9" * 5000,
        b'{"format": "gennape-graph", "version": 1, "ops": [], "nodes": []}',
        b"NaN",
        b"null",
    ],
)
def test_files_that_are_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"broken\.json"):
        load_graph(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"nothing\.json is not a readable"):
        load_graph(tmp_path / "nothing.json")
    with pytest.raises(GraphError, match="not a readable"):
        load_graph(tmp_path)


def test_file_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(graph_json.MAX_BYTES + 1)  # sparse: takes no space
    with pytest.raises(GraphError, match=r"large\.json has 268435457 bytes: at most 268435456"):
        load_graph(path)


def test_truncated_file(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.json", tmp_path / "cut.json"
    save_graph(sample(), whole)
    data = whole.read_bytes()
    for size in range(0, len(data) - 2, 37):
        path.write_bytes(data[:size])
        with pytest.raises(GraphError, match=r"cut\.json"):
            load_graph(path)
