import copy

import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.metrics import kendall_tau_b
from gennape_plugin.core.paper_mode import PAPER_MEMBERS, paper_weights
from gennape_plugin.core.paper_tuning import fine_tune_paper
from gennape_plugin.core.training import seeded
from gennape_plugin.core.weights import load_model, save_model
from small_models import CARD, UnchangedRng, paper_description, small_model, store_of

TRAINED = tuple(name for name in PAPER_MEMBERS if name != "flops")
ROWS = list(range(1, 25, 2))


@pytest.fixture(scope="module")
def model():
    return small_model(describe=paper_description)


@pytest.fixture(scope="module")
def store():
    return store_of("nasbench201", 30)


@pytest.fixture(scope="module")
def accuracy(store):
    """The fewer FLOPs the better, far from what an untrained +T head says."""
    return 0.95 - 0.2 * store.gflops[ROWS] / store.gflops.max()


def tune(model, store, accuracy, rows=ROWS, **options):
    return fine_tune_paper(model, store, rows, accuracy, **{"seed": 0, "epochs": 3, **options})


def state(model, name=""):
    prefix = f"members.{name}." if name else ""
    return {k: t for k, t in model.state_dict().items() if k.startswith(prefix)}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class TestWhatChanges:
    def test_members_and_nothing_else(self, model, store, accuracy):
        before = copy.deepcopy(model.state_dict())
        with UnchangedRng():
            tuned = tune(model, store, accuracy)
        assert equal(before, model.state_dict())
        assert not tuned.training
        assert all(parameter.grad is None for parameter in model.parameters())
        for name, tensor in before.items():
            member = name.split(".")[1] if name.startswith("members.") else ""
            # Clusters, references, embedding space and encoder are no weights of a member.
            learned = name in dict(tuned.named_parameters()) and member in TRAINED
            changed = not torch.equal(tensor, tuned.state_dict()[name])
            assert changed <= learned
        for name in TRAINED:
            assert not equal(state(model, name), state(tuned, name))

    def test_every_weight_of_a_member(self, model, store, accuracy):
        """All layers move, not the last one only; k-GNN end to end."""
        tuned = tune(model, store, accuracy)
        for name, parameter in tuned.members["cl+fcm+pairwise"].named_parameters():
            assert not torch.equal(parameter, model.members["cl+fcm+pairwise"].state_dict()[name])
        before = model.members["kgnn"].state_dict()
        for name, parameter in tuned.members["kgnn"].named_parameters():
            assert not torch.equal(parameter, before[name]), name

    def test_chosen_members_only(self, model, store, accuracy):
        tuned = tune(model, store, accuracy, names=["cl+t", "flops"])
        changed = [name for name in TRAINED if not equal(state(model, name), state(tuned, name))]
        assert changed == ["cl+t"]

    def test_members_do_not_influence_each_other(self, model, store, accuracy):
        together, alone = tune(model, store, accuracy), tune(model, store, accuracy, names=["kgnn"])
        assert equal(state(together, "kgnn"), state(alone, "kgnn"))

    def test_frozen_weights_are_tuned_all_the_same(self, model, store, accuracy):
        frozen = copy.deepcopy(model).requires_grad_(False)
        assert equal(state(tune(frozen, store, accuracy)), state(tune(model, store, accuracy)))
        assert not any(parameter.requires_grad for parameter in frozen.parameters())


class TestRepeating:
    def test_a_seed_fixes_everything(self, model, store, accuracy):
        first = tune(model, store, accuracy, seed=3)
        torch.manual_seed(99)
        assert equal(state(first), state(tune(model, store, accuracy, seed=3)))
        other = tune(model, store, accuracy, seed=4)
        for name in TRAINED:
            assert not equal(state(first, name), state(other, name))

    def test_other_graphs_of_the_store_do_not_matter(self, model, store, accuracy):
        alone = tune(model, store.take(ROWS), accuracy, rows=range(len(ROWS)))
        assert equal(state(alone), state(tune(model, store, accuracy)))

    def test_round_trip(self, model, store, accuracy, tmp_path):
        tuned = tune(model, store, accuracy)
        save_model(tuned, tmp_path, CARD)
        again, _ = load_model(tmp_path)
        assert equal(state(tuned), state(again))
        assert again.fine_tuned_weights == tuned.fine_tuned_weights


