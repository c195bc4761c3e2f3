import itertools

import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.members import PairwiseMember, member_of
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.model import GennapeModel
from gennape_plugin.core.model_description import model_of
from gennape_plugin.core.pairwise import (
    MIN_GAP,
    PairwiseHeads,
    Partners,
    fit_pairwise,
    merge_sort_ranking,
    pair_loss,
)
from gennape_plugin.core.regression import RegressionConfig
from gennape_plugin.core.training import seeded
from gennape_plugin.core.weights import load_model, save_model
from hypothesis import given
from hypothesis import strategies as st
from small_models import CARD, UnchangedRng, paper_description, small_model, store_of
from torch import nn

SMALL = RegressionConfig(epochs=12, hidden=32, layers=2, learning_rate=3e-3)
NAMES = ("cl+pairwise", "cl+fcm+pairwise")


def heads(count=1, seed=0, **sizes):
    with seeded(seed):
        return PairwiseHeads(6, heads=count, **{"hidden": 8, "layers": 2, "vector": 4, **sizes})


def inputs(count=9, clusters=1, seed=1):
    with seeded(seed):
        h, u = torch.randn(count, 6), torch.rand(count, clusters).softmax(1)
    return h, (u if clusters > 1 else None)


class TestHeads:
    def test_the_papers_sizes(self):
        made = PairwiseHeads(129)
        sizes = [tuple(weight.shape[1:]) for weight in made.heads.weights]
        assert sizes == [(129, 128), (128, 128), (128, 128), (128, 128), (128, 16)]
        assert (made.logit.in_features, made.logit.out_features) == (32, 1)

    @pytest.mark.parametrize("clusters", [1, 3])
    def test_vectors_equal_separate_perceptrons(self, clusters):
        made = heads(clusters)
        h, u = inputs(clusters=clusters)
        total = torch.zeros(9, 4)
        for head in range(clusters):
            x = h
            for depth in range(3):
                linear = nn.Linear(*made.heads.weights[depth].shape[1:])
                linear.weight.data = made.heads.weights[depth][head].detach().T
                linear.bias.data = made.heads.biases[depth][head, 0].detach()
                x = linear(x) if depth == 2 else torch.relu(linear(x))
            total = total + (x if u is None else x * u[:, head : head + 1])
        torch.testing.assert_close(made.heads.vectors(h, u), total)

    @given(st.integers(0, 2**31), st.sampled_from([1, 3]))
    def test_the_logit_is_a_difference_of_scores_and_antisymmetric(self, seed, clusters):
        made = heads(clusters, seed=seed % 97)
        (a, u), (b, v) = inputs(clusters=clusters, seed=seed), inputs(clusters=clusters, seed=~seed)
        g, k = made.heads.vectors(a, u), made.heads.vectors(b, v)
        logit = made.pair_logit(g, k)
        assert torch.equal(logit, -made.pair_logit(k, g))
        torch.testing.assert_close(logit, made(a, u) - made(b, v), atol=1e-5, rtol=1e-4)
        assert torch.equal(made.pair_logit(g, g), torch.zeros(9))

    def test_several_heads_need_memberships(self):
        with pytest.raises(InvalidInputError, match="3 heads need memberships"):
            heads(3)(inputs()[0], None)

    @pytest.mark.parametrize("sizes", [{"vector": 0}, {"hidden": 0}, {"layers": 0}, {"count": 0}])
    def test_impossible_sizes(self, sizes):
        with pytest.raises(InvalidInputError, match="at least 1"):
            heads(**sizes)


