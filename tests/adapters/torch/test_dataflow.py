"""In-place operations, views, shared weights, hooks and wrappers."""

import inspect
import threading
import weakref
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.adapters.torch import capture, capture_module
from gennape_plugin.core.builder import GraphBuilder
from networks import IMAGE, Net, assert_same, built
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

CONV = {"kernel": 3, "padding": 1}


def relu_conv(b: GraphBuilder, x: int) -> int:
    return b.relu(b.conv(x, 4, bias=True, **CONV))


# -- in-place operations and views ----------------------------------------------------------------


def test_in_place_operations() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.conv(x)
        kept = y
        F.relu(y, inplace=True)
        y += x[:, :1]
        y.mul_(x[:, 1:2]).sigmoid_()
        return kept.add_(1)

    def write(b: GraphBuilder, x: int) -> int:
        first = b.add("slice", (x,), out_shape=(1, 1, 8, 8), spec=((1, 0, 1, 1),))
        second = b.add("slice", (x,), out_shape=(1, 1, 8, 8), spec=((1, 1, 2, 1),))
        y = b.join("mul", b.join("add", relu_conv(b, x), first), second)
        return b.add("add", (b.add("sigmoid", (y,)),), scalar=1.0)

    net = Net(forward, conv=nn.Conv2d(3, 4, 3, padding=1))
    assert_same(capture_module(net, IMAGE), built(write))


def test_a_branch_taken_before_an_in_place_operation_sees_it() -> None:
    # x and its alias are one memory: relu_ changes both readers, as it does in torch.
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x * 2
        alias = y.view(1, 3, 64)
        y.relu_()
        return alias.tanh(), y

    def write(b: GraphBuilder, x: int) -> tuple[int, int]:
        y = b.relu(b.add("mul", (x,), scalar=2.0))
        return b.add("tanh", (b.add("reshape", (y,), shape=(1, 3, 64)),)), y

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_a_write_through_a_reshape() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x * 2
        y.view(1, -1).relu_()
        y.transpose(1, 2).tanh_()
        return y

    def write(b: GraphBuilder, x: int) -> int:
        y = b.add("mul", (x,), scalar=2.0)
        y = b.relu(b.add("reshape", (y,), shape=(1, 192)))
        y = b.add("reshape", (y,), shape=(1, 3, 8, 8))
        y = b.add("tanh", (b.add("permute", (y,), dims=(0, 2, 1, 3)),))
        return b.add("permute", (y,), dims=(0, 2, 1, 3))

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_a_write_to_a_slice() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :1].relu_()
        y[:, 1] = x[:, 0]
        return y

    def write(b: GraphBuilder, x: int) -> int:
        spec = ((1, 0, 1, 1),)
        part = b.relu(b.add("slice", (x,), out_shape=(1, 1, 8, 8), spec=spec))
        y = b.add("scatter", (x, part), out_shape=(1, 3, 8, 8), spec=spec)
        row = b.add("slice", (x,), out_shape=(1, 8, 8), spec=((1, 0, None, 0),))
        return b.add("scatter", (y, row), out_shape=(1, 3, 8, 8), spec=((1, 1, None, 0),))

    assert_same(capture_module(Net(forward), IMAGE), built(write))


@pytest.mark.parametrize("style", ["setitem", "copy", "out"])
def test_a_buffer_filled_in_forward(style: str) -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        buffer = torch.zeros(1, 6, 8, 8)
        if style == "setitem":
            buffer[:, :3] = x.relu()
        elif style == "copy":
            buffer[:, :3].copy_(x.relu())
        else:
            torch.mul(x.relu(), 2, out=buffer[:, :3])
        return buffer.tanh()

    graph = capture_module(Net(forward), IMAGE)
    ops = [node.op for node in graph.nodes]
    assert ops.count("relu") == ops.count("tanh") == ops.count("scatter") == 1
    assert graph.nodes[-2].op == "tanh"


def test_a_view_made_before_its_buffer_was_filled() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        buffer = torch.zeros(1, 3, 8, 8)
        part = buffer[:, 1:]
        buffer.copy_(x.relu())
        return part.tanh()

    graph = capture_module(Net(forward), IMAGE)
    assert [node.op for node in graph.nodes] == ["input", "relu", "slice", "tanh", "output"]


