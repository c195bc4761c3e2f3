import ast
import random
import re
from contextlib import suppress

import pytest
import torch
from gennape_plugin.adapters.families import families
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import GraphError, RebuildError
from gennape_plugin.core.ops import OPS
from gennape_plugin.core.rebuild import to_source
from gennape_plugin.core.rebuild.registry import RULES
from hypothesis import given, settings
from hypothesis import strategies as st
from rebuilt import captured_again, from_source, meta_inputs
from torch import nn
from torch.nn import functional as F


def test_every_operation_has_a_rule():
    assert set(RULES) == set(OPS) - {"input", "output", "select"}


@pytest.mark.parametrize("name", ["nasbench201", "two_path", "ofa_mobilenetv3", "hiaml"])
def test_families_come_back(name):
    comes_back(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", families())
def test_every_family_comes_back(name):
    comes_back(name)


def comes_back(name):
    family = families()[name]
    graph = family.graph(family.sample(random.Random(name)))
    with torch.device("meta"):
        module, written = graph.to_module(), from_source(graph)
    assert captured_again(graph, module) == graph
    assert captured_again(graph, written) == graph
    assert sum(p.numel() for p in module.parameters()) == graph.params
    assert module.state_dict().keys() == written.state_dict().keys()
    result = module.eval()(*meta_inputs(graph, batch=2))
    assert result.shape == (2, *graph.nodes[graph.operands[-1][0]].shape[1:])


@given(st.randoms(use_true_random=False))
@settings(max_examples=3)
def test_small_networks_train(rng):
    family = families()["nasbench_macro"]
    graph = family.graph(family.sample(rng))
    assert captured_again(graph, graph.to_module()) == graph
    module = graph.to_module()
    F.cross_entropy(module(torch.randn(2, 3, 32, 32)), torch.tensor([0, 1])).backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)
    assert any(g.any() for g in gradients)


def test_nothing_is_random_but_the_weights():
    family = families()["hiaml"]
    graph = family.graph(family.sample(random.Random(0)))
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(graph.to_module().state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(m.values() for m in made), strict=True))


# -- single operations: the same values as the network that was captured ---------------------


class Apply(nn.Module):
    """A function of tensors as a network."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *xs):
        return self.function(*xs)


class Token(nn.Module):
    """A learned token before a sequence, which is added to a learned table."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.table = nn.Parameter(torch.randn(1, 5, 6))

    def forward(self, x):
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.table


