"""Regressions on a few labels: what they learn, keep and refuse."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.few_shot import FewShot, features, fit_few_shot, views
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.model_outputs import Outputs


def outputs(count: int = 400, seed: int = 0) -> Outputs:
    draw = torch.Generator().manual_seed(seed)
    table = torch.randn(count, 6, generator=draw)
    embedding, *untrained = (torch.randn(count, size, generator=draw) for size in (9, 4, 5))
    return Outputs({}, torch.zeros(count), embedding, table, tuple(untrained))


def accuracy_of(found: Outputs) -> torch.Tensor:
    x, h = found.statistics.double(), found.embedding.double()
    return 0.9 + 0.03 * torch.tanh(x[:, 0] + 0.5 * x[:, 1] * x[:, 0] + 0.5 * h[:, 2])


@cache
def fitted(labels: int = 50) -> tuple[FewShot, Outputs, Outputs]:
    found = outputs()
    known, rest = found.take(range(labels)), found.take(range(labels, 400))
    model, _ = fit_few_shot(known, accuracy_of(known), torch.zeros(labels))
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


def test_the_prediction_is_the_mean_over_views_of_regressions_on_each() -> None:
    model, known, rest = fitted()
    assert [view.shape[1] for view in views(rest)] == [15, 10, 11]
    assert torch.equal(features(rest), views(rest)[0])
    alone = []
    embeddings = [(found.embedding, *found.untrained) for found in (known, rest)]
    for here, there in zip(*embeddings, strict=True):
        one = replace(known, embedding=here, untrained=())
        single, _ = fit_few_shot(one, accuracy_of(known), torch.zeros(50))
        others = replace(rest, embedding=there, untrained=())
        alone.append(torch.log(1.005 - single.predict(others, torch.zeros(350))[0]))
    assert len(alone) == 3
    expected = 1.005 - torch.stack(alone).mean(0).exp()
    torch.testing.assert_close(
        model.predict(rest, torch.zeros(350))[0], expected, atol=1e-9, rtol=0
    )


def test_the_zero_shot_order_is_kept_where_labels_do_worse() -> None:
    found = outputs()
    known, rest = found.take(range(20)), found.take(range(20, 400))
    truth = torch.rand(400, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    size = truth**3  # a perfect order, on another scale
    model, checked = fit_few_shot(known, 0.8 + 0.1 * truth[:20], size[:20])
    assert checked.zero_shot == pytest.approx(1)
    assert checked.tuned < 1
    assert not checked.helps
    predicted = model.predict(rest, size[20:])[0]
    assert srcc(predicted, size[20:]) == pytest.approx(1)
    assert float((predicted - 0.8 - 0.1 * truth[20:]).abs().mean()) < 0.02


def test_a_line_in_the_size_prior_stands_where_the_features_say_nothing() -> None:
    found = outputs()
    size = torch.randn(400, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    y = 1.005 - torch.exp(-2.5 - 0.3 * size)
    known, rest = found.take(range(40)), found.take(range(40, 400))
    model, _ = fit_few_shot(known, y[:40], size[:40])
    torch.testing.assert_close(model.predict(rest, size[40:])[0], y[40:], atol=1e-3, rtol=0)
    # Smaller is never taken for better.
    model, _ = fit_few_shot(known, y[:40], -size[:40])
    assert float(model.line[0]) == pytest.approx(-1e-6)


def test_a_seed_fixes_everything_and_global_randomness_is_left_alone() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, second = fitted()[0], fitted.__wrapped__()[0]
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_constant_features_are_left_out() -> None:
    found = outputs()
    found.statistics[:50, 3] = 7.0  # among the labelled ones only
    known, rest = found.take(range(50)), found.take(range(50, 400))
    model, _ = fit_few_shot(known, accuracy_of(known), torch.zeros(50))
    assert [float(view.scale[3]) for view in model.views] == [0, 0, 0]
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
