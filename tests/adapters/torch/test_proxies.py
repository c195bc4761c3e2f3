"""Zero-cost proxies: against formulas by hand, on awkward networks, on NAS-Bench-201."""

import gc
import gzip
import itertools
import json
import math
import random
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gennape_plugin.adapters.families import family
from gennape_plugin.adapters.torch.proxies import PROXIES, zero_cost
from gennape_plugin.adapters.torch.proxies.formulas import jacobian_score, log_determinant
from gennape_plugin.core.errors import CaptureError, GennapeError, InvalidInputError
from gennape_plugin.core.metrics import srcc
from networks import IMAGE, Net
from torch import Tensor, nn

LOSS = ["snip", "grad_norm", "fisher"]
RUN = ["synflow", "jacov", "nwot", *LOSS]


def convnet(seed: int = 0, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        act(),
        nn.Conv2d(6, 8, 3, 2),
        act(),
        nn.Flatten(),
        nn.Linear(72, 5),
    )


def mlp(*sizes: int, bias: bool = False, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    pairs = itertools.pairwise(sizes)
    layers = [layer for a, b in pairs for layer in (nn.Linear(a, b, bias=bias), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def score(name: str, net: nn.Module, shape: tuple[int, ...] = IMAGE, **options: Any) -> float:
    return zero_cost(net, shape, names=[name], **{"batch_size": 8, **options})[name]


def array(tensor: Tensor) -> Any:
    return tensor.detach().double().numpy()


def softmax_error(logits: Any, targets: Any) -> Any:
    """The gradient of the mean cross-entropy with respect to the logits."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p - np.eye(logits.shape[1])[targets]) / len(logits)


# -- formulas -----------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_synflow_of_a_linear_chain_is_its_output_once_a_layer(depth: int) -> None:
    net = mlp(4, *[6] * (depth - 1), 3)
    total = np.ones(4)
    for layer in net[::2]:
        total = np.abs(array(layer.weight)) @ total
    assert score("synflow", net, (4,)) == pytest.approx(depth * total.sum())


def test_synflow_counts_no_biases_but_lets_them_flow() -> None:
    net = mlp(4, 6, 3, bias=True)
    first, second = (np.abs(array(net[i].weight)) for i in (0, 2))
    hidden = first @ np.ones(4) + np.abs(array(net[0].bias))
    expected = (second @ hidden).sum() + (second @ first @ np.ones(4)).sum()
    assert score("synflow", net, (4,)) == pytest.approx(expected)


def test_synflow_bypasses_batch_norms() -> None:
    net = convnet()
    plain = nn.Sequential(net[0], *net[2:])
    with torch.no_grad():
        net[1].weight.mul_(-3)
        net[1].running_var.mul_(7)
    assert score("synflow", net) == pytest.approx(score("synflow", plain))


def test_synflow_overflows_to_infinity() -> None:
    net = mlp(4, *[4] * 40, 3)
    with torch.no_grad():
        for weight in net.parameters():
            weight.fill_(1e10)
            weight[0] = 0
    assert score("synflow", net, (4,)) == math.inf


def loss_by_hand(
    seed: int = 3,
) -> tuple[nn.Module, Tensor, Tensor, list[Any], list[Any], list[Any]]:
    """A two-layer network, a batch, and its activations, their gradients and the weights'."""
    net = mlp(4, 6, 3, seed=seed)
    x, targets = torch.randn(8, 4), torch.randint(3, (8,))
    first, second = (array(net[i].weight) for i in (0, 2))
    hidden = array(x) @ first.T
    on = hidden > 0
    logits = (hidden * on) @ second.T
    d_logits = softmax_error(logits, targets.numpy())
    d_hidden = (d_logits @ second) * on
    weights = [d_hidden.T @ array(x), d_logits.T @ (hidden * on)]
    return net, x, targets, [hidden, logits], [d_hidden, d_logits], weights


def test_snip_grad_norm_and_fisher_by_hand() -> None:
    net, x, targets, activations, errors, gradients = loss_by_hand()
    scores = zero_cost(net, (4,), names=LOSS, inputs=x, targets=targets)
    weights = [array(net[i].weight) for i in (0, 2)]
    pairs = zip(weights, gradients, strict=True)
    assert scores["snip"] == pytest.approx(sum(np.abs(w * g).sum() for w, g in pairs), rel=1e-5)
    norms = sum(np.linalg.norm(g) for g in gradients)
    assert scores["grad_norm"] == pytest.approx(norms, rel=1e-5)
    pairs = zip(activations, errors, strict=True)
    channels = sum(((a * d) ** 2).mean(0).sum() / 2 for a, d in pairs)
    assert scores["fisher"] == pytest.approx(channels, rel=1e-5)


def test_fisher_sums_positions_before_it_squares() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    x, targets = torch.randn(8, *IMAGE), torch.randint(5, (8,))
    a = net[0](x).detach().requires_grad_()
    logits = net[2](net[1](a))
    logits.retain_grad()
    F.cross_entropy(logits, targets).backward()
    channels = (array(a) * array(a.grad)).sum((2, 3)), array(logits) * array(logits.grad)
    expected = sum((c**2).mean(0).sum() / 2 for c in channels)
    assert score("fisher", net, inputs=x, targets=targets) == pytest.approx(expected, rel=1e-5)


def test_fisher_of_tokens_has_the_channels_last() -> None:
    net = Net(lambda self, x: self.layer(x).mean(1), layer=nn.Linear(4, 3))
    x, targets = torch.randn(8, 5, 4), torch.randint(3, (8,))
    a = array(net.layer(x))
    d = softmax_error(a.mean(1), targets.numpy()) / 5
    expected = ((a.sum(1) * d) ** 2).mean(0).sum() / 2
    value = score("fisher", net, (5, 4), inputs=x, targets=targets)
    assert value == pytest.approx(expected, rel=1e-5)


def test_jacov_is_the_formula_on_the_input_gradients() -> None:
    net = convnet()
    x = torch.randn(8, *IMAGE, requires_grad=True)
    net.train()(x).sum().backward()
    values = np.linalg.eigvals(np.corrcoef(array(x.grad).reshape(8, -1))).real + 1e-5
    expected = -(np.log(values) + 1 / values).sum()
    assert score("jacov", convnet(), inputs=x.detach()) == pytest.approx(expected, rel=1e-4)


def test_jacov_at_its_best_and_at_its_worst() -> None:
    rows = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]])  # uncorrelated
    assert jacobian_score(rows) == pytest.approx(-2, abs=1e-4)
    same = jacobian_score(torch.tensor([[1.0, 2, 5], [1, 2, 5]]))
    assert same == pytest.approx(-(math.log(2) + 0.5 + math.log(1e-5) + 1e5), rel=1e-6)
    assert jacobian_score(torch.tensor([[1.0, 2, 5], [3, 3, 3]])) == -math.inf