class TestMergeSort:
    @given(st.lists(st.integers(-20, 20)))
    def test_it_sorts_stably(self, values):
        ranking = merge_sort_ranking(lambda a, b: values[a] - values[b], len(values))
        assert ranking == sorted(range(len(values)), key=lambda i: -values[i])

    @given(st.integers(0, 2**31), st.integers(1, 40))
    def test_with_a_classifier_it_is_the_order_of_scores(self, seed, count):
        """The paper's ranking, which compares pairs, against ours, which sorts scores."""
        made = heads(3)
        h, u = inputs(count, clusters=3, seed=seed)
        with torch.no_grad():
            g, scores = made.heads.vectors(h, u).double(), made.double()(h.double(), u.double())
            logits = made.pair_logit(g.repeat_interleave(count, 0), g.repeat(count, 1))
        ranking = merge_sort_ranking(lambda a, b: float(logits[a * count + b]), count)
        # Scores that agree to the rounding may come in either order.
        torch.testing.assert_close(scores[ranking], scores.sort(descending=True)[0])

    def test_it_compares_little(self):
        asked = []
        merge_sort_ranking(lambda a, b: asked.append((a, b)) or float(b - a), 1024)
        assert len(asked) <= 1024 * 10

    def test_a_circle_has_no_order(self):
        """Why antisymmetry alone is not enough: the result depends on the start."""
        beats = {(0, 1), (1, 2), (2, 0)}
        found = set()
        for start in itertools.permutations(range(3)):
            ranking = merge_sort_ranking(
                lambda a, b, s=start: 1.0 if (s[a], s[b]) in beats else -1.0, 3
            )
            found.add(tuple(start[i] for i in ranking))
        assert len(found) > 1


class TestPartners:
    @given(st.lists(st.integers(0, 12), min_size=2, max_size=40).filter(lambda v: len(set(v)) > 1))
    def test_they_differ_by_more_than_the_gap(self, steps):
        """Steps of half a gap: neighbours and next neighbours are too close."""
        accuracy = 0.5 + torch.tensor(steps).double() * MIN_GAP * 0.55
        wanted = [
            {j for j in range(len(steps)) if abs(accuracy[i] - accuracy[j]) > MIN_GAP}
            for i in range(len(steps))
        ]
        if not any(wanted):
            with pytest.raises(InvalidInputError, match="no two of"):
                Partners(accuracy)
            return
        partners, met = Partners(accuracy), [set() for _ in steps]
        with seeded(0):
            for _ in range(40):
                assert partners.rows.tolist() == [i for i, some in enumerate(wanted) if some]
                others = partners.draw(partners.rows)
                for row, other in zip(partners.rows.tolist(), others.tolist(), strict=True):
                    met[row].add(other)
        assert all(seen <= allowed for seen, allowed in zip(met, wanted, strict=True))
        for seen, allowed in zip(met, wanted, strict=True):
            assert len(seen) >= min(len(allowed), 2)

    def test_every_partner_is_as_likely(self):
        partners = Partners(torch.tensor([0.1, 0.2, 0.2, 0.3, 0.4]))
        with seeded(3):
            others = partners.draw(torch.full((8000,), 1))
        counts = torch.bincount(others, minlength=5).tolist()
        assert counts[1] == counts[2] == 0
        assert all(count == pytest.approx(8000 / 3, rel=0.1) for count in counts[:1] + counts[3:])


class TestLoss:
    def test_both_orders_are_one(self):
        first, second = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 0.5])
        better = torch.tensor([1.0, 0.0])
        torch.testing.assert_close(
            pair_loss(first, second, better), pair_loss(second, first, 1 - better)
        )
        expected = -torch.log(torch.sigmoid(torch.tensor([-0.7, 2.5]))).mean()
        torch.testing.assert_close(pair_loss(first, second, better), expected)


def fit(config=SMALL, clusters=1, **options):
    h, u = inputs(400, clusters)
    held, v = inputs(100, clusters, seed=2)
    order = lambda x: 0.9 + 0.01 * (torch.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2])  # noqa: E731
    made, fitted = fit_pairwise(h, u, order(h), (held, v, order(held)), config=config, **options)
    with torch.no_grad():
        return made, fitted, srcc(order(held), made(held, v))