class States(nn.Module):
    """A recurrent layer whose last states are read too."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        y, states = self.layer(x)
        first = states[1] if isinstance(states, tuple) else states
        return y, first * 2


def with_positions(x):
    values, positions = F.max_pool2d(x, 2, return_indices=True)
    return values, positions.float() * 2


def with_place(x):
    values, places = x.max(1)
    return values + places.float()


MAP, SEQUENCE = (2, 8, 6, 6), (2, 4, 6)
#: Network, and shapes of what it reads; batch 2, captured at batch 1.
SAME_VALUES = {
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, dilation=2, padding=1), [SEQUENCE]),
    "conv2d": (nn.Conv2d(8, 4, (1, 3), groups=2, bias=False), [MAP]),
    "conv2d same": (nn.Conv2d(8, 4, 4, padding="same"), [MAP]),
    "conv3d": (nn.Conv3d(2, 4, 3, padding=1), [(2, 2, 4, 4, 4)]),
    "conv_transpose2d": (nn.ConvTranspose2d(8, 4, 3, stride=2, output_padding=1), [MAP]),
    "conv by a tensor": (
        Apply(lambda x, w: F.conv2d(x, w[0] * 2, padding=1)),
        [MAP, (2, 4, 8, 3, 3)],
    ),
    "linear": (nn.Linear(6, 5), [SEQUENCE]),
    "bilinear": (nn.Bilinear(6, 4, 3), [(2, 6), (2, 4)]),
    "batch_norm": (nn.BatchNorm2d(8, eps=0.1), [MAP]),
    "batch_norm 1d": (nn.BatchNorm1d(4, affine=False), [SEQUENCE]),
    "instance_norm": (nn.InstanceNorm2d(8, affine=True), [MAP]),
    "group_norm": (nn.GroupNorm(4, 8), [MAP]),
    "layer_norm": (nn.LayerNorm(6, bias=False), [SEQUENCE]),
    "layer_norm plain": (nn.LayerNorm((4, 6), elementwise_affine=False), [SEQUENCE]),
    "rms_norm": (nn.RMSNorm(6, eps=1e-3), [SEQUENCE]),
    "local_response_norm": (nn.LocalResponseNorm(3), [MAP]),
    "normalize": (Apply(lambda x: F.normalize(x, p=1.0, dim=-1)), [SEQUENCE]),
    "prelu": (nn.PReLU(8), [MAP]),
    "lstm": (States(nn.LSTM(6, 5, num_layers=2, batch_first=True)), [SEQUENCE]),
    "gru": (States(nn.GRU(6, 5, batch_first=True, bidirectional=True)), [SEQUENCE]),
    "rnn": (States(nn.RNN(6, 5, nonlinearity="relu", batch_first=True)), [SEQUENCE]),
    "token": (Token(), [SEQUENCE]),
    "activations": (
        nn.Sequential(
            *(nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Tanh(), nn.SiLU(), nn.Hardswish()),
            *(nn.Hardsigmoid(), nn.SELU(), nn.Mish(), nn.Softsign(), nn.LogSigmoid()),
            *(nn.GELU(), nn.GELU("tanh"), nn.LeakyReLU(0.2), nn.ELU(0.5), nn.CELU(2.0)),
            *(nn.Softplus(2), nn.Hardshrink(0.1), nn.Softshrink(0.2), nn.Hardtanh(-2, 3)),
            *(nn.Softmax(1), nn.LogSoftmax(-1), nn.Tanhshrink(), nn.GLU(1), nn.Identity()),
        ),
        [MAP],
    ),
    "clips": (Apply(lambda x: (x.clamp(min=-0.5), x.clamp(max=0.5), x * 0)), [MAP]),
    "arithmetic": (
        Apply(lambda x, y: (x + y, x - y, x * y, x / y, 3 - x, 2 / x, x - 3, x / 2, x + 1, x * 4)),
        [MAP, MAP],
    ),
    "sum of four": (Apply(lambda x, y: sum([x, y, x, y])), [MAP, MAP]),
    "powers": (Apply(lambda x: (x**2, 2**x, x.abs() ** 0.5)), [MAP]),
    "comparisons": (
        Apply(lambda x, y: (torch.where(x > y, x, y), (x <= 0) == (y < 0))),
        [MAP, MAP],
    ),
    "two tensors": (Apply(lambda x, y: (torch.maximum(x, y), torch.atan2(x, y))), [MAP, MAP]),
    "unary": (Apply(lambda x: (x.exp(), x.abs().sqrt(), x.neg(), torch.erf(x), x.sin())), [MAP]),
    "products": (
        Apply(lambda x, y: (x @ y.transpose(1, 2), torch.einsum("bij,bkj->bik", x, y))),
        [SEQUENCE, SEQUENCE],
    ),
    "attention": (
        Apply(lambda x, y: F.scaled_dot_product_attention(x, y, y, is_causal=True, scale=0.3)),
        [(2, 2, 4, 6), (2, 2, 4, 6)],
    ),
    "attention with a mask": (
        Apply(lambda x, m: F.scaled_dot_product_attention(x, x, x, attn_mask=m)),
        [(2, 2, 4, 6), (2, 1, 4, 4)],
    ),
    "pools": (
        nn.Sequential(nn.MaxPool2d(3, 1, 1, dilation=1), nn.AvgPool2d(2, 1, ceil_mode=True)),
        [MAP],
    ),
    "average without padding": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), [MAP]),
    "positions of a pool": (Apply(with_positions), [MAP]),
    "adaptive pools": (nn.Sequential(nn.AdaptiveAvgPool2d((3, 4)), nn.AdaptiveMaxPool2d(2)), [MAP]),
    "means": (Apply(lambda x: (x.mean((2, 3)), x.mean(1, keepdim=True))), [MAP]),
    "reductions": (
        Apply(lambda x: (x.sum((2, 3)), x.amax(1), x.amin(-1), x.logsumexp(1), x.prod(1))),
        [MAP],
    ),
    "maximum and its place": (Apply(with_place), [MAP]),
    "resizing": (
        Apply(lambda x: F.interpolate(F.interpolate(x, (9, 9), mode="bilinear"), (5, 5))),
        [MAP],
    ),
    "shuffles": (
        nn.Sequential(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(4)),
        [MAP],
    ),
    "joining": (Apply(lambda x, y: (torch.cat([x, y], -1), torch.stack([x, y], 1))), [MAP, MAP]),
    "shapes": (
        Apply(lambda x: (x.flatten(1), x.view(len(x), 2, 4, 36), x.permute(2, 0, 3, 1).flatten(2))),
        [MAP],
    ),
    "copies": (
        Apply(
            lambda x: (x[:, :1].expand(-1, 3, -1, -1), x.repeat(1, 2, 1, 1), x.roll((1, 2), (2, 3)))
        ),
        [MAP],
    ),
    "padding": (
        Apply(lambda x: (F.pad(x, (1, 2, 0, 1), value=0.5), F.pad(x, (1, 1), mode="reflect"))),
        [SEQUENCE],
    ),
    "slices": (Apply(lambda x: (x[:, 1:-1, ::2], x[:, 0], *x.chunk(2, 1))), [MAP]),
    "types": (Apply(lambda x: x.double().sum(1).float()), [MAP]),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", SAME_VALUES)
def test_values_are_those_of_the_network(name):
    network, shapes = SAME_VALUES[name]
    network.eval()
    graph = capture(network, [shape[1:] for shape in shapes]).graph
    module, written = graph.to_module().eval(), from_source(graph).eval()
    assert captured_again(graph, module) == graph
    assert captured_again(graph, written) == graph
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-1, 1)
        for mine, theirs in zip(module.parameters(), network.parameters(), strict=True):
            mine.copy_(theirs)
    written.load_state_dict(module.state_dict())
    inputs = [torch.randn(shape) for shape in shapes]
    expected = flattened(network(*inputs))
    for built in (module, written):
        for result, right in zip(flattened(built(*inputs)), expected, strict=True):
            torch.testing.assert_close(result, right, equal_nan=True)


def flattened(result):
    return list(result) if isinstance(result, tuple) else [result]


def test_indices_are_read_as_indices():
    network = nn.Sequential(nn.Embedding(11, 4), nn.Linear(4, 2))
    graph = capture(network, inputs=torch.zeros(1, 3, dtype=torch.long)).graph
    assert captured_again(graph, graph.to_module()) == graph
    bags = nn.EmbeddingBag(11, 4, mode="sum")
    graph = capture(bags, inputs=torch.zeros(1, 3, dtype=torch.long)).graph
    assert captured_again(graph, graph.to_module()) == graph


def test_a_transformer_runs_at_any_batch_size():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    graph = capture(nn.Sequential(layer, nn.Linear(8, 3)), (5, 8)).graph
    module = graph.to_module().eval()
    assert captured_again(graph, module) == graph
    x = torch.randn(7, 5, 8)
    together = module(x)
    assert together.shape == (7, 5, 3)
    torch.testing.assert_close(together, torch.cat([module(sample[None]) for sample in x]))


def test_dropout_and_normalisation_know_training():
    graph = capture(nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5)), (4,)).graph
    module, x = graph.to_module(), torch.ones(1, 4)
    assert (module.train()(x) == 0).sum() > 10
    assert (module.eval()(x) == 0).sum() == 0


# -- weights used twice -----------------------------------------------------------------------


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(self.conv(x).relu())


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x, y):
        return self.branch(x) - self.branch(y)


class TwoStrides(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x):
        return F.conv2d(x, self.weight), F.conv2d(x, self.weight, stride=2)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4))
        self.head = nn.Linear(4, 9, bias=False)
        self.head.weight = self.encoder[0].weight

    def forward(self, x):
        return self.head(self.encoder(x))


@pytest.mark.parametrize("network", [Twice(), Siamese(), TwoStrides(), Tied()])
def test_shared_weights_stay_shared(network):
    if isinstance(network, Tied):
        graph = capture(network, inputs=torch.zeros(1, 3, dtype=torch.long)).graph
    else:
        graph = capture(network, [(3, 8, 8)] * (1 + isinstance(network, Siamese))).graph
    assert len(set(graph.weight_of)) < len(graph)
    for built in (graph.to_module(), from_source(graph)):
        assert captured_again(graph, built) == graph
        assert sum(p.numel() for p in built.parameters()) == graph.params


# -- what a graph does not say ----------------------------------------------------------------


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.spectrum = Apply(lambda x: torch.fft.fft(x).real)

    def forward(self, x):
        return self.spectrum(x * 2)


REFUSED = {
    "custom": (Custom(), "custom 'torch._C._fft.fft_fft' in 'spectrum'"),
    "positions": (Apply(lambda x: x[:, torch.tensor([0, 2])]), "gather"),
    "a constant": (Apply(lambda x: x + torch.rand(8, 1, 1)), "add"),
    "a constant operand": (Apply(lambda x: torch.cat([x, torch.ones(1, 1, 6, 6)], 1)), "parameter"),
    "which remainder": (Apply(lambda x: x % 2), "binary"),
    "an axis": (Apply(lambda x: x.cumsum(1)), "unary"),
    "a deviation's kind": (Apply(lambda x: x.std(1)), "reduce"),
    "a mask's value": (Apply(lambda x: x.masked_fill(x > 0, 3.0)), "where"),
    "a part": (Apply(lambda x: x.topk(2, dim=1)[0]), "gather"),
    "lp_pool": (nn.LPPool2d(2, 2), "lp_pool"),
    "threshold": (nn.Threshold(0.1, 2.0), "threshold"),
    "a cell": (nn.LSTMCell(6, 3), "lstm"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_does_not_say_is_refused_by_name(name):
    network, title = REFUSED[name]
    graph = capture(network, (6,) if name == "a cell" else (8, 6, 6)).graph
    start = rf"this graph cannot be rebuilt because of node \d+ \({re.escape(title)}"
    with pytest.raises(RebuildError, match=start):
        graph.to_module()


JUNK = (5, -1, "x", (), ("a",), ((1, 2),), 1e300, None, True, ((0, 0, None, 0),), (0, 1, 2, 3))
#: Attributes that no shape rule checks.
UNCHECKED = (
    *(("slice", "spec"), ("roll", "dims"), ("roll", "shifts"), ("softmax", "dim"), ("pad", "mode")),
    *(("pad", "padding"), ("glu", "dim"), ("interpolate", "size"), ("interpolate", "mode")),
    *(("unary", "function"), ("hard_tanh", "low"), ("dropout", "rate"), ("batch_norm", "eps")),
    *(("cast", "dtype"), ("gelu", "approximate"), ("normalize", "dim"), ("leaky_relu", "slope")),
)


@pytest.mark.parametrize(("op", "name"), UNCHECKED)
def test_damaged_attributes_are_refused_or_written_as_literals(op, name):
    required = {"slice": "spec", "roll": "shifts dims", "pad": "padding", "interpolate": "size"}
    required |= {"unary": "function", "cast": "dtype"}
    for junk in JUNK:
        attrs = dict.fromkeys(required.get(op, "").split(), (1, 1)) | {name: junk}
        b = GraphBuilder()
        try:
            x = b.add(op, (b.input((1, 4, 4, 4)),), out_shape=(1, 4, 4, 4), **attrs)
        except GraphError:
            continue
        graph = b.build(x)
        with suppress(RebuildError):
            ast.parse(to_source(graph))
            graph.to_module()