def test_jacov_ignores_scale_offset_and_order() -> None:
    rows = torch.randn(6, 40, dtype=torch.double)
    changed = (rows * torch.rand(6, 1, dtype=torch.double) + torch.randn(6, 1)).flip(0)
    assert jacobian_score(changed) == pytest.approx(jacobian_score(rows))


def test_nwot_of_known_codes() -> None:
    net = Net(lambda self, x: self.act(x) + 0, act=nn.ReLU())
    x = torch.tensor([[1.0, 1, 1, -1], [1, 1, -1, 0], [-1, 1, 1, 1]])
    on = (x > 0).numpy()
    agree = [[sum(a == b) for b in on] for a in on]
    assert agree[0] == [4, 3, 2]
    assert score("nwot", net, (4,), inputs=x) == pytest.approx(math.log(np.linalg.det(agree)))


def test_nwot_adds_up_layers() -> None:
    net = convnet()
    x = torch.randn(8, *IMAGE)
    net.train()
    codes = [(net[:2](x) > 0).flatten(1), (net[:4](x) > 0).flatten(1)]
    on = torch.cat(codes, 1).double()
    kernel = array(on @ on.T + (1 - on) @ (1 - on).T)
    assert score("nwot", convnet(), inputs=x) == pytest.approx(np.linalg.slogdet(kernel)[1])


