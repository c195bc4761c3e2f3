import math

import pytest
import torch
from gennape_plugin.core.graph_regressor import GraphRegressor
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.regression import RegressionConfig, fit_graph_network, fit_heads
from gennape_plugin.core.segment_network import SegmentNetwork
from gennape_plugin.core.training import seeded
from small_models import UnchangedRng, store_of

SMALL = RegressionConfig(epochs=15, hidden=32, layers=2, learning_rate=3e-3)


def examples(count=400, features=6, seed=0):
    with seeded(seed):
        h = torch.randn(count, features)
    return h, (torch.sin(h[:, 0]) + 0.5 * h[:, 1] * h[:, 2] + 0.1 * h[:, 3])


def fit(config=SMALL, memberships=None, **options):
    (h, y), (held_h, held_y) = examples(), examples(100, seed=1)
    u, held_u = (None, None) if memberships is None else memberships
    return fit_heads(h, u, y, (held_h, held_u, held_y), config=config, **options)


def assert_equal(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


class TestHeads:
    def test_they_learn_a_function(self):
        heads, fitted = fit()
        held_h, held_y = examples(100, seed=1)
        found = heads(held_h, None)
        assert (found - held_y).square().mean() < 0.2 * held_y.var()
        assert fitted.validation_srcc == pytest.approx(srcc(held_y, found.detach()))
        assert fitted.validation_srcc > 0.93
        assert not heads.training

    def test_each_head_learns_its_own_cluster(self):
        """Two clusters with opposite targets: one perceptron of each sign."""
        h, _ = examples(300)
        owner = torch.arange(300) % 2
        u = torch.nn.functional.one_hot(owner, 2).float()
        y = h[:, 0] * (1 - 2 * owner)
        heads, _ = fit_heads(h, u, y, (h, u, y), config=SMALL)
        for head, sign in enumerate((1, -1)):
            alone = torch.zeros(300, 2)
            alone[:, head] = 1
            with torch.no_grad():
                assert srcc(sign * h[:, 0], heads(h, alone)) > 0.95

    def test_the_best_epoch_is_kept(self):
        seen = []
        config = RegressionConfig(epochs=12, hidden=32, layers=2, learning_rate=0.2, cosine=False)
        heads, fitted = fit(config, progress=lambda *report: seen.append(report))
        ranks = [report[3]["srcc"] for report in seen]
        assert ranks[fitted.epoch - 1] == max(ranks) == fitted.validation_srcc
        assert fitted.epoch != 12, "the last epoch happens to be the best: choose another rate"
        held_h, held_y = examples(100, seed=1)
        with torch.no_grad():
            assert srcc(held_y, heads(held_h, None)) == max(ranks)

    def test_the_epoch_is_chosen_in_accuracy(self):
        """``decode`` may turn the order of predictions around."""
        straight, turned = [], []
        fit(progress=lambda *report: straight.append(report[3]["srcc"]))
        _, fitted = fit(decode=lambda y: -y, progress=lambda *r: turned.append(r[3]["srcc"]))
        assert turned == pytest.approx([-rank for rank in straight])
        assert fitted.epoch == turned.index(max(turned)) + 1

    def test_progress(self):
        seen = []
        fit(stage="cl", progress=lambda *report: seen.append(report))
        assert [report[:3] for report in seen] == [("cl", e, 15) for e in range(1, 16)]
        assert seen[-1][3]["mse"] < seen[0][3]["mse"] / 2

    def test_a_seed_fixes_everything(self):
        with UnchangedRng():
            first, fitted = fit(seed=4)
        torch.manual_seed(99)
        second, again = fit(seed=4)
        assert_equal(first, second)
        assert fitted == again
        other, _ = fit(seed=5)
        assert not torch.equal(other.weights[0], first.weights[0])

    def test_the_learning_rate_falls_to_zero(self):
        """Along a cosine the last epoch changes next to nothing."""
        last = []
        for cosine in (True, False):
            config = RegressionConfig(epochs=10, hidden=16, layers=1, cosine=cosine)
            seen = []
            fit(config, progress=lambda *report, seen=seen: seen.append(report[3]["srcc"]))
            last.append(abs(seen[-1] - seen[-2]))
        assert last[0] < last[1]

    def test_a_constant_validation_set_still_gives_trained_heads(self):
        h, y = examples()
        heads, fitted = fit_heads(h, None, y, (h[:9], None, torch.full((9,), 0.9)), config=SMALL)
        assert fitted.epoch >= 1
        assert math.isnan(fitted.validation_srcc)
        with torch.no_grad():
            assert srcc(y, heads(h, None)) > 0.9

    def test_the_input_is_left_alone(self):
        h, y = examples()
        before = h.clone(), y.clone()
        fit_heads(h, None, y, (h, None, y), config=SMALL)
        assert torch.equal(h, before[0])
        assert torch.equal(y, before[1])


class TestGraphRegressor:
    CONFIG = RegressionConfig(epochs=6, learning_rate=3e-3, cosine=False)

    def fit(self, count=200, make=GraphRegressor, config=CONFIG, **options):
        train, held = store_of("nasbench101", count), store_of("nasbench101", 40, 1000)
        target = torch.log10(train.gflops + 1)
        target = (target - target.mean()) / target.std()
        return fit_graph_network(make, train, target, (held, held.gflops), config=config, **options)

    def test_loss_falls_and_flops_are_learned(self):
        seen = []
        _, fitted = self.fit(progress=lambda *report: seen.append(report[3]))
        assert seen[-1]["mse"] < seen[0]["mse"] / 3
        assert fitted.validation_srcc == max(report["srcc"] for report in seen) > 0.7

    @pytest.mark.parametrize("convolution", ["gcn", "gin"])
    def test_the_other_convolutions_train(self, convolution):
        seen = []
        config = RegressionConfig(epochs=3, learning_rate=1e-3, cosine=False)
        model, _ = self.fit(
            60,
            lambda: GraphRegressor(convolution=convolution),
            config,
            progress=lambda *report: seen.append(report[3]["mse"]),
        )
        assert model.graph_layers.convolution == convolution
        assert seen[-1] < seen[0]

    def test_the_network_over_segments_trains(self):
        config = RegressionConfig(epochs=3)
        _, fitted = self.fit(100, lambda: SegmentNetwork(32, 2), config)
        assert fitted.validation_srcc > 0.7

    def test_a_seed_fixes_everything(self):
        config = RegressionConfig(epochs=1)
        with UnchangedRng():
            first, _ = self.fit(32, config=config, seed=2)
        assert_equal(first, self.fit(32, config=config, seed=2)[0])
