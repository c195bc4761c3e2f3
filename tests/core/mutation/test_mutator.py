import random
from collections import Counter

import pytest
from gennape_plugin.adapters.families import families, family
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.mutation import MOVES, Frozen, Mutator, check_classifier
from gennape_plugin.core.node import make_node
from hypothesis import given, settings
from hypothesis import strategies as st


def check_valid(child: ComputeGraph, start: ComputeGraph) -> None:
    """All that a child promises, worked out anew."""
    again = ComputeGraph(
        child.nodes, child.operands, weight_of=child.weight_of, scopes=child.scopes
    )
    check_classifier(again)
    assert again.nodes[-1].shape == start.nodes[-1].shape
    (first,) = (child.nodes[i] for i in child.inputs)
    assert first.shape == start.nodes[start.inputs[0]].shape
    for node, operands in zip(child.nodes, child.operands, strict=True):
        shapes = tuple(child.nodes[o].shape for o in operands)
        axis = child.nodes[operands[0]].axis if operands else None
        attrs = dict(node.attrs)
        made = make_node(node.op, attrs, shapes, in_axis=axis, out_shape=node.shape)
        assert made == node
        assert (made.axis, made.macs, made.params) == (node.axis, node.macs, node.params)
        if len(node.shape) == 4:
            # A few families pad by a pixel or two before they cut it off again.
            assert node.shape[2] <= first.shape[2] + 2
            assert min(node.shape[2:]) >= 1
        if node.op == "conv" and len(shapes) == 1:
            assert not shapes[0][1] % attrs["groups"]


def small() -> ComputeGraph:
    """Two residual blocks, one of them strided, and a squeeze-and-excitation."""
    b = GraphBuilder("small")
    with b.scope("stem"):
        x = b.relu(b.batch_norm(b.conv(b.input((1, 3, 32, 32)), 16, kernel=3)))
    with b.scope("block1"):
        side = b.batch_norm(b.conv(x, 16, kernel=3))
        x = b.relu(b.join("add", side, x))
    with b.scope("block2"):
        side = b.batch_norm(b.conv(x, 32, kernel=3, stride=2))
        gate = b.add("sigmoid", (b.conv(b.mean(side, (2, 3), keepdim=True), 32, kernel=1),))
        side = b.join("mul", side, gate)
        x = b.relu(b.join("add", side, b.batch_norm(b.conv(x, 32, kernel=1, stride=2))))
    with b.scope("head"):
        x = b.linear(b.mean(x, (2, 3)), 10)
    return b.build(x)


@given(st.sampled_from(sorted(families())), st.integers(0, 2**32))
@settings(max_examples=6)
def test_any_chain_of_mutations_stays_valid(name: str, seed: int) -> None:
    check_chain(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(families()))
def test_chains_from_every_family_stay_valid(name: str) -> None:
    for seed in range(4):
        check_chain(name, seed)


def check_chain(name: str, seed: int) -> None:
    rng = random.Random(seed)
    start = graph = family(name).graph(family(name).sample(rng))
    mutator = Mutator(rng, max_nodes=600)
    for step in range(50):
        graph = mutator.mutate(graph).child
        if step % 7 == 0 or step == 49:
            check_valid(graph, start)


@given(st.integers(0, 2**32))
@settings(max_examples=5)
def test_chains_from_a_small_network_stay_valid_step_by_step(seed: int) -> None:
    rng = random.Random(seed)
    start = graph = small()
    mutator = Mutator(rng, max_nodes=200)
    for _ in range(50):
        graph = mutator.mutate(graph).child
        check_valid(graph, start)


@pytest.mark.parametrize("move", sorted(MOVES))
def test_each_move_changes_a_network(move: str) -> None:
    start = small()
    mutator = Mutator(random.Random(0), moves=[move])
    for _ in range(20):
        found = mutator.mutate(start)
        check_valid(found.child, start)
        assert found.move == move
        assert found.detail
        # A few sub-graphs are what they replace.
        assert found.child.hash != start.hash or move == "replace"


def test_the_same_generator_gives_the_same_children() -> None:
    def chain(seed: int) -> list[str]:
        mutator, graph, found = Mutator(random.Random(seed)), small(), []
        for _ in range(30):
            step = mutator.mutate(graph)
            graph = step.child
            found.append(f"{graph.hash} {step.detail}")
        return found

    assert chain(3) == chain(3)
    assert chain(3) != chain(4)


@pytest.mark.parametrize("name", ["ofa_mobilenetv3", "two_path"])
def test_a_mutated_graph_is_what_its_module_is_captured_as(name: str) -> None:
    rng = random.Random(1)
    start = graph = family(name).graph(family(name).sample(rng))
    mutator = Mutator(rng, max_nodes=300)
    for _ in range(25):
        graph = mutator.mutate(graph).child
    module = graph.to_module()
    shape = start.nodes[start.inputs[0]].shape[1:]
    assert capture(module, shape).graph.hash == graph.hash


