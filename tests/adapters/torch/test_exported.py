"""Exported programs and traced graphs give the graph of the module that they come from."""

import random
import sys
from pathlib import Path

import pytest
import torch
from gennape_plugin.adapters.families.hiaml import HiAML
from gennape_plugin.adapters.families.nasbench101 import NASBench101
from gennape_plugin.adapters.families.nasbench201 import NASBench201
from gennape_plugin.adapters.families.ofa_mobilenetv3 import OFAMobileNetV3
from gennape_plugin.adapters.torch import capture
from gennape_plugin.adapters.torch.exported import capture_exported, example_inputs_of
from gennape_plugin.core.errors import CaptureError, InvalidInputError
from gennape_plugin.core.graph import ComputeGraph
from networks import IMAGE, Net
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram, export
from torch.fx.passes.shape_prop import ShapeProp

pytestmark = pytest.mark.filterwarnings("ignore")

EXAMPLES = Path(__file__).parents[3] / "examples"
COST = ("macs", "params")


def program_of(net: nn.Module, shape: tuple[int, ...]) -> ExportedProgram:
    return export(net.eval(), (torch.zeros(1, *shape),), strict=False)


def size(graph: ComputeGraph) -> tuple[int, ...]:
    view = graph.paper_view()
    return graph.macs, graph.params, view.num_nodes, view.num_edges


def after_conv(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers)


