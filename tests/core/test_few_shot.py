"""Regressions on a few labels: what they learn, keep and refuse."""

import warnings

import numpy as np
import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.few_shot import FewShot, _kernel, _process, features, fit_few_shot
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.model_outputs import Outputs
from sklearn.gaussian_process import GaussianProcessRegressor


def outputs(count: int = 400, seed: int = 0) -> Outputs:
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(count, 6, generator=draw)
    return Outputs({}, torch.zeros(count), torch.randn(count, 9, generator=draw), table)


def accuracy_of(found: Outputs) -> torch.Tensor:
    x, h = found.statistics.double(), found.embedding.double()
    return 0.9 + 0.03 * torch.tanh(x[:, 0] + 0.5 * x[:, 1] * x[:, 0] + 0.5 * h[:, 2])


def fitted(size: torch.Tensor | None = None, labels: int = 50) -> tuple[FewShot, Outputs, Outputs]:
    found = outputs()
    known, rest = found.take(range(labels)), found.take(range(labels, 400))
    size = torch.zeros(labels) if size is None else size
    model, _ = fit_few_shot(known, accuracy_of(known), size)
    return model, known, rest


def test_it_learns_and_gives_accuracies() -> None:
    model, _, rest = fitted()
    found, deviation = model.predict(rest, torch.zeros(350))
    truth = accuracy_of(rest)
    assert srcc(truth, found) > 0.85
    assert float((truth - found).abs().mean()) < 0.5 * float((truth - truth.mean()).abs().mean())
    assert bool((deviation > 0).all())
    # Labelled graphs are better known than others.
    known = outputs().take(range(50))
    assert float(model.predict(known, torch.zeros(50))[1].mean()) < float(deviation.mean())


def test_graphs_are_independent_and_labels_may_come_in_any_order() -> None:
    model, known, rest = fitted()
    together = model.predict(rest, torch.zeros(350))[0]
    alone = model.predict(rest.take([3]), torch.zeros(1))[0]
    torch.testing.assert_close(together[3:4], alone)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1)).tolist()
    moved = known.take(order)
    other, _ = fit_few_shot(moved, accuracy_of(moved), torch.zeros(50))
    torch.testing.assert_close(
        other.predict(rest, torch.zeros(350))[0], together, atol=1e-4, rtol=0
    )


def test_the_process_is_scikit_learns() -> None:
    """The stored weights, under the formula here, give what scikit-learn's own object gives."""
    _, known, rest = fitted()
    raw, there = features(known).numpy(), features(rest).numpy()
    target = np.log(1 - accuracy_of(known).numpy() + 0.005)
    kernel, dual, _ = _process(raw, target)
    amplitude, length, linear, centre, scale = kernel
    squared = ((there[:, None] - raw[None]) ** 2).sum(-1)
    cross = amplitude * np.exp(-squared / (2 * length**2)) + linear * there @ raw.T
    width = float((raw**2).sum(axis=1).mean()) ** 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GaussianProcessRegressor(_kernel(width), normalize_y=True).fit(raw, target)
    np.testing.assert_allclose(cross @ dual * scale + centre, theirs.predict(there), atol=1e-8)


def test_the_zero_shot_order_is_kept_where_labels_do_worse() -> None:
    found = outputs()
    known, rest = found.take(range(20)), found.take(range(20, 400))
    truth = torch.rand(400, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    size = truth + 0.05 * torch.randn(400, generator=torch.Generator().manual_seed(6))
    model, checked = fit_few_shot(known, 0.8 + 0.1 * truth[:20], size[:20])
    assert not checked.helps
    assert checked.zero_shot > checked.tuned
    predicted = model.predict(rest, size[20:])[0]
    assert srcc(predicted, size[20:]) == pytest.approx(1)
    assert float((predicted - 0.8 - 0.1 * truth[20:]).abs().mean()) < 0.02


def test_a_seed_fixes_everything_and_global_randomness_is_left_alone() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, second = fitted()[0], fitted()[0]
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_constant_features_are_left_out() -> None:
    found = outputs()
    found.statistics[:50, 3] = 7.0  # among the labelled ones only
    known, rest = found.take(range(50)), found.take(range(50, 400))
    model, _ = fit_few_shot(known, accuracy_of(known), torch.zeros(50))
    assert float(model.scale[3]) == 0
    assert bool(torch.isfinite(model.predict(rest, torch.zeros(350))[0]).all())


def test_five_labels_are_enough() -> None:
    model, _, rest = fitted(labels=5)
    assert bool(torch.isfinite(model.predict(rest, torch.zeros(395))[0]).all())


@pytest.mark.parametrize(
    ("accuracy", "message"),
    [
        ([0.9] * 4, "4 labelled networks: give at least 5"),
        ([0.9] * 6, "all 6 accuracies are 0.9"),
        ([0.9, 0.8, 0.7, float("nan"), 0.6, 0.5], "fractions between 0 and 1"),
        ([90.0, 80.0, 70.0, 75.0, 60.0, 50.0], "fractions between 0 and 1"),
    ],
)
def test_labels_that_cannot_be_learned(accuracy: list[float], message: str) -> None:
    known = outputs().take(range(len(accuracy)))
    with pytest.raises(InvalidInputError, match=message):
        fit_few_shot(known, torch.tensor(accuracy), torch.zeros(len(accuracy)))
