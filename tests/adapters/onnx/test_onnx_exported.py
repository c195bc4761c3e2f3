"""Exported networks have the graphs of the modules, up to the documented differences."""

import importlib.util
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.adapters.families import families, family
from gennape_plugin.adapters.onnx import capture_onnx
from gennape_plugin.adapters.torch import capture
from networks import Net
from torch import Tensor, nn

onnx = pytest.importorskip("onnx")

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
FAST = ("nasbench101", "nasbench201", "hiaml", "two_path", "nasbench_macro", "ofa_mobilenetv3")


def example(file: str, name: str) -> nn.Module:
    spec = importlib.util.spec_from_file_location(file, EXAMPLES / f"{file}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = getattr(module, name)()
    return network


def twin(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    space = family(name)
    arch = space.sample(random.Random(1))
    graph = space.graph(arch)
    return space.module(arch), graph.nodes[graph.inputs[0]].shape[1:]


@pytest.fixture
def compare(export: Any, reduced: Any, sizes: Any) -> Callable[..., None]:
    """Export a network, read it back, and compare with the captured graph."""

    def check(net: nn.Module, *inputs: Tensor, opset: int = 17, **differs: int) -> None:
        read = capture_onnx(export(net, *inputs, opset=opset))
        expected = sizes(reduced(capture(net, inputs=inputs).graph))
        found = sizes(read.graph)
        for name, difference in differs.items():
            expected[name] += difference
        assert found == expected
        assert read.route == "onnx"
        assert not read.custom

    return check


# -- whole networks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "name"),
    [("resnet_cifar", "resnet20"), ("nasbench_cells", "pooling_cell")],
)
def test_examples(compare: Any, file: str, name: str) -> None:
    compare(example(file, name), torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("name", FAST)
def test_family_twins(compare: Any, name: str) -> None:
    net, shape = twin(name)
    compare(net, torch.zeros(1, *shape))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(families()) - set(FAST) - {"inception"}))
def test_more_family_twins(compare: Any, name: str) -> None:
    net, shape = twin(name)
    compare(net, torch.zeros(1, *shape))


def test_a_residual_network_is_the_same_graph(export: Any) -> None:
    net = example("resnet_cifar", "resnet20")
    read = capture_onnx(export(net, torch.zeros(1, 3, 32, 32)), name="ResNet")
    assert read.graph.hash == capture(net, (3, 32, 32)).graph.hash


# -- batch normalisation folded into convolutions -----------------------------------------------


def test_a_folded_batch_norm_is_recognised(export: Any, sizes: Any) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)
    )
    file = export(net, torch.zeros(1, 3, 8, 8))
    assert [node.op_type for node in file.graph.node if node.op_type != "Identity"] == [
        "Conv",
        "Relu",
        "Conv",
    ]
    read = capture_onnx(file)
    assert read.graph.hash == capture(net, (3, 8, 8)).graph.hash
    assert "folded" in " ".join(read.warnings)