class Mixed(nn.Module):
    """Shared weights, constants, views written to, reductions, products."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.table = nn.Parameter(torch.zeros(1, 5, 8))
        self.register_buffer("order", torch.tensor([0, 2, 1]))
        self.register_buffer("mask", torch.ones(5, 5))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.second(self.first(x) + self.table)[:, self.order]
        y = torch.cat([y, x[:, 1:3]], 1)
        scores = torch.softmax(y @ y.transpose(1, 2) * self.mask + self.mask, -1) @ y
        z = torch.einsum("bij,bkj->bik", scores, y).masked_fill(self.mask == 0, 0.0).relu_()
        return sum([z, z.sigmoid(), z.tanh()]), scores.std(-1), scores.pow(2).mean(-1).rsqrt()


#: Written the same way in both dialects.
ALIKE = {
    "relu6": (after_conv(nn.ReLU6()), IMAGE),
    "elu": (after_conv(nn.ELU(0.7)), IMAGE),
    "selu": (after_conv(nn.SELU()), IMAGE),
    "gelu": (after_conv(nn.GELU("tanh")), IMAGE),
    "leaky": (after_conv(nn.LeakyReLU(0.2)), IMAGE),
    "batch norm": (after_conv(nn.BatchNorm2d(8)), IMAGE),
    "group norm": (after_conv(nn.GroupNorm(2, 8)), IMAGE),
    "layer norm": (after_conv(nn.LayerNorm(8)), IMAGE),
    "max pool": (after_conv(nn.MaxPool2d(3, 2, 1, ceil_mode=True)), IMAGE),
    "avg pool": (after_conv(nn.AvgPool2d(3, 2, 1)), IMAGE),
    "adaptive avg": (after_conv(nn.AdaptiveAvgPool2d(3)), IMAGE),
    "adaptive max": (after_conv(nn.AdaptiveMaxPool2d(2)), IMAGE),
    "bilinear": (after_conv(nn.Upsample(scale_factor=2, mode="bilinear")), IMAGE),
    "nearest": (after_conv(nn.Upsample(scale_factor=2)), IMAGE),
    "constant pad": (after_conv(nn.ConstantPad2d(1, 1.0)), IMAGE),
    "transposed": (after_conv(nn.ConvTranspose2d(8, 4, 3, 2, 1, 1)), IMAGE),
    "softmax": (after_conv(nn.Softmax(1), nn.LogSoftmax(-1)), IMAGE),
    "grouped": (after_conv(nn.Conv2d(8, 8, 3, groups=8, dilation=2, padding="same")), IMAGE),
    "volume": (nn.Sequential(nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.MaxPool3d(2)), (3, 8, 8, 8)),
}
#: A decomposition writes these otherwise: other nodes, the same costs.
REWRITTEN = {
    "silu": (after_conv(nn.SiLU()), IMAGE),
    "hardswish": (after_conv(nn.Hardswish(), nn.Hardsigmoid()), IMAGE),
    "prelu": (after_conv(nn.PReLU(8)), IMAGE),
    "dropout": (after_conv(nn.Dropout(0.2, inplace=True), nn.Dropout2d(0.1)), IMAGE),
    "instance norm": (after_conv(nn.InstanceNorm2d(8, affine=True)), IMAGE),
    "reflection": (after_conv(nn.ReflectionPad2d(2), nn.ReplicationPad2d(1)), IMAGE),
    "shuffle": (after_conv(nn.PixelShuffle(2), nn.PixelUnshuffle(4)), IMAGE),
    "linear": (after_conv(nn.Linear(8, 4)), IMAGE),
    "sequence": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.MaxPool1d(2)), (3, 32)),
    "transformer": (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (7, 16)),
}
#: Only straight out of export.
EXPORTED = {
    "lstm": (nn.LSTM(8, 16, batch_first=True), (5, 8)),
    "gru": (nn.GRU(8, 16, 2, bidirectional=True, batch_first=True), (5, 8)),
    "fold": (after_conv(nn.Unfold(3)), IMAGE),
}
#: `nn.Identity` leaves no trace in an exported program.
COSTS = {"mixed": (Mixed(), (5, 8)), "identity": (after_conv(nn.Identity(), nn.ReLU()), IMAGE)}


@pytest.mark.parametrize("name", [*ALIKE, *REWRITTEN, *EXPORTED])
def test_exported_layers_are_the_modules(name: str) -> None:
    net, shape = {**ALIKE, **REWRITTEN, **EXPORTED}[name]
    captured = capture_exported(program_of(net, shape))
    assert captured.route == "export"
    assert captured.graph.hash == capture(net, shape).graph.hash
    assert not captured.custom
    assert captured.warnings == ()
    assert captured.graph.name == type(net).__name__


@pytest.mark.parametrize("name", ALIKE)
def test_decomposed_layers_are_the_modules(name: str) -> None:
    net, shape = ALIKE[name]
    captured = capture_exported(program_of(net, shape).run_decompositions())
    assert captured.graph.hash == capture(net, shape).graph.hash


@pytest.mark.parametrize("name", [*REWRITTEN, *COSTS])
def test_decomposed_layers_cost_the_same(name: str) -> None:
    net, shape = {**REWRITTEN, **COSTS}[name]
    program = program_of(net, shape)
    expected = capture(net, shape).graph
    for dialect in (program, program.run_decompositions()):
        captured = capture_exported(dialect)
        assert size(captured.graph)[:2] == size(expected)[:2]
        assert not captured.custom
        assert captured.warnings == ()


@pytest.mark.parametrize("name", ["resnet20", "resnet20_wide"])
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import resnet_cifar

    net = getattr(resnet_cifar, name)()
    sys.modules.pop("resnet_cifar")
    program = program_of(net, (3, 32, 32))
    expected = size(capture(net, (3, 32, 32)).graph)
    assert size(capture_exported(program).graph) == expected
    assert size(capture_exported(program.run_decompositions()).graph) == expected


@pytest.mark.parametrize("family", [HiAML(), NASBench101(), NASBench201(), OFAMobileNetV3()])
def test_families(family: object) -> None:
    net = family.module(family.sample(random.Random(3)))
    program = program_of(net, family.input_shape)
    expected = size(capture(net, family.input_shape).graph)
    captured = size(capture_exported(program).graph)
    assert captured[:2] == expected[:2]
    assert size(capture_exported(program.run_decompositions()).graph)[:2] == expected[:2]
    identities = sum(isinstance(m, nn.Identity) for m in net.modules())
    assert expected[2] - identities <= captured[2] <= expected[2]


def test_dynamic_sizes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    shapes = ({0: Dim("batch"), 3: Dim("width", min=4)},)
    program = export(net.eval(), (torch.zeros(2, 3, 8, 12),), dynamic_shapes=shapes)
    captured = capture_exported(program)
    assert captured.graph.hash == capture(net, (3, 8, 12)).graph.hash
    (warning,) = captured.warnings
    assert warning.startswith("a size of the input is dynamic")
    assert warning.endswith("the graph is that of 12")


def test_scopes_name_and_limit() -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.ReLU())
    program = program_of(net, IMAGE)
    graph = capture_exported(program, name="mine").graph
    assert graph.name == "mine"
    assert list(graph.scopes[1:3]) == ["0.0", "1"]
    with pytest.raises(CaptureError, match="more than 2 operations"):
        capture_exported(program, max_nodes=2)


def test_nested_graphs() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.conv(x)
        with torch.no_grad():
            z = y.mean((2, 3), keepdim=True) + 1
        return y * z

    net = Net(forward, conv=nn.Conv2d(3, 4, 1))
    assert capture_exported(program_of(net, IMAGE)).graph.hash == capture(net, IMAGE).graph.hash


def test_a_condition_shows_one_branch() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y.relu(), lambda y: y.tanh(), (x,))

    captured = capture_exported(program_of(Net(forward), IMAGE))
    assert [n.op for n in captured.graph.nodes] == ["input", "relu", "output"]
    assert "the branch taken depends on the data" in captured.warnings[0]


def test_training_mode() -> None:
    net = after_conv(nn.BatchNorm2d(8), nn.Dropout(0.5)).train()
    program = export(net, (torch.zeros(2, *IMAGE),))
    expected = capture(net, inputs=torch.zeros(2, *IMAGE)).graph
    assert capture_exported(program).graph.hash == expected.hash
    decomposed = capture_exported(program.run_decompositions()).graph
    assert decomposed.params == expected.params
    # New running statistics are results of the program, but not of the network.
    assert {n.op for n in decomposed.nodes} <= {"input", "conv", "batch_norm", "dropout", "output"}


def test_a_program_is_not_changed() -> None:
    program = program_of(ALIKE["batch norm"][0], IMAGE)
    before = str(program), {k: v.sum().item() for k, v in program.state_dict.items()}
    capture_exported(program)
    assert before == (str(program), {k: v.sum().item() for k, v in program.state_dict.items()})


def test_refusals() -> None:
    with pytest.raises(InvalidInputError, match=r"what torch\.export\.export returns, got ReLU"):
        capture_exported(nn.ReLU())
    weights_only = Net(lambda self, x: self.fc.weight * 2, fc=nn.Linear(2, 2))
    with pytest.raises(CaptureError, match="no output of Net depends on an input"):
        capture_exported(program_of(weights_only, IMAGE))


# -- torch.fx -----------------------------------------------------------------------------------


def test_a_traced_graph_knows_its_inputs() -> None:
    net = after_conv(nn.BatchNorm2d(8), nn.ReLU()).eval()
    traced = fx.symbolic_trace(net)
    assert example_inputs_of(traced) is None
    ShapeProp(traced).propagate(torch.zeros(1, *IMAGE))
    (example,) = example_inputs_of(traced)
    assert example.is_meta
    assert capture(traced, inputs=example).graph.hash == capture(net, IMAGE).graph.hash


def test_the_module_of_a_program() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    program = export(net, (torch.zeros(2, *IMAGE),), dynamic_shapes=({0: Dim("batch")},))
    module = program.module()
    (example,) = example_inputs_of(module)
    assert tuple(example.shape) == (1, *IMAGE)
    assert capture(module, inputs=example).graph.hash == capture(net, IMAGE).graph.hash
    with pytest.raises(InvalidInputError, match=r"torch\.fx\.GraphModule, got Sequential"):
        example_inputs_of(net)


def test_a_slice_of_several_axes_is_one_slice_for_each_in_a_program() -> None:
    """As in Swin's merging of patches; slices are not in the paper's view, so that is the same."""

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return self.reduction(torch.cat(corners, -1))

    net = Net(forward, reduction=nn.Linear(32, 16)).eval()
    x = torch.zeros(1, 8, 8, 8)
    module = capture(net, inputs=x).graph
    program = capture_exported(export(net, (x,))).graph
    slices = [sum(n.op == "slice" for n in graph.nodes) for graph in (module, program)]
    assert slices == [4, 8]
    assert module.paper_view().num_nodes == program.paper_view().num_nodes
    assert module.paper_view().num_edges == program.paper_view().num_edges
    assert (module.macs, module.params) == (program.macs, program.params)
