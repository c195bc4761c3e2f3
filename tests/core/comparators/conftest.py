import random
from functools import cache

import pytest
import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.comparators.cells import CellTensors


@cache
def sampled(count, first=0):
    space = family("nasbench101")
    return tuple(space.sample(random.Random(seed)) for seed in range(first, first + count))


@pytest.fixture(scope="session")
def archs():
    """``archs(count, first=0)``: sampled cells of every size, the same ones at every call."""
    return sampled


@pytest.fixture(scope="session")
def examples():
    """``examples(count, first=0)``: tensors, and accuracies that follow simply from the cell."""

    def make(count, first=0):
        cells = CellTensors.of((arch.matrix, arch.ops) for arch in sampled(count, first))
        convolutions = cells.operations[:, :, 1].sum(dim=1)
        direct = cells.adjacency[:, 0].sum(dim=1)
        return cells, 0.80 + 0.02 * convolutions + 0.01 * direct

    return make


def reordered(cells, order):
    """The same cells with their vertices, padding included, in another order."""
    order = torch.as_tensor(order)
    return CellTensors(cells.adjacency[:, order][:, :, order], cells.operations[:, order])


@pytest.fixture(scope="session")
def reorder():
    return reordered


@pytest.fixture
def check_training(examples):
    """Checks that every comparator's ``fit_*`` has to pass."""
    from gennape_plugin.core.metrics import srcc
    from small_models import UnchangedRng

    def check(fit, config, *, best):
        train, held = examples(300), examples(100, 1000)
        before = [t.clone() for t in (train[0].adjacency, train[0].operations, train[1])]
        seen = []
        with UnchangedRng():
            model, fitted = fit(*train, held, config=config, progress=lambda *r: seen.append(r))
        ranks = [report[3]["srcc"] for report in seen]
        predicted = model.predict(held[0])
        # The target is learned, and the epoch that ranks best is the one that is kept.
        assert seen[-1][3]["loss"] < 0.5 * seen[0][3]["loss"]
        assert fitted.validation_srcc == max(ranks) == ranks[fitted.epoch - 1] > best
        assert srcc(held[1], predicted) == pytest.approx(fitted.validation_srcc, abs=1e-6)
        assert (predicted - held[1]).abs().mean() < 0.5 * (held[1] - held[1].mean()).abs().mean()
        assert not model.training
        assert [report[:3] for report in seen] == [
            (seen[0][0], epoch, config.epochs) for epoch in range(1, config.epochs + 1)
        ]
        # The input is left alone.
        after = (train[0].adjacency, train[0].operations, train[1])
        assert all(torch.equal(b, a) for b, a in zip(before, after, strict=True))

    return check


@pytest.fixture
def check_seed(examples):
    """Checks that a seed fixes a training, whatever the global state, and that seeds differ."""

    def check(fit, config):
        train, held = examples(40), examples(20, 1000)
        states = []
        for seed, before in ((3, 0), (3, 99), (4, 0)):
            torch.manual_seed(before)
            model, fitted = fit(*train, held, config=config, seed=seed)
            states.append((model.state_dict(), fitted))
        (first, a), (second, b), (other, _) = states
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert a == b
        assert not all(torch.equal(first[name], other[name]) for name in first)

    return check