def test_a_bias_before_a_folded_batch_norm_is_lost(compare: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    compare(net, torch.zeros(1, 3, 8, 8), params=-8)


def test_without_folding_nothing_is_recognised(export: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1))
    file = export(
        net,
        torch.zeros(1, 3, 8, 8),
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    read = capture_onnx(file)
    assert read.graph.hash == capture(net, (3, 8, 8)).graph.hash
    assert not read.warnings


# -- parts of networks --------------------------------------------------------------------------


def norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        nn.InstanceNorm2d(8),
        nn.InstanceNorm2d(8, affine=True),
        nn.BatchNorm2d(8, affine=False),
        nn.GroupNorm(2, 8, affine=False),
    )


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_norms(compare: Any, opset: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compare(norms(), torch.zeros(1, 3, 8, 8), opset=opset)


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_activations(compare: Any, opset: int) -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        for name in (
            "relu relu6 silu gelu sigmoid tanh elu selu celu softplus softsign mish logsigmoid "
            "leaky_relu hardtanh"
        ).split():
            x = getattr(F, name)(x)
        x = F.prelu(F.gelu(x, approximate="tanh"), self.p.weight)
        x = F.hardswish(F.hardsigmoid(x)) if opset > 13 else x
        return F.log_softmax(F.glu(torch.cat([x, x.softmax(1)], 1), 1), -1)

    compare(Net(forward, p=nn.PReLU(3)), torch.zeros(1, 3, 8, 8), opset=opset)


def test_pools_and_sizes(compare: Any) -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = F.max_pool2d(x, 3, 2, 1)
        x = F.avg_pool2d(x, 3, 1, 1)
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        x = F.interpolate(F.pad(x, (1, 2, 0, 1)), scale_factor=2, mode="bilinear")
        x = F.interpolate(x, size=(6, 8))
        x = F.pixel_shuffle(self.up(self.conv(x)), 2)
        return F.adaptive_max_pool2d(x, 1).flatten(1) + F.adaptive_avg_pool2d(x, 1).flatten(1)

    net = Net(forward, conv=nn.Conv2d(3, 8, 3, groups=1), up=nn.ConvTranspose2d(8, 8, 3, 2, 1, 1))
    compare(net, torch.zeros(1, 3, 15, 15))


def test_layout_and_reductions(compare: Any) -> None:
    def forward(self: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
        a, b = x.chunk(2, dim=1)
        y = torch.stack([a, b], 2).flatten(1, 2).permute(0, 2, 3, 1)
        z = y[:, 1:-1, ::2].transpose(1, 2).unsqueeze(1).expand(1, 3, -1, -1, -1)
        w = z.reshape(1, -1).sum(-1) + y.amax((1, 2, 3)) - y.mean()
        return w, x.repeat(1, 2, 1, 1).argmax(1), torch.where(x > 0, x, -x), x.topk(2)[0]

    net = Net(forward)
    compare(net, torch.zeros(1, 4, 6, 6))


@pytest.mark.parametrize("opset", [14, 17])
def test_a_transformer_layer(export: Any, sizes: Any, opset: int) -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    net = nn.Sequential(layer)
    x = torch.zeros(1, 5, 16)
    read = sizes(capture_onnx(export(net, x, opset=opset)).graph)
    expected = sizes(capture(net, inputs=x).graph)
    assert (read["macs"], read["params"]) == (expected["macs"], expected["params"])
    # Attention is two products either way; the scaling of its operands vanishes.
    assert read["weighted"] == expected["weighted"]
    assert read["labels"]["BatchNorm"] == 2
    assert read["labels"]["GeLU"] == 1


def test_embedding_and_recurrence(export: Any) -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 8)
            self.lstm = nn.LSTM(8, 6, num_layers=2, bidirectional=True, batch_first=True)
            self.gru = nn.GRU(12, 5)
            self.rnn = nn.RNN(5, 4, nonlinearity="relu", bias=False)

        def forward(self, x: Tensor) -> Tensor:
            x = self.gru(self.lstm(self.table(x))[0])[0]
            return self.rnn(x)[0]

    net, x = Text(), torch.zeros(1, 7, dtype=torch.long)
    read, expected = capture_onnx(export(net, x)).graph, capture(net, inputs=x).graph
    assert (read.macs, read.params) == (expected.macs, expected.params)
    assert [n.op for n in read.nodes if n.params] == ["embedding", "lstm", "lstm", "gru", "rnn"]
    assert read.nodes[-1].shape == expected.nodes[-1].shape
    assert read.nodes[0].attr("dtype") == "int64"


def test_shared_layers(export: Any) -> None:
    net = Net(
        lambda self, x: self.b(self.a(self.a(x)).mean((2, 3))) + self.b(x.mean((2, 3))),
        a=nn.Conv2d(3, 3, 1),
        b=nn.Linear(3, 3),
    )
    read = capture_onnx(export(net, torch.zeros(1, 3, 8, 8))).graph
    expected = capture(net, (3, 8, 8)).graph
    assert read.params == expected.params
    assert read.hash == expected.hash


def test_equal_weights_are_not_shared_weights(export: Any) -> None:
    # Exporters store equal tensors once: here the scales of both norms.
    net = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.LayerNorm(8))
    x = torch.zeros(1, 4, 8)
    read = capture_onnx(export(net, x)).graph
    assert read.params == capture(net, inputs=x).graph.params