def test_a_network_that_sees_no_difference_ranks_last() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.layer(F.relu(x.flatten(1) * 0 + 1))

    net = Net(forward, layer=nn.Linear(192, 3))
    assert zero_cost(net, IMAGE, names=["jacov", "nwot"], batch_size=4) == {
        "jacov": -math.inf,
        "nwot": -math.inf,
    }
    constant = Net(lambda self, x: torch.zeros(len(x), 3))
    assert score("jacov", constant) == -math.inf
    assert log_determinant(torch.eye(3, dtype=torch.double) * 2) == pytest.approx(math.log(8))


def test_params_and_flops() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))
    assert zero_cost(net, IMAGE, names=["flops", "params"]) == {
        "flops": 2 * (36 * 4 * 27 + 144 * 5),
        "params": 4 * 28 + 145 * 5,
    }
    with torch.device("meta"):
        large = nn.Sequential(nn.Linear(1 << 20, 1 << 20))
    assert score("params", large, (1 << 20,)) == (1 << 40) + (1 << 20)


# -- how activations and norms are called -----------------------------------------------------

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "by name": lambda x: torch.relu(input=x),
    "method": lambda x: x.relu(),
    "in place": lambda x: x.relu_(),
    "F in place": lambda x: F.relu(x, inplace=True),
    "module in place": nn.ReLU(inplace=True),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "hardtanh": nn.Hardtanh(0, 1e6),
}


@pytest.mark.parametrize("spelling", ACTIVATIONS)
def test_every_spelling_of_relu_is_the_same(spelling: str) -> None:
    act = ACTIVATIONS[spelling]

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = act(self.norm(self.first(x)))
        return self.head(act(self.second(y)).flatten(1))

    modules = convnet()
    net = Net(forward, first=modules[0], norm=modules[1], second=modules[3], head=modules[6])
    expected = zero_cost(convnet(), IMAGE, names=RUN, batch_size=8)
    assert zero_cost(net, IMAGE, names=RUN, batch_size=8) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("act", [nn.ReLU6, nn.LeakyReLU, nn.PReLU])
def test_other_relus_have_the_same_codes(act: Callable[[], nn.Module]) -> None:
    x = torch.randn(8, 20)
    expected = score("nwot", nn.Sequential(nn.ReLU(), nn.Linear(20, 3)), (20,), inputs=x)
    assert score("nwot", nn.Sequential(act(), nn.Linear(20, 3)), (20,), inputs=x) == expected


def test_a_bounded_activation_switches_at_its_lower_bound() -> None:
    x = torch.randn(8, 20)
    expected = score("nwot", nn.Sequential(nn.ReLU(), nn.Linear(20, 3)), (20,), inputs=x + 0.5)
    net = nn.Sequential(nn.Hardtanh(-0.5, 0.5), nn.Linear(20, 3))
    assert score("nwot", net, (20,), inputs=x) == expected


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("low_level", [True, False])
def test_batch_norms_use_the_batch_whatever_their_mode(training: bool, low_level: bool) -> None:
    def low(self: nn.Module, x: Tensor) -> Tensor:
        n, norm = self.net, self.net[1]
        y = torch.batch_norm(
            n[0](x), norm.weight, norm.bias, norm.running_mean, norm.running_var,
            norm.training, 0.1, norm.eps, False,
        )  # fmt: skip
        return n[2:](y)

    net = convnet()
    net[1].running_mean += 3
    run: nn.Module = Net(low, net=net) if low_level else net
    run.train(training)
    expected = zero_cost(convnet(), IMAGE, names=RUN, batch_size=8)
    assert zero_cost(run, IMAGE, names=RUN, batch_size=8) == pytest.approx(expected, rel=1e-6)