def test_a_mutated_network_trains() -> None:
    import torch

    rng, graph = random.Random(2), small()
    mutator = Mutator(rng, max_nodes=100)
    for _ in range(30):
        graph = mutator.mutate(graph).child
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = graph.to_module()
        loss = module(torch.randn(4, 3, 32, 32)).square().mean()
        loss.backward()
    assert all(p.grad is not None for p in module.parameters())


def test_widths_that_belong_together_change_together() -> None:
    mutator = Mutator(random.Random(0), moves=["widen", "narrow"])
    for _ in range(40):
        found = mutator.mutate(small())
        assert found.repairs == 0
        widths = {n.shape for n in found.child.nodes if n.op == "add"}
        assert len(widths) == 2


def test_a_new_connection_is_projected() -> None:
    mutator = Mutator(random.Random(0), moves=["rewire"])
    repairs = [mutator.mutate(small()).repairs for _ in range(60)]
    assert max(repairs) >= 1


def frozen_part(graph: ComputeGraph, frozen: Frozen) -> Counter[object]:
    inside = frozen.of(graph)
    return Counter(graph.nodes[i] for i in inside)


@pytest.mark.parametrize(
    "frozen", [Frozen(stem=True), Frozen(head=True), Frozen(("block1",)), Frozen(("stem", "head"))]
)
def test_frozen_parts_stay(frozen: Frozen) -> None:
    start = graph = small()
    mutator = Mutator(random.Random(5), frozen=frozen, max_nodes=150)
    kept = frozen_part(start, frozen)
    for _ in range(60):
        graph = mutator.mutate(graph).child
        check_valid(graph, start)
        assert not kept - Counter(graph.nodes)


def test_only_allowed_operations_are_brought_in() -> None:
    start = graph = small()
    mutator = Mutator(random.Random(0), ops=[], max_nodes=150)
    for _ in range(80):
        graph = mutator.mutate(graph).child
    ops = {node.op for node in graph.nodes}
    assert ops <= {node.op for node in start.nodes}
    assert all(n.attr("groups") == 1 for n in graph.nodes if n.op == "conv")


def test_a_shared_weight_that_changes_is_no_longer_shared() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((1, 3, 8, 8)), 8, kernel=3)
    first = b.conv(x, 8, kernel=3)
    second = b.add("conv", (first,), shares=first, **dict(b.nodes[first].attrs))
    start = graph = b.build(b.linear(b.mean(second, (2, 3)), 4))
    mutator = Mutator(random.Random(0), max_nodes=40)
    for _ in range(200):
        graph = mutator.mutate(start).child
        check_valid(graph, start)


def test_proposals_are_counted() -> None:
    mutator = Mutator(random.Random(0))
    graph = small()
    made = sum(mutator.propose(graph) is not None for _ in range(200))
    assert sum(mutator.proposed.values()) == 200
    assert sum(mutator.accepted.values()) == made
    assert 0.5 < mutator.acceptance == made / 200
    assert sum(mutator.reasons.values()) == 200 - made


def test_unknown_moves_operations_and_scopes_are_refused() -> None:
    rng = random.Random(0)
    with pytest.raises(InvalidInputError, match="unknown move 'jump': choose from deepen"):
        Mutator(rng, moves=["jump"])
    with pytest.raises(InvalidInputError, match="unknown operation 'warp'"):
        Mutator(rng, ops=["warp"])
    with pytest.raises(InvalidInputError, match="at least one move"):
        Mutator(rng, moves={"widen": 0.0})
    with pytest.raises(InvalidInputError, match=r"no part .* 'layer9': it has stem, block1"):
        Mutator(rng, frozen=Frozen(("layer9",))).mutate(small())


def test_networks_that_cannot_be_mutated_are_refused() -> None:
    b = GraphBuilder("two")
    two = b.build(b.join("add", b.input((1, 3, 8, 8)), b.input((1, 3, 8, 8))))
    with pytest.raises(InvalidInputError, match="two has 2 inputs and 1 outputs"):
        Mutator(random.Random(0)).mutate(two)
    b = GraphBuilder("tokens")
    with pytest.raises(InvalidInputError, match="made for images"):
        Mutator(random.Random(0)).mutate(b.build(b.linear(b.input((1, 8)), 2)))
    b = GraphBuilder("fixed")
    fixed = b.build(b.add("custom", (b.input((1, 3, 8, 8)),), target="x.y", out_shape=(1, 5)))
    with pytest.raises(InvalidInputError, match="none of 100 random changes of fixed"):
        Mutator(random.Random(0)).mutate(fixed)