def test_an_operation_on_a_copy_leaves_the_original() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x.transpose(1, 2).contiguous().relu_()
        return x.tanh() + y.transpose(1, 2)

    def write(b: GraphBuilder, x: int) -> int:
        y = b.relu(b.add("permute", (x,), dims=(0, 2, 1, 3)))
        return b.join("add", b.add("tanh", (x,)), b.add("permute", (y,), dims=(0, 2, 1, 3)))

    assert_same(capture_module(Net(forward), IMAGE), built(write))


def test_identity_and_dropout_leave_their_input_alone() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        a, b = self.skip(x), self.drop(x)
        return a + b + x

    def write(b: GraphBuilder, x: int) -> int:
        both = b.join("add", b.add("identity", (x,)), b.add("dropout", (x,), rate=0.1))
        return b.join("add", both, x)

    net = Net(forward, skip=nn.Identity(), drop=nn.Dropout(0.1))
    assert_same(capture_module(net, IMAGE), built(write))


def test_overwritten_by_a_constant() -> None:
    captured = capture(Net(lambda self, x: x + x.relu().zero_()), IMAGE)
    assert [n.op for n in captured.graph.nodes if n.op == "relu"] == []


# -- weights ----------------------------------------------------------------------------------


def test_a_layer_applied_twice_shares_its_weights() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.alias(self.conv(x).relu())

    net = Net(forward, conv=conv, alias=conv)
    b = GraphBuilder()
    x = b.input((1, *IMAGE))
    attrs = {
        "channels": 3,
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
    }
    first = b.add("conv", (x,), **attrs)
    second = b.add("conv", (b.relu(first),), shares=first, **attrs)
    graph = capture_module(net, IMAGE)
    assert_same(graph, b.build(second))
    assert graph.params == 81
    assert graph.macs == 2 * 81 * 64
    assert graph.weight_of == (0, 1, 2, 1, 4)


def test_tied_embeddings() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 8)
            self.head = nn.Linear(8, 50, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x: Tensor) -> Tensor:
            y = self.embed(x)
            return self.head(y), y @ self.embed.weight.t()

    captured = capture(Tied(), inputs=torch.zeros(1, 5, dtype=torch.long))
    graph = captured.graph
    assert [node.op for node in graph.nodes] == ["input", "embedding", "linear", "linear", "output"]
    assert graph.params == 400
    assert captured.warnings == ()


def test_parametrized_weights_are_folded() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    expected = built(relu_conv)
    spectral = nn.Sequential(
        parametrizations.spectral_norm(nn.Conv2d(3, 4, 3, padding=1)), nn.ReLU()
    )
    weight = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3, padding=1)), nn.ReLU())

    class Double(nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return w * 2

    own = nn.Conv2d(3, 4, 3, padding=1)
    parametrize.register_parametrization(own, "weight", Double())
    for net in (plain, spectral, weight, nn.Sequential(own, nn.ReLU())):
        assert_same(capture_module(net, IMAGE), expected)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_old_weight_norm_is_folded() -> None:
    norms = (nn.utils.weight_norm, nn.utils.spectral_norm)
    for norm in norms:
        net = nn.Sequential(norm(nn.Conv2d(3, 4, 3, padding=1)), nn.ReLU())
        assert_same(capture_module(net, IMAGE), built(relu_conv))


def test_a_parametrized_layer_applied_twice_shares_its_weights() -> None:
    conv = parametrizations.weight_norm(nn.Conv2d(3, 3, 3, padding=1))
    graph = capture_module(nn.Sequential(conv, conv), IMAGE)
    assert graph.weight_of == (0, 1, 1, 3)


def test_kernels_computed_from_the_input() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        kernel = self.make(x.mean((2, 3))).view(4, 3, 1, 1)
        return F.conv2d(x, kernel), F.linear(
            x, self.make(x.mean((2, 3))).view(4, 3)[:, :1].expand(4, 8)
        )

    graph = capture_module(Net(forward, make=nn.Linear(3, 12)), IMAGE)
    conv = next(i for i, node in enumerate(graph.nodes) if node.op == "conv")
    assert len(graph.operands[conv]) == 2
    assert graph.nodes[conv].macs == 12 * 64
    assert graph.params == 48
    assert "matmul" in [node.op for node in graph.nodes]


def test_fixed_kernels_are_no_parameters() -> None:
    class Blur(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kernel", torch.ones(3, 1, 3, 3) / 9)

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(F.conv2d(x, self.kernel, padding=1, groups=3), torch.ones(2, 8))

    graph = capture_module(Blur(), IMAGE)
    assert [n.op for n in graph.nodes if n.macs] == ["conv", "matmul"]
    assert graph.params == 0
    assert graph.macs == 27 * 64 + 3 * 8 * 8 * 2
    assert [op.name for op in graph.paper_view().ops] == ["Input", "Depthwise", "MatMul", "Output"]


# -- state, hooks and wrappers -----------------------------------------------------------------


def test_a_module_in_training_is_captured_as_in_evaluation() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3))
    net.train()
    net[1].eval()
    graph = capture_module(net, IMAGE)
    assert [node.op for node in graph.nodes[1:]] == ["conv", "batch_norm", "dropout", "output"]
    assert [m.training for m in net.modules()] == [True, True, False, True]