def test_equal_new_weights_of_made_up_names_are_not_shared(export: Any) -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((3,), 0.1))

        def forward(self, x: Tensor) -> Tensor:
            return self.scale.view(3, 1, 1) * x

    net = nn.Sequential(Scale(), nn.ReLU(), Scale())
    assert capture_onnx(export(net, torch.zeros(1, 3, 4, 4))).graph.params == 6


def test_new_residual_blocks_share_no_zeros(export: Any) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(4)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.norm(self.conv(x))

    net = nn.Sequential(Block(), Block())
    read = capture_onnx(export(net, torch.zeros(1, 4, 8, 8))).graph
    assert read.hash == capture(net, (4, 8, 8)).graph.hash


def test_unit_norms_and_constants(compare: Any) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("grid", torch.arange(64).float().reshape(8, 8))

        def forward(self, x: Tensor) -> Tensor:
            steps = torch.arange(8, dtype=x.dtype) * 0.5
            return F.normalize(x * steps.cos(), dim=1) + torch.zeros(1, 3, 8, 8).exp()

    compare(Head(), torch.zeros(1, 3, 8, 8))


def test_linear_layers_on_sequences(compare: Any) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    compare(net, torch.zeros(1, 5, 8))
    compare(net, torch.zeros(1, 8))


def test_parameters_used_directly(compare: Any) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Parameter(torch.rand(1, 1, 6))
            self.position = nn.Parameter(torch.rand(1, 5, 6))

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.first.expand(len(x), -1, -1), x], dim=1) + self.position

    compare(Tokens(), torch.zeros(1, 4, 6))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_data_types(export: Any, dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).to(dtype)
    read = capture_onnx(export(net, torch.zeros(1, 3, 4, 4, dtype=dtype))).graph
    assert read.nodes[0].attr("dtype") == str(dtype).removeprefix("torch.")


def test_scopes_are_module_paths(export: Any) -> None:
    inner = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    net = nn.Sequential(inner, nn.Conv2d(3, 4, 1))
    read = capture_onnx(export(net, torch.zeros(1, 3, 4, 4))).graph
    assert read.scopes[1:4] == ("0.0", "0.1", "1")


def test_open_batch_axis_is_one(export: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    axes = {"x": {0: "batch"}, "y": {0: "batch"}}
    file = export(
        net, torch.zeros(2, 3, 8, 8), input_names=["x"], output_names=["y"], dynamic_axes=axes
    )
    read = capture_onnx(file).graph
    assert read.hash == capture(net, (3, 8, 8)).graph.hash


def test_open_sizes_need_an_input_shape(export: Any) -> None:
    from gennape_plugin.core.errors import CaptureError, InvalidInputError

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    axes = {"x": {0: "n", 2: "h", 3: "w"}}
    file = export(net, torch.zeros(1, 3, 8, 8), input_names=["x"], dynamic_axes=axes)
    with pytest.raises(CaptureError, match="input_shape"):
        capture_onnx(file)
    for shape in ((3, 16, 12), [(3, 16, 12)]):
        read = capture_onnx(file, shape).graph
        assert read.hash == capture(net, (3, 16, 12)).graph.hash
    for wrong in ((4, 16, 12), (3, 16), ((3, 16, 12), (3, 16, 12)), "3x16", (3, -1, 12)):
        with pytest.raises(InvalidInputError):
            capture_onnx(file, wrong)  # type: ignore[arg-type]


def test_the_new_exporter(reduced: Any, sizes: Any) -> None:
    pytest.importorskip("onnxscript", reason="the new exporter needs onnxscript")
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(net.eval(), (torch.zeros(1, 3, 8, 8),), dynamo=True)
    assert program is not None
    read = capture_onnx(program.model_proto)
    assert sizes(read.graph) == sizes(reduced(capture(net, (3, 8, 8)).graph))