class TestTraining:
    @pytest.mark.parametrize("clusters", [1, 3])
    def test_it_learns_an_order(self, clusters):
        seen = []
        _, fitted, rank = fit(clusters=clusters, progress=lambda *r: seen.append(r), stage="pair")
        assert rank == fitted.validation_srcc > 0.9
        assert [report[:3] for report in seen] == [("pair", e, 12) for e in range(1, 13)]
        assert rank == max(report[3]["srcc"] for report in seen)
        assert seen[-1][3]["bce"] < seen[0][3]["bce"] / 2

    def test_a_seed_fixes_everything(self):
        config = RegressionConfig(epochs=2, hidden=16, layers=1)
        with UnchangedRng():
            first = fit(config, seed=4)[0].state_dict()
        torch.manual_seed(99)
        second, other = fit(config, seed=4)[0].state_dict(), fit(config, seed=5)[0].state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert not torch.equal(first["logit.weight"], other["logit.weight"])

    def test_graphs_without_a_partner_are_passed_over(self):
        """Of four, the two in the middle are too close to all others."""
        accuracy = torch.tensor([0.5, 0.50004, 0.50008, 0.50012])
        h, _ = inputs(4)
        config = RegressionConfig(epochs=20, batch_size=1, hidden=8, layers=1)
        made, _ = fit_pairwise(h, None, accuracy, (h, None, accuracy), config=config)
        assert all(bool(tensor.isfinite().all()) for tensor in made.state_dict().values())

    @pytest.mark.parametrize("accuracy", [[0.9] * 5, [0.9, 0.90005, 0.9, 0.9, 0.9], []])
    def test_nothing_to_compare(self, accuracy):
        h, _ = inputs(len(accuracy))
        with pytest.raises(InvalidInputError, match="no two of"):
            fit_pairwise(
                h, None, torch.tensor(accuracy), (h, None, torch.tensor(accuracy)), config=SMALL
            )


@pytest.fixture(scope="module")
def model():
    return small_model(describe=paper_description)


class TestMember:
    def test_it_predicts_no_accuracy(self, model):
        assert model.orders == ("cl+pairwise", "cl+fcm+pairwise", "flops")
        assert not PairwiseMember.predicts_accuracy

    def test_it_scores_from_the_embedding(self, model):
        store = store_of("nasbench201", 5)
        found = model.predict(store)
        for name in NAMES:
            member = model.members[name]
            u = None if member.partition is None else member.partition(found.embedding)
            with torch.no_grad():
                expected = member.heads(found.embedding, u)
            torch.testing.assert_close(found.members[name], expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("batch_size", [1, 3])
    def test_batches_do_not_matter(self, model, batch_size):
        store = store_of("nasbench101", 7, 50)
        expected, found = model.outputs(store), model.outputs(store, batch_size=batch_size)
        for name in NAMES:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)

    def test_round_trip(self, model, tmp_path):
        save_model(model, tmp_path, CARD)
        again, _ = load_model(tmp_path)
        assert again.describe() == model.describe()
        store = store_of("nasbench201", 4)
        expected, found = model.outputs(store), again.outputs(store)
        assert all(torch.equal(found[name], expected[name]) for name in expected)

    @pytest.mark.parametrize(
        "changes",
        [
            {"vector": 0},
            {"vector": "many"},
            {"hidden": -1},
            {"layers": 0},
            {"partition": {"clusters": 0, "fuzzifier": 2}},
            {"partition": {}},
        ],
    )
    def test_not_a_member(self, changes):
        described = paper_description()["members"]["cl+pairwise"]
        with pytest.raises(InvalidInputError):
            member_of({**described, **changes})
        with pytest.raises(InvalidInputError):
            member_of({k: v for k, v in described.items() if k not in changes})

    def test_it_reads_the_encoders_embedding(self, model):
        described = paper_description()
        members = {n: dict(d) for n, d in described["members"].items()}
        members["cl+pairwise"]["features"] = 66
        with pytest.raises(InvalidInputError, match="'cl\\+pairwise' reads 66 features"):
            model_of({**described, "members": members})

    def test_an_ensemble_needs_an_accuracy(self, model):
        with pytest.raises(InvalidInputError, match="no member that predicts an accuracy"):
            GennapeModel(model.encoder, dict(model.members.items()), ("cl+pairwise", "flops"))