_SEEN: list[nn.Module] = []  # a global, since what functions close over is copied


def test_hooks_run_on_the_copy() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
    _SEEN.clear()

    def hook(module: nn.Module, args: object, output: Tensor) -> Tensor:
        _SEEN.append(module)
        return output.relu()

    net[0].register_forward_hook(hook)
    net[1].register_forward_pre_hook(lambda module, args: (args[0].sigmoid(),))
    graph = capture_module(net, IMAGE)
    assert [n.op for n in graph.nodes[1:-1]] == ["conv", "relu", "sigmoid", "tanh"]
    assert _SEEN != []
    assert all(module is not net[0] for module in _SEEN)


def test_what_closures_hold_is_copied() -> None:
    """Modules in containers, the lists that hooks write to, and counters."""
    norms = {"a": nn.BatchNorm2d(3)}
    outputs: list[Tensor] = []
    cache: dict[str, Tensor] = {}
    count = 0

    class Closures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = norms["a"]

            def run(x: Tensor) -> Tensor:
                nonlocal count
                count += 1
                cache["last"] = norms["a"](x)
                return cache["last"]

            def twice(x: Tensor, depth: int = 1) -> Tensor:
                return twice(run(x), depth - 1) if depth else run(x)

            self.twice = twice

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.twice(x)
            return y

    net = Closures()
    net.norm.register_forward_hook(lambda m, i, out: outputs.append(out))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    graph = capture_module(net, IMAGE)
    assert [n.op for n in graph.nodes[1:-1]] == ["batch_norm"] * 2
    assert graph.params == 6
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert (outputs, cache, count) == ([], {}, 0)
    net(torch.ones(2, *IMAGE))
    assert (len(outputs), list(cache), count) == (2, ["last"], 2)


