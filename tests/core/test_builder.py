import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import GraphError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.node import Node, make_node

IMAGE = (1, 4, 8, 8)


def conv_again(b: GraphBuilder, x: int, owner: int) -> int:
    return b.add("conv", (x,), shares=owner, **dict(b.nodes[owner].attrs))


def test_every_short_form_makes_the_op_of_its_name() -> None:
    b = GraphBuilder("all")
    x = b.input(IMAGE)
    made = {
        "conv": b.conv(x, 4, kernel=3),
        "batch_norm": b.batch_norm(x),
        "relu": b.relu(x),
        "relu6": b.relu6(x),
        "max_pool": b.max_pool(x, kernel=2, stride=2),
        "avg_pool": b.avg_pool(x, kernel=2, stride=2, count_include_pad=False),
        "mean": b.mean(x, (2, 3)),
        "linear": b.linear(x, 3),
        "add": b.join("add", x, x),
        "mul": b.join("mul", x, x),
        "concat": b.concat([x, x]),
    }
    assert {op: b.nodes[i].op for op, i in made.items()} == {op: op for op in made}
    assert b.concat([x]) == x
    assert b.nodes[made["avg_pool"]].attr("count_include_pad") is False
    assert b.shape(made["concat"]) == (1, 8, 8, 8)
    depthwise = b.nodes[b.depthwise(x, kernel=5, stride=2)]
    assert (depthwise.attr("groups"), depthwise.shape) == (4, (1, 4, 4, 4))


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_default_padding_is_same(kernel: int, stride: int, dilation: int) -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    y = b.conv(x, 4, kernel=kernel, stride=stride, dilation=dilation)
    assert b.shape(y) == (1, 4, 8 // stride, 8 // stride)


def test_the_rank_of_a_convolution_is_its_inputs() -> None:
    b = GraphBuilder()
    assert b.shape(b.conv(b.input((1, 4, 9)), 2, kernel=3)) == (1, 2, 9)
    assert b.shape(b.conv(b.input((1, 4, 9, 8, 7)), 2, kernel=(3, 1, 5))) == (1, 2, 9, 8, 7)
    with pytest.raises(GraphError, match="a window of kernel"):
        b.conv(b.input(IMAGE), 2, kernel=(3, 3, 3))


def test_scopes() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    with b.scope("stage1"):
        x = b.relu(x)
        with b.scope("block0"):
            x = b.relu(x)
        x = b.relu(x)
    b.set_scope("head")
    x = b.relu(x)
    with pytest.raises(GraphError), b.scope("broken"):
        b.add("relu", ())
    x = b.relu(x)
    graph = b.build(x)
    assert graph.scopes == ("", "stage1", "stage1.block0", "stage1", "head", "head", "head")


@pytest.mark.parametrize("operands", [(1,), (-1,), (0, 7), (-1, 0)])
def test_only_nodes_that_exist_can_be_read(operands: tuple[int, ...]) -> None:
    b = GraphBuilder()
    b.input(IMAGE)
    with pytest.raises(GraphError, match=r"op 'add' reads nodes .* but only 1 exist"):
        b.add("add", operands)
    with pytest.raises(GraphError, match="op 'output' reads nodes"):
        b.build(*operands)
    assert len(b.nodes) == 1


def test_a_refused_op_leaves_nothing_behind() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    with pytest.raises(GraphError, match=r"op 'add' on \(\(1, 4, 8, 8\), \(1, 4, 4, 4\)\)"):
        b.join("add", x, b.max_pool(x, kernel=2, stride=2))
    assert [node.op for node in b.nodes] == ["input", "max_pool"]
    with pytest.raises(GraphError):
        b.concat([])


def test_weights_are_shared_only_with_their_like() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    y = b.conv(x, 4, kernel=3)
    for owner in (x, y + 1, -1, 99):
        with pytest.raises(GraphError, match=f"'conv' with 16 .* weights of node {owner}"):
            b.add("conv", (y,), shares=owner, **dict(make_conv1().attrs))
    with pytest.raises(GraphError, match="cannot share the weights"):
        b.add("conv", (y,), shares=y, **dict(make_conv1().attrs))
    assert len(b.nodes) == 2


def make_conv1() -> Node:
    b = GraphBuilder()
    return b.nodes[b.conv(b.input(IMAGE), 4, kernel=1)]


def test_a_chain_of_sharers_has_one_owner() -> None:
    b = GraphBuilder()
    first = b.conv(b.input(IMAGE), 4, kernel=3)
    second = conv_again(b, first, first)
    third = conv_again(b, second, second)
    graph = b.build(third)
    assert graph.weight_of == (0, 1, 1, 1, 4)
    assert graph.params == 4 * 4 * 9


def test_dead_nodes_are_an_error_or_pruned() -> None:
    b = GraphBuilder("pruned")
    x = b.input(IMAGE)
    b.set_scope("dead")
    b.relu(b.conv(x, 2, kernel=1))
    b.set_scope("alive")
    y = b.relu(x)
    with pytest.raises(GraphError, match=r"node 1 \(conv\) does not reach the output.*prune=True"):
        b.build(y)
    graph = b.build(y, prune=True)
    assert [node.op for node in graph.nodes] == ["input", "relu", "output"]
    assert graph.operands == ((), (0,), (1,))
    assert graph.scopes == ("", "alive", "alive")
    assert_valid(graph)


def test_inputs_are_never_pruned() -> None:
    b = GraphBuilder()
    b.input(IMAGE)
    y = b.input((1, 2))
    assert len(b.build(y, prune=True).inputs) == 2


def test_shared_weights_pass_to_the_next_user_when_their_owner_is_pruned() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    owner = b.conv(x, 4, kernel=3)
    dead = conv_again(b, owner, owner)
    y = conv_again(b, b.relu(x), owner)
    z = conv_again(b, y, owner)
    graph = b.build(z, prune=True)
    assert dead not in graph.operands
    assert [node.op for node in graph.nodes] == ["input", "relu", "conv", "conv", "output"]
    assert graph.weight_of == (0, 1, 2, 2, 4)
    assert graph.params == 4 * 4 * 9
    assert_valid(graph)


def test_an_owner_that_stays_keeps_its_sharers() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    b.relu(x)
    owner = b.conv(x, 4, kernel=3)
    graph = b.build(conv_again(b, owner, owner), prune=True)
    assert graph.weight_of == (0, 1, 1, 3)
    assert_valid(graph)


def test_ends_are_needed() -> None:
    b = GraphBuilder()
    x = b.input(IMAGE)
    with pytest.raises(GraphError, match="at least one output"):
        b.build()
    constant = GraphBuilder()
    p = constant.add("parameter", shape=(3,))
    with pytest.raises(GraphError, match="at least one input"):
        constant.build(p)
    assert len(b.build(x)) == 2


def test_max_nodes() -> None:
    b = GraphBuilder(max_nodes=3)
    x = b.relu(b.input(IMAGE))
    assert len(b.build(x)) == 3
    full = GraphBuilder(max_nodes=2)
    x = full.relu(full.input(IMAGE))
    with pytest.raises(GraphError, match="more than 2 operations"):
        full.relu(x)
    with pytest.raises(GraphError, match="more than 2 operations"):
        full.build(x)  # the output is an operation as well


def test_append_takes_a_node_made_before() -> None:
    node = make_node("relu", {}, (IMAGE,))
    b = GraphBuilder()
    x = b.append(node, (b.input(IMAGE),))
    graph = b.build(x)
    assert graph.nodes[1] is node
    assert_valid(graph)


def test_channel_axes_follow_the_operands() -> None:
    b = GraphBuilder()
    x = b.add("permute", (b.input(IMAGE),), dims=(0, 2, 3, 1))
    assert b.nodes[b.relu(x)].axis == 3
    assert b.nodes[b.mean(x, (1, 2))].axis == 1


def assert_valid(graph: ComputeGraph) -> None:
    """The builder skips validation, so its graphs are put through it here."""
    again = ComputeGraph(
        graph.nodes, graph.operands, weight_of=graph.weight_of, scopes=graph.scopes
    )
    assert again == graph


def test_owners_of_weights() -> None:
    b = GraphBuilder()
    x = b.input((1, 4))
    assert b.owner("w", "linear", (x,), features=4) == (None, False)
    b.owners["w"] = first = b.linear(x, 4)
    assert b.owner("w", "linear", (first,), features=4) == (first, True)
    assert b.owner("w", "linear", (first,), features=8) == (first, False)
