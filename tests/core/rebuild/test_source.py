import ast
import random
import shutil
import subprocess
import sys

import pytest
import torch
from gennape_plugin.adapters.families import families
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from gennape_plugin.core.rebuild import to_source
from hypothesis import given, settings
from hypothesis import strategies as st
from rebuilt import captured_again, class_in, from_source
from small_models import chain
from torch import nn


def sampled(name: str, seed: int = 0) -> ComputeGraph:
    family = families()[name]
    return family.graph(family.sample(random.Random(seed)))


def test_repeated_blocks_are_one_class_and_a_loop():
    source = to_source(sampled("nasbench201"))
    names = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert names == ["Cell", "Reduction", "Head", "Net"]
    assert "self.stage1 = nn.Sequential(*[Cell(32) for _ in range(5)])" in source


def test_it_imports_torch_and_nothing_else():
    for name in ("hiaml", "transnas101_micro"):
        imports = [n for n in ast.walk(ast.parse(to_source(sampled(name)))) if _is_import(n)]
        assert {(getattr(n, "module", None) or n.names[0].name).split(".")[0] for n in imports} == {
            "torch"
        }


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_a_file_of_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "written_network.py").write_text(to_source(sampled("hiaml"), "HiAML"))
    monkeypatch.syspath_prepend(tmp_path)
    from written_network import HiAML

    monkeypatch.delitem(sys.modules, "written_network")
    assert HiAML()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.skipif(shutil.which("ruff", path=f"{sys.prefix}/bin") is None, reason="needs ruff")
def test_it_is_formatted_and_passes_the_linter(tmp_path):
    for name in ("nasbench301", "transnas101_micro", "ofa_mobilenetv3", "nasbench201"):
        (tmp_path / f"{name}.py").write_text(to_source(sampled(name, 1)))
    for rules in (
        ["format", "--check", "--diff"],
        ["check", "--select=E,F,W,I,B,UP,SIM,RET,C4,PLE,PLW,RUF", "--ignore=PLW2901"],
    ):
        command = [f"{sys.prefix}/bin/ruff", *rules, "--isolated", "--no-cache", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@given(st.integers(0, 1000))
@settings(max_examples=4)
def test_module_and_source_compute_the_same(seed):
    graph = sampled("nasbench_macro", seed)
    module, written = graph.to_module().eval(), from_source(graph).eval()
    assert captured_again(graph, written) == graph
    written.load_state_dict(module.state_dict())
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(module(x), written(x))


def test_a_chain_is_a_sequence_and_numbers_become_arguments():
    class Stage(nn.Module):
        def __init__(self, c_in: int, c_out: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(c_in, c_out, 3)
            self.norm = nn.BatchNorm2d(c_out)

        def forward(self, x):
            return self.norm(self.conv(x)).relu() * 2

    network = nn.Sequential(Stage(3, 4), Stage(4, 8))
    head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 144, 10))
    source = to_source(capture(nn.Sequential(network, head), (3, 16, 16)).graph)
    assert "def __init__(self, in_channels: int, out_channels: int) -> None:" in source
    assert source.count("class ") == 2
    assert "nn.Sequential(nn.Flatten(), nn.Linear(1152, 10))" in source


def test_several_inputs_and_outputs_are_a_signature():
    b = GraphBuilder()
    x, y = b.input((1, 4)), b.input((1, 4))
    graph = b.build(b.linear(x, 3), b.join("add", x, y))
    source = to_source(graph)
    assert "def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:" in source
    assert captured_again(graph, from_source(graph)) == graph


HOSTILE = [
    'a"""\nimport os\nos.system("touch broken")\n"""',
    "__import__('os').system('true')",
    "training",
    "forward",
    "graph",
    "code",
    "__class__.x",
    "class.def.lambda",
    "..",
    "0",
    "ünïcode.名前",
    "x" * 3000,
    "self.\x00\n# coding: latin-1",
    "F.nn.torch.Tensor",
    "{0}.%s.\\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_of_a_graph_are_never_code(text):
    b = GraphBuilder(text)
    x = b.input((1, 3, 8, 8))
    for scope in (text, f"{text}.{text}", f"{text}.b", "net"):
        b.set_scope(scope)
        for _ in range(2):
            x = b.batch_norm(b.conv(x, 3, kernel=3))
    graph = b.build(b.join("add", x, x))
    source = to_source(graph)
    assert source.isascii()
    assert not {"os", "system", "__import__", "broken"} & {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)
    }
    assert captured_again(graph, class_in(source)()) == graph
    assert captured_again(graph, graph.to_module()) == graph


@given(st.lists(st.text(max_size=12), min_size=4, max_size=4))
@settings(max_examples=20)
def test_any_scopes_give_the_same_network(scopes):
    b = GraphBuilder()
    x = b.input((1, 3, 8, 8))
    for scope in scopes:
        b.set_scope(scope)
        x = b.relu(b.batch_norm(b.conv(x, 3, kernel=3)))
    graph = b.build(x)
    written = from_source(graph)
    assert captured_again(graph, written) == graph
    assert written.state_dict().keys() == graph.to_module().state_dict().keys()


def test_texts_among_attributes_are_literals():
    b = GraphBuilder()
    x, y = b.input((1, 2, 3)), b.input((1, 2, 3))
    equation = 'bij,bij->b",(__import__("os")),"'
    graph = b.build(b.add("einsum", (x, y), equation=equation, out_shape=(1,)))
    (call,) = [n for n in ast.walk(ast.parse(to_source(graph))) if isinstance(n, ast.Call)][-1:]
    assert [n.value for n in ast.walk(call) if isinstance(n, ast.Constant)] == [equation]


@pytest.mark.parametrize("name", ["", "class", "import os", "1x", "Ünï", "a.b"])
def test_a_class_name_is_an_identifier(name):
    with pytest.raises(InvalidInputError, match="give a Python identifier"):
        to_source(chain(1), name)


@pytest.mark.parametrize("name", ["nn", "F", "torch", "Tensor", "range", "super", "print"])
def test_a_class_is_not_called_like_what_its_source_needs(name):
    with pytest.raises(InvalidInputError, match="needs for itself"):
        to_source(chain(1), name)
