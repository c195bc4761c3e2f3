import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.heads import HeadEnsemble
from torch import nn


def perceptrons(ensemble):
    """The heads of an ensemble as separate networks with the same weights."""
    found = []
    for head in range(ensemble.heads):
        layers = []
        for weight, bias in zip(ensemble.weights, ensemble.biases, strict=True):
            linear = nn.Linear(weight.shape[1], weight.shape[2])
            linear.weight.data = weight[head].detach().T.clone()
            linear.bias.data = bias[head, 0].detach().clone()
            layers += [linear, nn.ReLU()]
        found.append(nn.Sequential(*layers[:-1]))
    return found


def inputs(count=9, features=6, heads=4):
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(count, features, generator=generator)
    return h, torch.rand(count, heads, generator=generator).softmax(1)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_equals_separate_perceptrons_weighed_by_memberships(layers):
    ensemble = HeadEnsemble(6, heads=4, hidden=8, layers=layers)
    h, u = inputs()
    each = torch.cat([mlp(h) for mlp in perceptrons(ensemble)], dim=1)
    torch.testing.assert_close(ensemble(h, u), (each * u).sum(1))


def test_gradients_equal_separate_perceptrons():
    ensemble = HeadEnsemble(6, heads=3, hidden=8, layers=2)
    h, u = inputs(heads=3)
    ensemble(h, u).square().sum().backward()
    networks = perceptrons(ensemble)
    (torch.cat([mlp(h) for mlp in networks], dim=1) * u).sum(1).square().sum().backward()
    for head, mlp in enumerate(networks):
        linears = [layer for layer in mlp if isinstance(layer, nn.Linear)]
        for depth, linear in enumerate(linears):
            torch.testing.assert_close(ensemble.weights[depth].grad[head].T, linear.weight.grad)
            torch.testing.assert_close(ensemble.biases[depth].grad[head, 0], linear.bias.grad)


def test_the_papers_sizes():
    (mlp,) = perceptrons(HeadEnsemble(129))
    sizes = [(part.in_features, part.out_features) for part in mlp if isinstance(part, nn.Linear)]
    assert sizes == [(129, 256), (256, 256), (256, 256), (256, 256), (256, 1)]


def test_a_single_head_needs_no_memberships():
    ensemble = HeadEnsemble(6, hidden=8)
    h, _ = inputs()
    (mlp,) = perceptrons(ensemble)
    torch.testing.assert_close(ensemble(h, None), mlp(h)[:, 0])
    torch.testing.assert_close(ensemble(h, torch.ones(9, 1)), mlp(h)[:, 0])


def test_initial_weights_are_pytorchs():
    """Uniform within one over the root of the fan-in, as nn.Linear draws them."""
    torch.manual_seed(0)
    ensemble = HeadEnsemble(100, heads=5, hidden=64, layers=2)
    for weight, fan_in in zip(ensemble.weights, (100, 64, 64), strict=True):
        bound = fan_in**-0.5
        assert weight.abs().max() <= bound
        assert float(weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.1)
    assert not torch.equal(ensemble.weights[0][0], ensemble.weights[0][1])


def test_several_heads_need_memberships():
    with pytest.raises(InvalidInputError, match="4 heads need memberships"):
        HeadEnsemble(6, heads=4)(inputs()[0], None)


@pytest.mark.parametrize("sizes", [{"heads": 0}, {"hidden": 0}, {"layers": 0}, {"features": 0}])
def test_impossible_sizes(sizes):
    with pytest.raises(InvalidInputError, match="at least 1"):
        HeadEnsemble(**{"features": 6, **sizes})
