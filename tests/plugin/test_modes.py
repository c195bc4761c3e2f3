"""Population scores and fine-tuning, as a person calls them."""

import random
from typing import Any

import pytest
import torch
from gennape_plugin.core.effective import effective
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.metrics import srcc as srcc_of
from small_models import UnchangedRng, graphs_of

from gennape_plugin import Gennape
from gennape_plugin.hooks import hookimpl, plugins

CELLS = graphs_of("nasbench201", 40)


def srcc(true: list[float], predicted: list[float]) -> float:
    return srcc_of(torch.tensor(true), torch.tensor(predicted))


def accuracies(count: int = 40) -> list[float]:
    """Made up, but a fact of the graphs: more convolutions are better."""
    return [60 + 30 * (1 - 1 / (1 + effective(graph).params / 3e5)) for graph in CELLS[:count]]


@pytest.fixture(scope="module")
def estimator() -> Gennape:
    return Gennape.from_pretrained()


class TestPopulation:
    def test_it_depends_on_the_others_and_single_scores_do_not(self, estimator: Gennape) -> None:
        many = estimator.score_population(CELLS)
        few = estimator.score_population(CELLS[:10])
        assert [p.basis for p in many] == ["population"] * 40
        assert [p.score for p in many[:10]] != [p.score for p in few]
        alone = [estimator.score(graph).score for graph in CELLS[:3]]
        assert alone == pytest.approx([p.score for p in estimator.score_many(CELLS)[:3]], abs=1e-4)

    def test_order_of_the_list_does_not_matter(self, estimator: Gennape) -> None:
        order = random.Random(0).sample(range(40), 40)
        scores = [p.score for p in estimator.score_population(CELLS)]
        moved = [p.score for p in estimator.score_population([CELLS[i] for i in order])]
        assert moved == pytest.approx([scores[i] for i in order])

    def test_ranking(self, estimator: Gennape) -> None:
        ranked = estimator.rank_population(CELLS)
        assert [p.score for p in ranked] == sorted((p.score for p in ranked), reverse=True)

    def test_the_papers_mode_has_six_members(self, estimator: Gennape) -> None:
        scores = [p.score for p in estimator.score_population(CELLS, mode="paper")]
        assert all(0 < score < 1 for score in scores)
        assert scores != [p.score for p in estimator.score_population(CELLS)]

    def test_graphs_are_kept_for_observers_only(self, estimator: Gennape) -> None:
        named = [(graph.name, graph) for graph in CELLS[:4]]
        assert [n.graph for n in estimator.read(named).networks] == [None] * 4
        seen: list[Any] = []

        class Observer:
            @hookimpl
            def gennape_scored(self, graphs: Any) -> None:
                seen.extend(graphs)

        observer = Observer()
        plugins().register(observer)
        try:
            estimator.score_population(CELLS[:4])
        finally:
            plugins().unregister(observer)
        assert seen == list(CELLS[:4])

    def test_refusals(self, estimator: Gennape) -> None:
        with pytest.raises(InvalidInputError, match="empty population"):
            estimator.score_population([])
        with pytest.raises(InvalidInputError, match="unknown mode 'ours': choose from default"):
            estimator.score_population(CELLS, mode="ours")  # type: ignore[arg-type]


