"""Encodings of NASLib's spaces; with NASLib itself wherever it can be imported."""

import importlib
import itertools
import random
from typing import Any

import numpy as np
import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.adapters.naslib import SPACES, family_of, graph_of, hash_of
from gennape_plugin.adapters.naslib.spaces import plain
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import ArchitectureError, InvalidInputError

from gennape_plugin.architectures import capture_any, to_graph


def space_of(name: str) -> Any:
    """A NASLib class; skips where NASLib is not importable."""
    module, cls = name.rsplit(".", 1)
    pytest.importorskip(
        "naslib", reason="NASLib is not importable: put a clone on the path (docs/hosts/naslib.md)"
    )
    return getattr(importlib.import_module(f"naslib.search_spaces.{module}"), cls)


NB201 = "nasbench201.graph.NasBench201SearchSpace"
NB101 = "nasbench101.graph.NasBench101SearchSpace"
NB301 = "nasbench301.graph.NasBench301SearchSpace"
MICRO = "transbench101.graph.TransBench101SearchSpaceMicro"
MACRO = "transbench101.graph.TransBench101SearchSpaceMacro"


def test_nasbench201_numbers() -> None:
    space = family("nasbench201")
    cell = "|avg_pool_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
    # (0,1) pool, (0,2) none, (0,3) skip, (1,2) 1x1, (1,3) 3x3, (2,3) 1x1
    assert graph_of("nasbench201", (4, 1, 0, 3, 2, 3)) == space.graph(space.parse(cell))


def test_nasbench101_numbers() -> None:
    matrix = np.triu(np.ones((4, 4), dtype=int), 1)
    numbers = (*matrix.flatten(), 0, 4, 2, 1)
    space = family("nasbench101")
    ops = ["input", "conv3x3-bn-relu", "maxpool3x3", "output"]
    expected = space.graph(space.parse({"matrix": matrix.tolist(), "ops": ops}))
    assert graph_of("nasbench101", numbers) == expected


def test_nasbench301_numbers() -> None:
    cell = ((0, 3), (1, 2), (0, 0), (2, 6), (1, 4), (3, 1), (0, 5), (4, 2))
    graph = graph_of("nasbench301", (cell, cell))
    space = family("nasbench301")
    text = str(
        [
            ("sep_conv_3x3", 0), ("skip_connect", 1), ("max_pool_3x3", 0), ("dil_conv_5x5", 2),
            ("sep_conv_5x5", 1), ("avg_pool_3x3", 3), ("dil_conv_3x3", 0), ("skip_connect", 4),
        ]
    )  # fmt: skip
    genotype = (
        f"Genotype(normal={text}, normal_concat=[2, 3, 4, 5], "
        f"reduce={text}, reduce_concat=[2, 3, 4, 5])"
    )
    assert graph == space.graph(space.parse(genotype))


def test_transnas_numbers() -> None:
    space = family("transnas101_micro")
    assert graph_of("transbench101_micro", [1, 0, 3, 2, 1, 0]) == space.graph(
        space.parse("64-41414-1_03_210")
    )
    skeleton = family("transnas101_macro")
    assert graph_of("transbench101_macro", np.array([2, 3, 1, 1, 0, 0])) == skeleton.graph(
        skeleton.parse("64-2311-basic")
    )
    scene = graph_of("transbench101_micro", [1] * 6, dataset="class_scene")
    assert scene.nodes[-2].shape != graph_of("transbench101_micro", [1] * 6).nodes[-2].shape


