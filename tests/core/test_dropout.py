import math

import pytest
import torch
from gennape_plugin.core.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_rate_and_expectation(rate):
    torch.manual_seed(0)
    x = torch.ones(4000, 251)  # not a multiple of the four masks to a word
    y = Dropout(rate)(x)
    dropped = float((y == 0).double().mean())
    deviation = math.sqrt(rate * (1 - rate) / x.numel())
    assert abs(dropped - rate) < 5 * deviation + 1 / 65536
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - rate)))
    assert float(y.double().mean()) == pytest.approx(1, abs=6 * deviation / (1 - rate) + 1e-4)


def test_masks_are_independent():
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(20000, 8)) != 0).double()
    correlation = torch.corrcoef(kept.T) - torch.eye(8)
    assert correlation.abs().max() < 5 / math.sqrt(20000)
    neighbours = torch.corrcoef(torch.stack([kept[:-1].flatten(), kept[1:].flatten()]))
    assert abs(float(neighbours[0, 1])) < 5 / math.sqrt(160000)


def test_gradient_is_masked_alike():
    torch.manual_seed(0)
    x = torch.ones(50, 7, requires_grad=True)
    y = Dropout(0.25)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_nothing_is_dropped_outside_training_or_at_rate_0():
    x = torch.randn(20, 3)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