class TestFineTuning:
    def test_it_learns_and_leaves_the_estimator_alone(self, estimator: Gennape) -> None:
        before = {k: v.clone() for k, v in estimator.model.state_dict().items()}
        with UnchangedRng():
            tuned = estimator.fine_tune(CELLS[:25], accuracies(25), dataset="made up")
        after = estimator.model.state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
        found = [tuned.score(graph) for graph in CELLS[25:]]
        assert srcc([p.accuracy for p in found], accuracies()[25:]) > 0.85
        kept = tuned.card["fine_tuned"]["kept_zero_shot_order"]
        assert {p.basis for p in found} == {"size" if kept else "labels"}
        assert {p.dataset for p in found} == {"made up"}
        assert tuned.card["fine_tuned"]["labels"] == 25

    def test_saved_and_loaded(self, estimator: Gennape, tmp_path) -> None:
        tuned = estimator.fine_tune(CELLS[:20], accuracies(20))
        tuned.save(tmp_path)
        again = Gennape.from_pretrained(tmp_path)
        assert [again.score(g) for g in CELLS[20:24]] == [tuned.score(g) for g in CELLS[20:24]]
        assert again.card["fine_tuned"] == tuned.card["fine_tuned"]

    def test_a_seed_fixes_it(self, estimator: Gennape) -> None:
        one, two = (estimator.fine_tune(CELLS[:20], accuracies(20), seed=1) for _ in range(2))
        assert one.score(CELLS[30]) == two.score(CELLS[30])

    def test_tuning_again_starts_from_the_pretrained_weights(self, estimator: Gennape) -> None:
        once = estimator.fine_tune(CELLS[:20], accuracies(20))
        twice = once.fine_tune(CELLS[:20], accuracies(20))
        assert twice.score(CELLS[30]) == once.score(CELLS[30])

    def test_labels_that_agree_with_zero_shot_change_no_order(self, estimator: Gennape) -> None:
        zero = [p.score for p in estimator.score_many(CELLS)]
        tuned = estimator.fine_tune(CELLS[:20], [80 + score for score in zero[:20]])
        facts = tuned.card["fine_tuned"]
        assert facts["kept_zero_shot_order"]
        assert facts["zero_shot_srcc"] > facts["cross_validated_srcc"]
        assert [p.score for p in tuned.score_many(CELLS)] == pytest.approx(zero, abs=1e-4)
        population = [p.score for p in estimator.score_population(CELLS)]
        assert [p.score for p in tuned.score_population(CELLS)] == pytest.approx(population)

    def test_fractions_when_said(self, estimator: Gennape) -> None:
        percent = estimator.fine_tune(CELLS[:20], accuracies(20))
        fractions = estimator.fine_tune(
            CELLS[:20], [a / 100 for a in accuracies(20)], fractions=True
        )
        one, two = percent.score(CELLS[30]).accuracy, fractions.score(CELLS[30]).accuracy
        assert one == pytest.approx(two, abs=1e-6)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([90.0] * 4, "4 labelled networks: give at least 5"),
            ([90.0] * 6, "all 6 accuracies are 90: there is no order"),
            ([0.9, 0.8, 0.7, 0.6, 0.5], "no value above 1 .* say so with fractions=True"),
            ([90.0, 80.0, float("nan"), 70.0, 60.0], "accuracy 2 is nan"),
            ([90.0, 80.0, 101.0, 70.0, 60.0], "accuracy 2 is 101: give numbers from 0 to 100"),
            ([90.0, "many", 1.0, 2.0, 3.0], "accuracies are numbers"),
        ],
    )
    def test_labels_that_cannot_be_learned(self, estimator, values, message) -> None:
        with pytest.raises(LabelsError, match=message):
            estimator.fine_tune(CELLS[: len(values)], values)

    def test_as_many_labels_as_networks(self, estimator: Gennape) -> None:
        with pytest.raises(LabelsError, match="6 networks and 5 accuracies"):
            estimator.fine_tune(CELLS[:6], accuracies(5))


@pytest.mark.slow
def test_the_papers_protocol(estimator: Gennape, tmp_path) -> None:
    tuned = estimator.fine_tune(CELLS[:8], accuracies(8), mode="paper")
    tuned.save(tmp_path)
    again = Gennape.from_pretrained(tmp_path)
    weights = again.model.fine_tuned_weights
    assert weights is not None
    assert sum(weights.values()) == pytest.approx(1)
    ranked = again.score_population(CELLS, mode="paper")
    # Regressions of an earlier tuning would speak of its labels, under this one's name.
    both = estimator.fine_tune(CELLS[8:20], accuracies()[8:20]).fine_tune(
        CELLS[:8], accuracies(8), mode="paper"
    )
    assert both.model.few_shot is None
    assert both.score(CELLS[30]).unit == estimator.score(CELLS[30]).unit
    zero_shot = estimator.score_population(CELLS, mode="paper")
    assert srcc([p.score for p in ranked[8:]], accuracies()[8:]) > srcc(
        [p.score for p in zero_shot[8:]], accuracies()[8:]
    )