@pytest.mark.parametrize(
    ("space", "encoding", "message"),
    [
        ("nasbench201", (0, 0, 0), "3 numbers: give 6"),
        ("nasbench201", (0, 0, 0, 0, 0, 5), "operation 5: there are 0 to 4"),
        ("nasbench201", (0, 0, 0, 0, 0, -1), "operation -1"),
        ("nasbench201", "000000", "give a tuple|in an encoding"),
        ("nasbench201", (0.5,) * 6, "give tuples of integers"),
        ("nasbench201", None, "in an encoding"),
        ("nasbench201", (True,) * 6, "give tuples of integers"),
        ("nasbench201", (0,) * 500, "more than 200 numbers"),
        ("nasbench101", (1,) * 8, "8 numbers: give n"),
        ("nasbench301", ((0, 1),), "1 cells"),
        ("nasbench301", ((0, 1), (2, 3)), "tuple of pairs"),
        ("transbench101_micro", (9,) * 6, "transbench101_micro architecture"),
        ("transbench101_macro", (1, 1), "transbench101_macro architecture"),
        ("nlp", (1, 1), "no native encoding here: there are nasbench101"),
    ],
)
def test_wrong_encodings(space: str, encoding: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        graph_of(space, encoding)


def test_plain_integers() -> None:
    mixed = (np.int64(3), [np.int8(1), (2, np.array([4, 5]))])
    found = plain(mixed)
    assert found == (3, (1, (2, (4, 5))))
    assert repr(found) == "(3, (1, (2, (4, 5))))"
    deep: Any = 1
    for _ in range(9):
        deep = (deep,)
    with pytest.raises(ArchitectureError):
        plain(deep)


def test_families() -> None:
    for space, (name, _) in SPACES.items():
        assert family_of(space).name == name


# With NASLib itself.


def test_nasbench201_graphs() -> None:
    space = space_of(NB201)
    np.random.seed(0)
    for _ in range(3):
        made = space()
        made.sample_random_architecture()
        found = capture_any(made)
        assert found.route == "naslib encoding"
        assert found.graph == graph_of("nasbench201", made.get_hash())
        assert str(found.graph.name).endswith(_arch_str(made))


def _arch_str(made: Any) -> str:
    conversions = importlib.import_module("naslib.search_spaces.nasbench201.conversions")
    return str(conversions.convert_op_indices_to_str(list(made.get_op_indices())))


def test_a_parsed_nasbench201_graph_costs_the_same() -> None:
    made = space_of(NB201)()
    made.set_spec([2, 3, 0, 4, 2, 2])
    native = to_graph(made)
    made.parse()
    assert to_graph(made) == native  # still by its encoding
    captured = capture(made, input_shape=(3, 32, 32)).graph
    convs = [sorted(str(n) for n in g.nodes if n.op == "conv") for g in (native, captured)]
    assert convs[0] == convs[1]
    assert (native.params, native.flops) == (captured.params, captured.flops)


def test_a_parsed_nasbench101_graph_costs_the_same() -> None:
    made = space_of(NB101)()
    matrix = np.zeros((7, 7), dtype="int8")
    matrix[0, 1] = matrix[1, 2] = matrix[2, 6] = matrix[0, 6] = matrix[0, 3] = matrix[3, 6] = 1
    ops = ["conv3x3-bn-relu"] * 2 + ["maxpool3x3"] + ["conv1x1-bn-relu"] * 2
    made.set_spec({"matrix": matrix, "ops": ["input", *ops, "output"]})
    native = to_graph(made)
    made.parse()
    captured = capture(made, input_shape=(3, 32, 32)).graph
    assert (native.params, native.flops) == (captured.params, captured.flops)


@pytest.mark.parametrize(
    ("name", "dataset", "encoding"),
    [
        (MICRO, "class_object", [3, 1, 2, 2, 3, 1]),
        (MICRO, "class_scene", [3, 1, 2, 2, 3, 0]),
        (MACRO, "class_object", [2, 3, 1, 4, 0, 0]),
    ],
)
def test_parsed_transnas_graphs_differ_in_their_head_alone(
    name: str, dataset: str, encoding: list[int]
) -> None:
    """NASLib's heads have other numbers of classes than the benchmark's tasks (100 for 75)."""
    made = space_of(name)(dataset=dataset)
    made.set_spec(np.array(encoding))
    native = to_graph(made)
    made.parse()
    captured = capture(made, input_shape=(3, 256, 256)).graph
    heads = [next(n for n in g.nodes if n.op == "linear") for g in (native, captured)]
    assert heads[0] != heads[1]
    assert [g.params - head.params for g, head in zip((native, captured), heads, strict=True)] == [
        native.params - heads[0].params
    ] * 2


def test_transnas_graphs_of_their_own_numbering_are_captured() -> None:
    made = space_of(MICRO)(dataset="cifar10", create_graph=True)
    made.set_spec([3, 1, 2, 2, 3, 1])
    with pytest.raises(InvalidInputError, match="is not parsed"):
        to_graph(made, (3, 32, 32))
    made.parse()
    graph = to_graph(made, (3, 32, 32))
    assert graph.params == sum(p.numel() for p in made.parameters())


def test_nasbench301_graphs() -> None:
    space = space_of(NB301)
    np.random.seed(0)
    made = space()
    made.instantiate_model = False
    made.sample_random_architecture()
    conversions = importlib.import_module("naslib.search_spaces.nasbench301.conversions")
    genotype = conversions.convert_compact_to_genotype(made.get_compact())
    ours = family("nasbench301")
    assert to_graph(made) == ours.graph(ours.parse(genotype))


def test_nasbench101_graphs() -> None:
    space = space_of(NB101)
    made = space()
    made.instantiate_model = False
    matrix = np.zeros((7, 7), dtype="int8")
    matrix[0, 1] = matrix[1, 2] = matrix[2, 6] = matrix[0, 6] = 1
    ops = ["input", *["conv3x3-bn-relu"] * 2, *["conv1x1-bn-relu"] * 3, "output"]
    made.set_spec({"matrix": matrix, "ops": ops})
    ours = family("nasbench101")
    expected = ours.graph(ours.parse({"matrix": matrix.tolist(), "ops": ops}))
    assert to_graph(made) == expected


@pytest.mark.parametrize("name", [MICRO, MACRO])
def test_transnas_graphs_are_never_run(name: str) -> None:
    space = space_of(name)
    random.seed(0)
    np.random.seed(0)
    made = space(dataset="class_object", create_graph=False)
    made.instantiate_model = False
    made.sample_random_architecture()
    assert capture_any(made).route == "naslib encoding"
    assert len(to_graph(made)) > 50


def test_transnas_made_as_a_graph_of_its_own_must_be_parsed() -> None:
    made = space_of(MICRO)(dataset="class_object", create_graph=True)
    with pytest.raises(InvalidInputError, match="is not parsed"):
        to_graph(made, (3, 64, 64))


def test_graphs_without_an_architecture() -> None:
    for name in (NB101, NB301, MACRO):
        made = space_of(name)()
        made.instantiate_model = False
        with pytest.raises(ArchitectureError, match="holds no architecture yet"):
            hash_of(made)
        with pytest.raises(ArchitectureError, match="call set_spec"):
            to_graph(made)


def test_spaces_without_encoding_are_captured_when_parsed() -> None:
    space = space_of("simple_cell.graph.SimpleCellSearchSpace")
    with pytest.raises(InvalidInputError, match="is not parsed"):
        to_graph(space(), (3, 32, 32))


def test_every_encoding_of_nasbench201_is_one_of_ours() -> None:
    space = space_of(NB201)
    made = space()
    encodings = list(itertools.islice(made.get_arch_iterator(), 0, None, 999))
    assert len({graph_of("nasbench201", encoding).name for encoding in encodings}) == len(encodings)
