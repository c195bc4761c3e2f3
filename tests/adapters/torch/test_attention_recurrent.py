"""Attention, transformers and recurrent layers."""

import time

import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.adapters.torch import capture, capture_module
from gennape_plugin.core.builder import GraphBuilder
from networks import Net, assert_same, built
from torch import Tensor, nn

TOKENS, WIDTH, HEADS = 5, 8, 2
SEQUENCE = (TOKENS, WIDTH)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_scaled_dot_product_attention() -> None:
    def forward(self: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        plain = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.5)
        constant = F.scaled_dot_product_attention(q, k, v, torch.zeros(TOKENS, TOKENS))
        return plain, constant, F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def write(b: GraphBuilder, x: int, mask: int) -> tuple[int, ...]:
        qkv = b.linear(x, 3 * WIDTH)
        parts = tuple(
            b.add("slice", (qkv,), out_shape=(1, *SEQUENCE), spec=((2, 8 * i, 8 * i + 8, 1),))
            for i in range(3)
        )
        return (
            b.add("attention", parts, causal=True, scale=0.5),
            b.add("attention", parts),
            b.add("attention", (*parts, mask)),
        )

    net = Net(forward, qkv=nn.Linear(WIDTH, 3 * WIDTH))
    shapes = (SEQUENCE, (TOKENS, TOKENS))
    assert_same(capture_module(net, shapes), built(write, *shapes))


@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention_is_expanded(need_weights: bool) -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.mha(x, x, x, need_weights=need_weights)[0]

    net = Net(forward, mha=nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
    graph = capture_module(net, SEQUENCE)
    weighted = [n.op for n in graph.nodes if n.macs]
    products = ["matmul", "matmul"] if need_weights else ["attention"]
    assert weighted == ["linear", *products, "linear"]
    assert graph.params == parameters(net)
    projections = 4 * TOKENS * WIDTH * WIDTH
    assert graph.macs == projections + 2 * TOKENS * TOKENS * WIDTH
    assert not any(n.op in ("custom", "parameter") for n in graph.nodes)


def test_cross_attention_counts_every_projection_once() -> None:
    def forward(self: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return self.mha(x, y, y, need_weights=False)[0]

    net = Net(forward, mha=nn.MultiheadAttention(WIDTH, HEADS, kdim=6, vdim=6, batch_first=True))
    graph = capture_module(net, (SEQUENCE, (7, 6)))
    assert [n.op for n in graph.nodes if n.params] == ["linear"] * 4
    assert graph.params == parameters(net)
    shared = Net(forward, mha=nn.MultiheadAttention(WIDTH, HEADS, batch_first=True))
    assert capture_module(shared, (SEQUENCE, (7, WIDTH))).params == parameters(shared)


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer_encoder(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 16, batch_first=True, activation="gelu", norm_first=norm_first
    )
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    graph = capture_module(net, SEQUENCE)
    ops = [n.op for n in graph.nodes]
    assert ops.count("attention") == 2
    assert ops.count("layer_norm") == ops.count("linear") // 2 == 4
    assert ops.count("gelu") == 2
    assert ops.count("dropout") == 6
    assert ops.count("add") == 4
    assert graph.params == parameters(net)
    linears = 4 * WIDTH * WIDTH + 2 * 16 * WIDTH
    assert graph.macs == 2 * (TOKENS * linears + 2 * TOKENS * TOKENS * WIDTH)


def test_a_whole_transformer() -> None:
    net = nn.Transformer(WIDTH, HEADS, 1, 1, 16, batch_first=True)
    graph = capture_module(net, (SEQUENCE, (3, WIDTH)))
    assert graph.params == parameters(net)
    assert sum(n.op == "attention" for n in graph.nodes) == 3


@pytest.mark.parametrize(("layer", "op"), [(nn.LSTM, "lstm"), (nn.GRU, "gru"), (nn.RNN, "rnn")])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2, "bias": False}])
def test_recurrent_layers(layer: type[nn.Module], op: str, options: dict[str, object]) -> None:
    net = Net(lambda self, x: self.rnn(x)[0], rnn=layer(WIDTH, 6, batch_first=True, **options))
    directions = 2 if options.get("bidirectional") else 1

    def write(b: GraphBuilder, x: int) -> int:
        return b.add(
            op,
            (x,),
            out_shape=(1, TOKENS, 6 * directions),
            hidden=6,
            layers=options.get("num_layers", 1),
            bias=options.get("bias", True),
            bidirectional=directions == 2,
            batch_first=True,
        )

    graph = capture_module(net, SEQUENCE)
    assert_same(graph, built(write, SEQUENCE))
    assert graph.params == parameters(net)