def test_closures_over_the_module_run_on_the_copy() -> None:
    class Closures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            conv = self.conv
            self.calls = 0
            self.steps = [lambda x: conv(x) * 1, partial(F.relu, inplace=True), self.count]
            self.reference = weakref.ref(self)
            self.lock = threading.Lock()

        def count(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x

        def forward(self, x: Tensor) -> Tensor:
            with self.lock:
                for step in self.steps:
                    x = step(x)
            me = self.reference()
            assert me is self
            return x

    net = Closures()
    captured = capture(net, IMAGE)
    assert_same(captured.graph, built(relu_conv))
    assert captured.route == "meta"
    assert net.calls == 0
    assert len(captured.warnings) == 1
    assert "lock cannot be copied" in captured.warnings[0]


def test_a_module_that_refuses_to_be_copied() -> None:
    class Uncopyable(nn.Sequential):
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("no copies")

        def __getstate__(self) -> None:
            raise TypeError("no pickles")

    net = Uncopyable(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    assert_same(capture_module(net, IMAGE), built(relu_conv))


def test_modules_inside_other_objects_are_copied() -> None:
    class Holder:
        __slots__ = ("layer",)

        def __init__(self, layer: nn.Module) -> None:
            self.layer = layer

    class Slotted(nn.Module):
        __slots__ = ("holder",)

        def __init__(self) -> None:
            super().__init__()
            object.__setattr__(self, "holder", Holder(nn.Conv2d(3, 4, 3, padding=1)))

        def forward(self, x: Tensor) -> Tensor:
            return self.holder.layer(x).relu()

    captured = capture(Slotted(), IMAGE)
    assert_same(captured.graph, built(relu_conv))
    assert captured.route == "meta"


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_wrappers_are_taken_off() -> None:
    def plain() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())

    inside = nn.Sequential(torch.compile(nn.Conv2d(3, 4, 3, padding=1)), nn.ReLU())
    in_place = plain()
    in_place.compile()
    for net in (torch.compile(plain()), nn.DataParallel(plain()), inside, in_place):
        assert_same(capture_module(net, IMAGE), built(relu_conv))


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiled_functions_run_as_written() -> None:
    @torch.compile
    def activation(x: Tensor) -> Tensor:
        return x.relu()

    net = Net(lambda self, x: activation(self.conv(x)), conv=nn.Conv2d(3, 4, 3, padding=1))
    assert_same(capture_module(net, IMAGE), built(relu_conv))


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_lazy_modules() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.ReLU())
    graph = capture_module(net, IMAGE)
    assert_same(graph, built(relu_conv))
    assert isinstance(net[0].weight, nn.UninitializedParameter)
    assert len(net[0]._forward_pre_hooks) == 1


def test_constants_made_on_first_use() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.scale is None:
                self.scale = torch.linspace(0, 1, x.shape[-1], device=x.device)
            return x * self.scale

    net = Cached()
    assert_same(capture_module(net, IMAGE), built(lambda b, x: b.add("mul", (x,))))
    assert net.scale is None


def test_custom_autograd_functions_and_checkpoints() -> None:
    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = torch.utils.checkpoint.checkpoint(self.conv, x, use_reentrant=False)
        return Swish.apply(y)

    def write(b: GraphBuilder, x: int) -> int:
        y = b.conv(x, 4, bias=True, **CONV)
        return b.join("mul", y, b.add("sigmoid", (y,)))

    net = Net(forward, conv=nn.Conv2d(3, 4, 3, padding=1))
    assert_same(capture_module(net, IMAGE), built(write))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_traced_and_exported_modules() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)
            self.head = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = F.relu(self.norm(self.conv(x)))
            y = torch.cat([y, F.hardtanh(x[:, :2], 0.0, 6.0).softmax(1)], 1)
            return self.head(F.adaptive_avg_pool2d(y + 1, 1).flatten(1))

    net = Plain().eval()
    expected = capture_module(net, IMAGE)
    traced = torch.fx.symbolic_trace(net)
    exported = torch.export.export(net, (torch.zeros(1, *IMAGE),)).module()
    for module in (traced, exported):
        captured = capture(module, IMAGE)
        assert not captured.custom
        assert_same(captured.graph, expected)


def test_forwards_keep_their_signature() -> None:
    class Asking(nn.Module):
        def forward(self, x: Tensor, scale: float = 2.0) -> Tensor:
            assert list(inspect.signature(self.forward).parameters) == ["x", "scale"]
            return x * scale

    expected = built(lambda b, x: b.add("mul", (x,), scalar=2.0))
    assert_same(capture_module(Asking(), IMAGE), expected)


def test_scopes_are_module_paths() -> None:
    block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
    graph = capture_module(nn.Sequential(block, nn.Sequential(nn.Tanh())), IMAGE)
    assert graph.scopes == ("", "0.0", "0.1", "1.0", "")


def test_a_concatenation_of_nothing() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        empty = x.flatten()[:0]
        return torch.cat([x.flatten(), torch.cat([empty, empty])])

    captured = capture(Net(forward), IMAGE)
    assert captured.graph.nodes[-1].shape == (192,)