class TestLearning:
    @pytest.mark.parametrize("name", TRAINED)
    def test_it_learns_the_order(self, model, store, accuracy, name):
        """One member after the other, longer than the paper: these are tiny and random."""
        seen = []
        tuned = tune(
            model,
            store,
            accuracy,
            names=[name],
            epochs=100 if name == "kgnn" else 200,
            progress=lambda *report: seen.append(report),
        )
        before = kendall_tau_b(accuracy, model.outputs(store)[name][ROWS])
        after = kendall_tau_b(accuracy, tuned.outputs(store)[name][ROWS])
        assert after > max(before, 0.6)
        assert seen[-1][3]["loss"] < seen[0][3]["loss"]
        assert {report[0] for report in seen} == {name}

    def test_updates_are_as_many_for_pairs(self, model, store, accuracy):
        """12 graphs in 11 epochs: 132 updates; 66 pairs, hence two passes."""
        seen = []
        tune(model, store, accuracy, epochs=11, progress=lambda *report: seen.append(report[:3]))
        passes = {name: [r for r in seen if r[0] == name] for name in TRAINED}
        assert {name: len(reports) for name, reports in passes.items()} == {
            "cl+fcm+t": 11,
            "cl+t": 11,
            "cl+pairwise": 2,
            "cl+fcm+pairwise": 2,
            "kgnn": 11,
        }
        assert passes["cl+pairwise"] == [("cl+pairwise", 1, 2), ("cl+pairwise", 2, 2)]

    def test_one_step_by_hand(self, model, store):
        """The first update of CL+T: Adam's first step is the learning rate against the sign."""
        rows, accuracy = [0, 5], torch.tensor([0.9, 0.5])
        tuned = tune(model, store, accuracy, rows=rows, epochs=1, names=["cl+t"])
        by_hand = copy.deepcopy(model).members["cl+t"]
        optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-4)
        found = model.predict(store)
        target = by_hand.transform.forward(accuracy, store.gflops[rows])
        with seeded(0, 1):
            order = torch.randperm(2).tolist()
        for i in order:
            y = by_hand.heads(found.embedding[rows[i] : rows[i] + 1], None)
            optimizer.zero_grad()
            (y - target[i]).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 5.0)
            optimizer.step()
        for name, tensor in by_hand.state_dict().items():
            torch.testing.assert_close(
                tuned.members["cl+t"].state_dict()[name], tensor, rtol=1e-4, atol=1e-6
            )


class TestWeights:
    def test_they_are_those_of_the_tuned_members(self, model, store, accuracy):
        tuned = tune(model, store, accuracy)
        outputs = tuned.outputs(store.take(ROWS))
        expected = paper_weights(outputs, accuracy)
        assert tuned.fine_tuned_weights == pytest.approx(expected, abs=1e-6)
        assert model.fine_tuned_weights is None

    def test_none_without_all_six_members(self, store, accuracy):
        four = small_model()
        tuned = tune(four, store, accuracy)
        assert tuned.fine_tuned_weights is None
        assert equal(state(four, "cl"), state(tuned, "cl"))  # not one of the paper's six
        named = tune(four, store, accuracy, names=["cl"])
        assert not equal(state(four, "cl"), state(named, "cl"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"rows": ROWS[1:]}, "11 rows and 12 accuracies"),
            ({"rows": [*ROWS[1:], 30]}, "do not exist among 30"),
            ({"rows": [*ROWS[1:], -1]}, "do not exist among 30"),
            ({"rows": [*ROWS[1:], ROWS[1]]}, "repeat"),
            ({"names": ["cl"]}, "no member cl"),
            ({"epochs": 0}, "0 epochs"),
        ],
    )
    def test_arguments(self, model, store, accuracy, changes, message):
        with pytest.raises(InvalidInputError, match=message), UnchangedRng():
            tune(model, store, accuracy, **changes)

    @pytest.mark.parametrize("factor", [100, -1, float("nan")])
    def test_no_fractions(self, model, store, accuracy, factor):
        with pytest.raises(InvalidInputError, match="divide percents by 100"):
            tune(model, store, accuracy * factor)

    @pytest.mark.parametrize("values", [[], [0.9], [0.9, 0.9], [0.9, 0.90009]])
    def test_nothing_to_learn(self, model, store, values):
        with pytest.raises(InvalidInputError, match="nothing to learn an order from"):
            tune(model, store, torch.tensor(values), rows=range(len(values)))
