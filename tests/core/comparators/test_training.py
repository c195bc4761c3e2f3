import math
from dataclasses import replace

import pytest
import torch
from gennape_plugin.core.comparators.bananas import BANANAS_CONFIG, fit_bananas
from gennape_plugin.core.comparators.npn import NPN_CONFIG, Npn, fit_npn
from gennape_plugin.core.comparators.tnasp import TNASP_CONFIG, fit_tnasp
from gennape_plugin.core.comparators.training import ComparatorConfig, train
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.training import seeded, silent

FITS = {
    "npn": (fit_npn, NPN_CONFIG),
    "bananas": (fit_bananas, BANANAS_CONFIG),
    "tnasp": (fit_tnasp, TNASP_CONFIG),
}
FITTING = pytest.mark.parametrize(("fit", "config"), FITS.values(), ids=FITS)


@FITTING
def test_accuracies_must_match_the_cells(examples, fit, config):
    cells, accuracy = examples(20)
    with pytest.raises(InvalidInputError, match="20 training cells but 19 accuracies"):
        fit(cells, accuracy[:-1], examples(10))
    with pytest.raises(InvalidInputError, match="20 validation cells but 10 accuracies"):
        fit(cells, accuracy, (cells, accuracy[:10]))


@FITTING
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.1, 91.3])
def test_accuracies_are_fractions(examples, fit, config, wrong):
    cells, accuracy = examples(20)
    spoilt = accuracy.clone()
    spoilt[7] = wrong
    with pytest.raises(InvalidInputError, match=r"training accuracies outside \[0, 1\]"):
        fit(cells, spoilt, examples(10))
    with pytest.raises(InvalidInputError, match=r"validation accuracies outside \[0, 1\]"):
        fit(cells, accuracy, (cells, spoilt))


@pytest.mark.parametrize("fit", [fit_npn, fit_tnasp])
def test_accuracies_must_vary_to_be_standardised(examples, fit):
    cells, accuracy = examples(20)
    with pytest.raises(InvalidInputError, match="do not vary"):
        fit(cells, torch.full_like(accuracy, 0.9), examples(10))


@FITTING
def test_a_constant_validation_set_still_gives_a_trained_model(examples, fit, config):
    cells, accuracy = examples(20)
    _, fitted = fit(
        *examples(20), (cells, torch.full_like(accuracy, 0.9)), config=replace(config, epochs=2)
    )
    assert fitted.epoch >= 1
    assert math.isnan(fitted.validation_srcc)


def test_predictions_are_accuracies(examples):
    """Without training: the mean and deviation of the training accuracies around the output."""
    with seeded(0):
        model = Npn()
    cells, accuracy = examples(30)
    target = model.standardize(accuracy)
    assert float(target.mean()) == pytest.approx(0, abs=1e-5)
    assert float(target.std(correction=0)) == pytest.approx(1, abs=1e-5)
    expected = model.eval()(cells) * accuracy.std(correction=0) + accuracy.mean()
    assert torch.allclose(model.predict(cells), expected, atol=1e-6)


@pytest.mark.parametrize("orders", [1, 3])
def test_every_order_takes_every_row_once(examples, orders):
    model, seen = Npn(width=4, layers=1), []

    def loss_of(rows):
        seen.append(rows)
        return sum(p.square().sum() for p in model.parameters())

    config = ComparatorConfig(epochs=2, batch_size=8, learning_rate=1e-3)
    train(
        model, 20, loss_of, examples(10), config, seed=0, stage="x", progress=silent, orders=orders
    )
    assert [tuple(rows.shape) for rows in seen] == [(8, orders), (8, orders), (4, orders)] * 2
    columns = [torch.cat(seen[first : first + 3])[:, k] for first in (0, 3) for k in range(orders)]
    assert all(sorted(column.tolist()) == list(range(20)) for column in columns)
    assert len({tuple(column.tolist()) for column in columns}) == 2 * orders


def test_the_learning_rate_falls_to_zero(examples):
    """Weights hardly move in the last step along a cosine, as much as ever without."""
    moved = []
    for cosine in (True, False):
        with seeded(0):
            model = Npn(width=4, layers=1)
        weights = []

        def loss_of(rows, model=model, weights=weights):
            weights.append(model.head[0].weight.detach().clone())
            return sum(p.sum() for p in model.parameters())

        config = ComparatorConfig(epochs=10, batch_size=20, learning_rate=0.1, cosine=cosine)
        train(model, 20, loss_of, examples(10), config, seed=0, stage="x", progress=silent)
        moved.append(float((weights[-1] - weights[-2]).abs().max()))
    assert moved[0] < 0.15 * moved[1]


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": math.nan}],
)
def test_settings_are_checked(changes):
    with pytest.raises(InvalidInputError, match="start at 1"):
        replace(NPN_CONFIG, **changes)