def test_dropout_is_off() -> None:
    net = convnet()
    expected = zero_cost(net, IMAGE, names=RUN, batch_size=8)
    noisy = nn.Sequential(*net[:6], nn.Dropout(0.5), net[6]).train()
    assert zero_cost(noisy, IMAGE, names=RUN, batch_size=8) == expected


def test_frozen_weights_count_and_unused_ones_score_nothing() -> None:
    expected = zero_cost(convnet(), IMAGE, names=RUN, batch_size=8)
    net = convnet().requires_grad_(False)
    net.add_module("flat", nn.Identity())
    net.unused = nn.Linear(3, 3)
    unused = Net(lambda self, x: self.net[:8](x), net=net)
    assert zero_cost(unused, IMAGE, names=RUN, batch_size=8) == expected


# -- nothing is changed -------------------------------------------------------------------------


class Stateful(nn.Module):
    """Changes what it can reach while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = convnet()
        self.register_buffer("steps", torch.zeros(()))
        self.log: list[float] = []
        self.net[0].weight.requires_grad_(False)
        self.net[3].register_forward_hook(lambda module, args, output: output * 2)

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        self.log.append(random.random() + np.random.rand())
        self.net[0].weight.data.mul_(1.1)
        self.net.train()
        return self.net(x + torch.randn_like(x) + self.steps)


def state_of(net: nn.Module) -> Any:
    return (
        {k: (id(v), v._version, v.tolist()) for k, v in net.state_dict(keep_vars=True).items()},
        [(p.requires_grad, p.grad, len(p._backward_hooks or ())) for p in net.parameters()],
        [(m.training, len(m._forward_hooks), sorted(map(str, m.__dict__))) for m in net.modules()],
        list(getattr(net, "log", [])),
    )


def global_state() -> Any:
    return (
        random.getstate(),
        repr(np.random.get_state()),
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch._C._len_torch_function_stack(),
    )


@pytest.mark.parametrize("build", [Stateful, convnet])
@pytest.mark.parametrize("gradients", [True, False])
def test_module_and_global_state_are_untouched(
    build: Callable[[], nn.Module], gradients: bool
) -> None:
    net = build()
    names = [name for name in PROXIES if name != "flops"]
    x = torch.randn(8, *IMAGE)
    kept = x.clone()
    with torch.set_grad_enabled(gradients):
        before, outside = state_of(net), global_state()
        first = zero_cost(net, IMAGE, names=names, inputs=x)
        assert state_of(net) == before
        assert global_state() == outside
    assert torch.equal(x, kept)
    assert not x.requires_grad
    assert zero_cost(net, IMAGE, names=names[::-1], inputs=x) == pytest.approx(first, rel=1e-6)


def test_a_forward_may_change_its_input_in_place() -> None:
    expected = zero_cost(Net(lambda self, x: self.n(x * 2), n=convnet()), IMAGE, batch_size=8)
    changing = Net(lambda self, x: self.n(x.mul_(2)), n=convnet())
    assert zero_cost(changing, IMAGE, batch_size=8) == expected


def test_a_failure_leaves_everything_alone() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        self.net[0].weight.data.zero_()
        torch.rand(1)
        raise KeyError("broken")

    net = Net(forward, net=convnet())
    before, outside = state_of(net), global_state()
    for name in RUN:
        with pytest.raises(InvalidInputError, match="KeyError: 'broken'") as caught:
            score(name, net)
        assert isinstance(caught.value.__cause__, KeyError)
    assert state_of(net) == before
    assert global_state() == outside


def test_scores_are_the_same_in_other_contexts() -> None:
    expected = zero_cost(convnet(), IMAGE, batch_size=8)
    with torch.no_grad():
        assert zero_cost(convnet(), IMAGE, batch_size=8) == expected
    with torch.inference_mode():
        assert zero_cost(convnet(), IMAGE, batch_size=8) == expected
    with torch.autocast("cpu"):
        assert zero_cost(convnet(), IMAGE, batch_size=8) == expected
    torch.manual_seed(99)
    assert zero_cost(nn.DataParallel(convnet()), IMAGE, batch_size=8) == expected


_SEEN: list["weakref.ref[nn.Module]"] = []  # a global, since what functions close over is copied


def test_copies_are_freed() -> None:
    _SEEN.clear()

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        _SEEN.append(weakref.ref(self))
        return self.net(x)

    net = Net(forward, net=convnet())
    zero_cost(net, IMAGE, names=RUN, batch_size=4)
    gc.collect()
    assert len(_SEEN) >= len(RUN) - 1
    assert {ref() for ref in _SEEN} == {None}


def test_the_seed_decides() -> None:
    first = zero_cost(convnet(), IMAGE, batch_size=8)
    torch.rand(3)
    assert zero_cost(convnet(), IMAGE, batch_size=8) == first
    other = zero_cost(convnet(), IMAGE, batch_size=8, seed=1)
    assert [name for name in first if first[name] == other[name]] == ["synflow", "params", "flops"]
    assert list(first) == list(PROXIES)
    for name in PROXIES:  # alone or together
        assert score(name, convnet()) == first[name]


def test_double_precision_networks() -> None:
    expected = zero_cost(convnet(), IMAGE, batch_size=8)
    assert zero_cost(convnet().double(), IMAGE, batch_size=8) == pytest.approx(expected, rel=1e-3)


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["synflow", "zen"]}, r"unknown proxies \['zen'\].*'synflow'"),
        ({"names": "zen"}, r"unknown proxies \['zen'\]"),
        ({"names": ["jacov"], "batch_size": 1}, "jacov compares samples: .* at least 2"),
        ({"names": ["nwot"], "inputs": torch.zeros(1, *IMAGE)}, "nwot compares samples"),
        ({"batch_size": 0}, "batch_size is an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size is an integer"),
        ({"seed": -1}, "seed is an integer of at least 0"),
        ({"classes": 0}, "classes is an integer of at least 1"),
        ({"classes": 10, "names": ["nwot"]}, r"float32 of shape \(64, 5\); .* \(64, 10\)"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"device": "nowhere"}, "device 'nowhere' cannot be used"),
        ({"input_shape": 3}, "input_shape is the shape of one sample"),
        ({"input_shape": (3, 0, 8)}, "input_shape is the shape of one sample"),
        ({"input_shape": (4, 8, 8)}, "expected input.*check input_shape"),
        ({"inputs": torch.zeros(2, 1, 8, 8)}, r"\(batch, 3, 8, 8\); got \(2, 1, 8, 8\)"),
        ({"inputs": [[1.0]]}, "got list"),
        ({"inputs": torch.full((2, *IMAGE), math.nan)}, "only finite values"),
        ({"inputs": torch.zeros(0, *IMAGE)}, "at least one sample"),
        ({"targets": torch.zeros(3, dtype=torch.long)}, "targets is a torch.long tensor of 64"),
        ({"targets": torch.full((64,), 5)}, "classes from 0 to 4"),
        ({"targets": torch.zeros(64)}, "torch.long"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    arguments = {"input_shape": IMAGE, "names": LOSS, **options}
    with pytest.raises(InvalidInputError, match=message):
        zero_cost(convnet(), **arguments)


def weightless() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.ReLU())


def unfinished() -> nn.Module:
    net = convnet()
    with torch.no_grad():
        net[0].weight[0] = math.nan
    return net


@pytest.mark.parametrize(
    ("name", "build", "message"),
    [
        ("snip", lambda: nn.Conv2d, "got the class Conv2d"),
        ("snip", lambda: "resnet", "got 'resnet'"),
        ("synflow", weightless, "synflow of Sequential: it has no weights"),
        ("snip", weightless, "it has no weights"),
        ("grad_norm", weightless, "it has no weights"),
        ("fisher", weightless, "no gradient leads back"),
        ("fisher", lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192)), "no gradient leads"),
        ("nwot", lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), "no ReLU-like"),
        ("snip", lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), "one class"),
        ("snip", lambda: nn.Conv2d(3, 4, 3), r"float32 of shape \(8, 4, 6, 6\); it must be"),
        ("nwot", lambda: Net(lambda self, x: (x.relu(), x)), "forward returns tuple"),
        ("jacov", lambda: Net(lambda self, x: x.flatten(1).long()), "int64 of shape"),
        ("jacov", lambda: Net(lambda self, x: x.reshape(4, -1)), r"shape \(4, 384\)"),
        ("nwot", lambda: Net(lambda self, x: x[0].relu()), "first axis must be the batch of 8"),
        ("snip", lambda: Net(lambda self, x: self.n(x).detach(), n=convnet()), "detaches it"),
        ("synflow", lambda: Net(lambda self, x: self.n(x).detach(), n=convnet()), "detaches it"),
        ("snip", lambda: nn.LazyLinear(3), "lazy parameters"),
        ("snip", lambda: nn.Linear(3, 3, device="meta"), "meta device"),
        ("snip", unfinished, "weight '0.weight' has NaN or infinity"),
        ("nwot", lambda: Net(lambda self, x: x[:, 99]), "IndexError: .*check input_shape"),
    ],
)
def test_bad_networks(name: str, build: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        score(name, build())


@pytest.mark.parametrize("name", LOSS)
def test_an_overflow_is_refused(name: str) -> None:
    net = convnet()
    with torch.no_grad():
        net[6].weight.fill_(3e38)
    with pytest.raises(InvalidInputError, match=f"{name} of Sequential is not a number"):
        score(name, net)


def test_integer_inputs() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.ReLU(), nn.Linear(12, 3))
    ids = torch.randint(9, (8, 3))
    scores = zero_cost(net, (3,), names=["nwot", *LOSS, "flops"], inputs=ids)
    assert all(map(math.isfinite, scores.values()))
    with pytest.raises(InvalidInputError, match=r"inputs are torch\.int64"):
        score("jacov", net, (3,), inputs=ids)


def test_flops_of_what_cannot_be_captured() -> None:
    with pytest.raises(CaptureError):
        score("flops", Net(lambda self, x: torch.zeros(1, 3)))


def test_every_refusal_is_one_of_ours() -> None:
    for name in PROXIES:
        with pytest.raises(GennapeError):
            score(name, object())  # type: ignore[arg-type]


# -- NAS-Bench-201 --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_proxies_rank_cells_the_right_way_round(data_dir: Path) -> None:
    space = family("nasbench201")
    with gzip.open(data_dir / "nasbench201.jsonl.gz", "rt") as lines:
        rows = random.Random(0).sample([json.loads(line) for line in lines], 60)
    floors = {"synflow": 0.5, "jacov": 0.3, "nwot": 0.5, "params": 0.4}
    scores: dict[str, list[float]] = {name: [] for name in floors}
    for index, row in enumerate(rows):
        torch.manual_seed(index)
        net = space.module(space.parse(space.encoding_of(row)))
        values = zero_cost(net, space.input_shape, names=floors, batch_size=4, classes=10)
        for name, value in values.items():
            scores[name].append(value)
    accuracy = np.array([row["c10_test_acc_200ep"] for row in rows])
    # Ranks, as a cut network has infinite scores.
    found = {name: srcc(accuracy, np.argsort(np.argsort(v))) for name, v in scores.items()}
    assert {name: found[name] for name in floors if found[name] < floors[name]} == {}