def test_the_last_hidden_state_is_a_second_result() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        out, (hidden, _) = self.rnn(x)
        return out, self.head(hidden[-1])

    net = Net(forward, rnn=nn.LSTM(WIDTH, 6, proj_size=4), head=nn.Linear(4, 2))
    graph = capture_module(net, SEQUENCE)
    assert [n.op for n in graph.nodes] == ["input", "lstm", "select", "slice", "linear", "output"]
    assert graph.nodes[1].attr("projection") == 4
    assert graph.params == parameters(net)


def test_a_cell_applied_step_by_step_shares_its_weights() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return state[0]

    net = Net(forward, cell=nn.LSTMCell(WIDTH, 6))
    graph = capture_module(net, SEQUENCE)
    assert sum(n.op == "lstm" for n in graph.nodes) == TOKENS
    assert graph.params == parameters(net)


def test_products() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x @ x.transpose(1, 2)
        z = torch.einsum("btc,bsc->bts", x, x)
        w = torch.baddbmm(y, y, z)
        return w.softmax(-1) @ x, x @ self.weight, torch.addmm(self.bias, x[0], self.weight)

    net = Net(forward)
    net.weight = nn.Parameter(torch.rand(WIDTH, 3))
    net.bias = nn.Parameter(torch.rand(3))
    graph = capture_module(net, SEQUENCE)
    assert [n.op for n in graph.nodes if n.macs] == [
        "matmul",
        "einsum",
        "matmul",
        "matmul",
        "linear",
        "linear",
    ]
    square = TOKENS * TOKENS * WIDTH
    assert graph.macs == 3 * square + TOKENS**3 + 2 * TOKENS * WIDTH * 3


def test_factors_by_name() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        scores = x.baddbmm(batch1=x, batch2=x, beta=0.5, alpha=2)
        return torch.addmm(self.bias, mat1=scores[0], mat2=self.weight)

    net = Net(forward)
    net.bias, net.weight = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(6, 4))
    captured = capture(net, (6, 6))
    assert not captured.custom
    assert captured.graph.macs == 6 * 6 * 6 + 6 * 6 * 4


_LAID_OUT: list[tuple[object, ...]] = []  # a global, since what functions close over is copied


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [False, True])
def test_long_sequences_cost_no_time(layer: type[nn.Module], batch_first: bool) -> None:
    """Torch would go through every step, 20,000 of them; the results are laid out as its own."""
    net = layer(WIDTH, 6, 2, bidirectional=True, batch_first=batch_first)
    _LAID_OUT.clear()

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        out, state = self.rnn(x)
        states = state if isinstance(state, tuple) else (state,)
        _LAID_OUT.append(tuple((t.shape, t.stride(), t.dtype) for t in (out, *states)))
        return out

    examples = torch.zeros(2, 5, WIDTH)
    wrapped = Net(forward, rnn=net).eval()
    wrapped(examples)
    capture_module(wrapped, inputs=examples)
    assert _LAID_OUT[0] == _LAID_OUT[1]
    start = time.process_time()
    capture_module(wrapped, inputs=torch.zeros(20_000, 1, WIDTH, device="meta"))
    assert time.process_time() - start < 2
