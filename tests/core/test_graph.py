import copy
import pickle
from typing import Any

import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node, make_node

IMAGE = (1, 3, 8, 8)


def tiny(name: str = "tiny") -> ComputeGraph:
    """Conv, then the same conv again on its own output, and a sum."""
    b = GraphBuilder(name)
    x = b.input(IMAGE)
    with b.scope("body"):
        y = b.conv(x, 3, kernel=3, bias=True)
        options = dict(b.nodes[y].attrs)
        z = b.add("conv", (y,), shares=y, **options)
        z = b.join("add", y, z)
    return b.build(b.linear(b.mean(z, (2, 3)), 10))


def parts() -> dict[str, Any]:
    graph = tiny()
    return {
        "nodes": list(graph.nodes),
        "operands": [list(o) for o in graph.operands],
        "weight_of": list(graph.weight_of),
        "scopes": list(graph.scopes),
    }


def test_the_parts_make_the_graph_again() -> None:
    assert ComputeGraph(**parts()) == tiny()


def test_sizes_and_costs() -> None:
    graph = tiny()
    assert len(graph) == 7
    assert graph.num_edges == 7
    assert list(graph.edges()) == [
        (0, 1, 0),
        (1, 2, 0),
        (1, 3, 0),
        (2, 3, 1),
        (3, 4, 0),
        (4, 5, 0),
        (5, 6, 0),
    ]
    assert graph.inputs == (0,)
    assert graph.macs == 2 * 9 * 3 * 3 * 64 + 3 * 10
    assert graph.flops == 2 * graph.macs


def test_shared_weights_count_once_in_parameters_and_each_time_in_flops() -> None:
    once, conv = tiny(), 9 * 3 * 3 + 3
    assert once.params == conv + 3 * 10 + 10
    twice = ComputeGraph(**{**parts(), "weight_of": None})
    assert twice.params == once.params + conv
    assert twice.macs == once.macs


def test_several_outputs_and_inputs() -> None:
    b = GraphBuilder()
    x, y = b.input((1, 4)), b.input((1, 4))
    graph = b.build(b.join("add", x, y), x)
    assert graph.inputs == (0, 1)
    assert graph.operands[-1] == (2, 0)
    unused = GraphBuilder()
    x, _ = unused.input((1, 4)), unused.input((1, 4))
    assert len(unused.build(unused.relu(x)).inputs) == 2


@pytest.mark.parametrize("name", ["nodes", "operands", "weight_of", "name", "other", "hash"])
def test_immutable(name: str) -> None:
    graph = tiny()
    with pytest.raises(AttributeError, match=f"immutable: '{name}'"):
        setattr(graph, name, ())
    assert graph == tiny()


def test_later_changes_to_the_lists_do_not_reach_the_graph() -> None:
    given = parts()
    graph = ComputeGraph(**given)
    given["operands"][3].append(0)
    given["nodes"].clear()
    given["weight_of"][2] = 2
    assert graph == tiny()


def test_equality_is_of_structure_and_not_of_names() -> None:
    graph, other = tiny(), tiny("another")
    assert graph == other
    assert hash(graph) == hash(other)
    assert graph.hash == other.hash
    assert graph != ComputeGraph(**{**parts(), "weight_of": None})
    swapped = parts()
    swapped["operands"][3].reverse()
    assert graph != ComputeGraph(**swapped)
    assert graph != "tiny"
    assert {graph: 1}[other] == 1


def test_renamed() -> None:
    graph = tiny()
    other = graph.renamed("new")
    assert (graph.name, other.name) == ("tiny", "new")
    assert other == graph
    assert other.scopes == graph.scopes


@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy"])
def test_copies(how: str) -> None:
    graph = tiny()
    made: ComputeGraph = {
        "pickle": lambda g: pickle.loads(pickle.dumps(g)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }[how](graph)
    assert made == graph
    assert (made.name, made.scopes, made.weight_of) == (graph.name, graph.scopes, graph.weight_of)
    assert made.hash == graph.hash
    assert made.params == graph.params


def test_repr() -> None:
    assert repr(tiny()).startswith("ComputeGraph('tiny', 7 nodes, 7 edges, ")
    assert repr(tiny("")).startswith("ComputeGraph(7 nodes")


# -- what is refused ----------------------------------------------------------------------------


def relu(*shape: int) -> Node:
    return make_node("relu", {}, (shape or IMAGE,))


def end(*shapes: tuple[int, ...]) -> Node:
    return make_node("output", {}, shapes or (IMAGE,))


SOURCE = make_node("input", {"shape": IMAGE})


@pytest.mark.parametrize(
    ("nodes", "operands", "options", "message"),
    [
        ([], [], {}, "has 1 to 1000000 nodes, got 0"),
        ([SOURCE, end()], [[]], {}, "2 nodes, 1 operand lists.*equally many"),
        ([SOURCE, end()], [[], [0]], {"scopes": [""]}, "and 1 scopes: all four"),
        ([SOURCE, end()], [[], [0]], {"weight_of": [0]}, "1 weight owners"),
        ([SOURCE, relu(), end()], [[], [1], [1]], {}, r"node 1 \(relu\) reads node 1"),
        ([SOURCE, relu(), end()], [[], [2], [1]], {}, "operands must come before"),
        ([SOURCE, relu(), end()], [[], [-1], [1]], {}, "reads node -1"),
        ([SOURCE, relu(), end()], [[], [9], [1]], {}, "reads node 9"),
        ([SOURCE, relu(1, 3), end((1, 3))], [[], [0], [1]], {}, r"expects operands of shapes"),
        ([SOURCE, relu(), end()], [[], [], [1]], {}, r"expects operands.*but reads \(\)"),
        ([SOURCE, relu(), end()], [[], [0, 0], [1]], {}, "expects operands"),
        ([SOURCE, relu()], [[], [0]], {}, "exactly one output"),
        ([SOURCE, end(), relu()], [[], [0], [0]], {}, "exactly one output"),
        ([SOURCE, end(), end()], [[], [0], [1]], {}, "exactly one output"),
        (
            [make_node("parameter", {"shape": IMAGE}), end()],
            [[], [0]],
            {},
            "at least one input",
        ),
        ([SOURCE, relu(), end()], [[], [0], [0]], {}, r"node 1 \(relu\) and 0 more are read by"),
        ([SOURCE, end()], [[], [0]], {"weight_of": [0, 5]}, "cannot share the weights of node 5"),
        ([SOURCE, end()], [[], [0]], {"weight_of": [1, 1]}, "node 0 cannot share"),
        ([SOURCE, end()], [[], [0]], {"weight_of": [-1, 1]}, "node 0 cannot share"),
        (
            [SOURCE, relu(), relu(), end()],
            [[], [0], [1], [2]],
            {"weight_of": [0, 0, 1, 3]},
            "node 2 cannot share the weights of node 1",
        ),
    ],
)
def test_refused(
    nodes: list[Node], operands: list[list[int]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        ComputeGraph(nodes, operands, **options)


def test_sharers_have_equally_many_parameters() -> None:
    given = parts()
    given["weight_of"][5] = 1  # the linear layer shares the convolution's
    with pytest.raises(GraphError, match="nodes 1 and 5 share weights but have 84 and 40"):
        ComputeGraph(**given)
