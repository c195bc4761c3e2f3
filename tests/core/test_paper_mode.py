import math

import numpy as np
import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError, WeightsError
from gennape_plugin.core.metrics import kendall_tau_b
from gennape_plugin.core.model_description import model_of
from gennape_plugin.core.paper_mode import (
    PAPER_MEMBERS,
    normalised_ranks,
    paper_score,
    paper_weights,
    paper_zero_shot,
)
from gennape_plugin.core.weights import load_model, save_model
from hypothesis import given
from hypothesis import strategies as st
from small_models import CARD, paper_description, small_model

floats = st.floats(-1e3, 1e3, width=32)


def outputs_of(seed=0, count=30):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, generator=generator) for name in PAPER_MEMBERS}


class TestRanks:
    @given(st.lists(floats, min_size=1, max_size=40))
    def test_definition(self, values):
        """Half a rank below the number of graphs that are no better, ties in the middle."""
        x = torch.tensor(values)
        below = (x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1) - 1) / 2
        torch.testing.assert_close(normalised_ranks(x), (below.double() + 0.5) / len(values))

    def test_examples(self):
        assert normalised_ranks(torch.tensor([3.0])).tolist() == [0.5]
        assert normalised_ranks(torch.tensor([2.0, 9.0])).tolist() == [0.25, 0.75]
        assert normalised_ranks(torch.tensor([1.0, 1.0, 7.0, 1.0])).tolist() == [
            0.375,
            0.375,
            0.875,
            0.375,
        ]

    @pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
    def test_nothing_to_rank(self, values):
        with pytest.raises(InvalidInputError, match="at least one is needed, and all must be fin"):
            normalised_ranks(torch.tensor(values))


class TestScore:
    def test_zero_shot_is_the_mean_of_ranks(self):
        outputs = outputs_of()
        expected = np.mean([normalised_ranks(values).numpy() for values in outputs.values()], 0)
        np.testing.assert_allclose(paper_zero_shot(outputs).numpy(), expected)

    @given(st.integers(0, 999), st.floats(0.01, 100))
    def test_scales_do_not_matter(self, seed, factor):
        outputs = outputs_of(seed)
        scaled = {name: values.double().exp() * factor for name, values in outputs.items()}
        torch.testing.assert_close(paper_zero_shot(scaled), paper_zero_shot(outputs))

    @given(st.integers(0, 999), st.permutations(range(12)))
    def test_the_order_of_graphs_does_not_matter(self, seed, order):
        outputs = outputs_of(seed, 12)
        moved = {name: values[list(order)] for name, values in outputs.items()}
        torch.testing.assert_close(paper_zero_shot(moved), paper_zero_shot(outputs)[list(order)])

    def test_other_members_do_not_count(self):
        outputs = outputs_of()
        more = {"cl": torch.arange(30.0), **outputs}
        assert torch.equal(paper_zero_shot(more), paper_zero_shot(outputs))

    def test_weights(self):
        outputs = outputs_of()
        only = dict.fromkeys(PAPER_MEMBERS, 0.0) | {"kgnn": 3.0}
        torch.testing.assert_close(
            paper_score(outputs, only), normalised_ranks(outputs["kgnn"]), rtol=1e-12, atol=0
        )
        two = paper_score(outputs, {"kgnn": 1.0, "cl+t": 3.0})
        parts = normalised_ranks(outputs["kgnn"]), normalised_ranks(outputs["cl+t"])
        torch.testing.assert_close(two, 0.25 * parts[0] + 0.75 * parts[1])

    @pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
    def test_impossible_weights(self, weight):
        with pytest.raises(InvalidInputError, match="finite ones from 0 up"):
            paper_score(outputs_of(), {"kgnn": weight, "cl+t": 1.5})
        with pytest.raises(InvalidInputError, match="not all 0"):
            paper_score(outputs_of(), {"kgnn": 0.0})

    @pytest.mark.parametrize("missing", PAPER_MEMBERS)
    def test_all_six_are_needed(self, missing):
        outputs = {name: values for name, values in outputs_of().items() if name != missing}
        with pytest.raises(InvalidInputError, match="needs "):
            paper_zero_shot(outputs)
        with pytest.raises(InvalidInputError, match="needs the outputs of "):
            paper_weights(outputs, torch.arange(30.0))


class TestWeights:
    def test_softmax_of_tau(self):
        outputs = outputs_of()
        accuracy = outputs["cl+t"] + 0.3 * outputs["kgnn"]
        taus = torch.tensor([kendall_tau_b(accuracy, values) for values in outputs.values()])
        found = paper_weights(outputs, accuracy)
        assert list(found) == list(PAPER_MEMBERS)
        assert list(found.values()) == pytest.approx(taus.softmax(0).tolist(), rel=1e-5)
        assert max(found, key=found.get) == "cl+t"

    def test_a_constant_member_has_tau_zero(self):
        accuracy = torch.arange(30.0)
        outputs = dict.fromkeys(PAPER_MEMBERS, accuracy) | {"kgnn": torch.ones(30)}
        found = paper_weights(outputs, accuracy)
        assert found["kgnn"] == pytest.approx(1 / (1 + 5 * math.e))

    @pytest.mark.parametrize("accuracy", [torch.ones(30), torch.ones(1), torch.ones(0)])
    def test_no_two_accuracies(self, accuracy):
        with pytest.raises(InvalidInputError, match="no two different accuracies"):
            paper_weights(outputs_of(count=len(accuracy)), accuracy)


class TestOnModels:
    @pytest.fixture
    def model(self):
        return small_model(describe=paper_description)

    def test_a_model_keeps_them(self, model, tmp_path):
        assert model.fine_tuned_weights is None
        assert "paper_members" not in model.describe()
        weights = {name: (i + 1) / 21 for i, name in enumerate(PAPER_MEMBERS)}
        model.set_paper_weights(weights)
        save_model(model, tmp_path, CARD)
        again, _ = load_model(tmp_path)
        assert again.fine_tuned_weights == pytest.approx(weights)
        assert list(again.fine_tuned_weights) == list(PAPER_MEMBERS)
        assert again.describe() == model.describe()

    def test_without_them_there_is_no_tensor(self, model, tmp_path):
        save_model(model, tmp_path, CARD)
        assert load_model(tmp_path)[0].fine_tuned_weights is None
        assert "paper_weights" not in model.state_dict()

    def test_unknown_members(self, model):
        for weights in ({"cl": 1.0}, {}):
            with pytest.raises(InvalidInputError, match="give them for some of"):
                model.set_paper_weights(weights)

    @pytest.mark.parametrize("names", ["kgnn", ["nobody"], [["kgnn"]], 3, ["kgnn", "kgnn", 1]])
    def test_descriptions(self, names):
        with pytest.raises(InvalidInputError):
            model_of(paper_description(paper_members=names))

    def test_a_card_that_hides_them(self, model, tmp_path):
        model.set_paper_weights({"kgnn": 1.0})
        save_model(model, tmp_path, CARD)
        card = (tmp_path / "card.json").read_text()
        (tmp_path / "card.json").write_text(card.replace('"paper_members"', '"others"'))
        with pytest.raises(WeightsError, match="paper_weights"):
            load_model(tmp_path)
