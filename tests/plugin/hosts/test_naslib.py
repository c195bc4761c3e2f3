"""The NASLib predictor and zero-cost scores; inside NASLib itself wherever it can be imported."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from gennape_plugin.adapters.naslib import graph_of
from gennape_plugin.core.errors import ArchitectureError, InvalidInputError, LabelsError

from gennape_plugin import Gennape
from gennape_plugin.hosts.evaluators import evaluator
from gennape_plugin.hosts.naslib import (
    GennapePredictor,
    ZeroCostScores,
    register,
    score_encodings,
)
from gennape_plugin.hosts.remembered import estimator

RNG = random.Random(0)
ENCODINGS = [tuple(RNG.randrange(5) for _ in range(6)) for _ in range(24)]
GRAPHS = [graph_of("nasbench201", encoding) for encoding in ENCODINGS]
LABELS = [80 + 2.0 * encoding.count(2) + 0.1 * i for i, encoding in enumerate(ENCODINGS)]


def naslib(module: str) -> Any:
    """A module of NASLib; skips where it is not importable."""
    return pytest.importorskip(
        f"naslib.{module}",
        exc_type=ImportError,
        reason="NASLib is not importable: put a clone on the path (docs/hosts/naslib.md)",
    )


def test_zero_shot_is_the_score() -> None:
    predictor = evaluator("naslib", ss_type="nasbench201")
    found = predictor.query(GRAPHS)
    expected = [p.score for p in Gennape.from_pretrained().score_many(GRAPHS)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    one = GennapePredictor().query(GRAPHS[:1])
    assert isinstance(one, np.ndarray)
    assert one.shape == (1,)
    assert one[0] == pytest.approx(found[0], rel=1e-5)


def test_population_scores_use_the_population() -> None:
    predictor = GennapePredictor(scoring="population")
    found = predictor.query(GRAPHS)
    distinct = {graph.hash: graph for graph in GRAPHS}
    scores = Gennape.from_pretrained().score_population(distinct.values())
    expected = dict(zip(distinct, [p.score for p in scores], strict=True))
    np.testing.assert_allclose(found, [expected[graph.hash] for graph in GRAPHS])
    # What was scored together can be asked for one by one.
    assert predictor.query(GRAPHS[3:4])[0] == found[3]
    with pytest.raises(InvalidInputError, match="a population of one"):
        GennapePredictor(scoring="population").query(GRAPHS[:1])
    # Other networks are another population: nothing of the first one's scores is mixed in.
    fresh = GennapePredictor(scoring="population").query(GRAPHS[2:])
    predictor = GennapePredictor(scoring="population")
    predictor.query(GRAPHS[:6])
    np.testing.assert_array_equal(predictor.query(GRAPHS[2:]), fresh)
    ahead = GennapePredictor(scoring="population")
    ahead.pre_compute(GRAPHS[:4], GRAPHS[4:])
    np.testing.assert_allclose(ahead.query(GRAPHS[5:6]), found[5:6])


def test_fitted_it_predicts_percent() -> None:
    predictor = GennapePredictor()
    predictor.query(GRAPHS)
    predictor.fit(GRAPHS[:16], LABELS[:16])
    tuned = Gennape.from_pretrained().fine_tune(GRAPHS[:16], LABELS[:16])
    found = predictor.query(GRAPHS[16:])
    expected = [p.accuracy for p in tuned.score_many(GRAPHS[16:])]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert 75 < found.min() <= found.max() < 100
    assert np.corrcoef(found, LABELS[16:])[0, 1] > 0.3


def test_fits_that_cannot_learn_stay_zero_shot() -> None:
    zero_shot = GennapePredictor().query(GRAPHS)
    for predictor, count, labels in (
        (GennapePredictor(), 4, LABELS[:4]),
        (GennapePredictor(), 6, [90.0] * 6),
        (GennapePredictor(fine_tune=False), 16, LABELS[:16]),
    ):
        predictor.fit(GRAPHS[:count], labels)
        np.testing.assert_array_equal(predictor.query(GRAPHS), zero_shot)
    again = GennapePredictor()
    again.fit(GRAPHS[:16], LABELS[:16])
    assert (again.query(GRAPHS) != zero_shot).any()
    again.fit([], [])
    np.testing.assert_array_equal(again.query(GRAPHS), zero_shot)
    with pytest.raises(LabelsError):
        GennapePredictor().fit(GRAPHS[:6], [-1.0, 2, 3, 4, 5, 6])


def test_the_rest_of_the_contract() -> None:
    predictor = GennapePredictor("nasbench201", "adjacency_one_hot")
    predictor.set_ss_type("nasbench301")
    assert predictor.ss_type == "nasbench301"
    predictor.pre_process()
    reqs = predictor.get_data_reqs()
    assert not reqs["requires_partial_lc"]
    assert not reqs["unlabeled"]
    predictor.set_hyperparams({"a": 1})
    assert predictor.get_hyperparams() == {"a": 1}
    predictor.reset_hyperparams()
    assert predictor.get_hyperparams() is None
    assert not predictor.get_hpo_wrapper()
    with pytest.raises(InvalidInputError, match="scoring 'both': choose from single, population"):
        GennapePredictor(scoring="both")  # type: ignore[arg-type]


def test_zero_cost_scores_are_made_as_they_are_asked_for() -> None:
    scores = ZeroCostScores("nasbench201")
    key = str(ENCODINGS[0])
    assert len(scores) == 0
    assert key in scores
    expected = estimator("gennape-nb101").score(GRAPHS[0]).score
    assert scores[key] == {"gennape": {"score": expected}, "val_accuracy": expected}
    numpy_key = str(tuple(np.int64(n) for n in ENCODINGS[0]))
    assert numpy_key != key
    assert scores[numpy_key] is scores[key]
    assert list(scores) == [key]
    for wrong in ("", "(9, 9)", "__import__('os')", "(" * 200, "(1,", "[1, 2]", 3):
        assert wrong not in scores
    true = ZeroCostScores("nasbench201", accuracy=lambda numbers: float(sum(numbers)))
    assert true[key]["val_accuracy"] == sum(ENCODINGS[0])


def test_a_stream_of_encodings_is_scored_in_order() -> None:
    endless = itertools.chain(ENCODINGS, itertools.repeat(ENCODINGS[0]))
    found = list(itertools.islice(score_encodings("nasbench201", endless, batch_size=8), 24))
    expected = [p.score for p in Gennape.from_pretrained().score_many(GRAPHS)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(ArchitectureError, match="operation 7"):
        list(score_encodings("nasbench201", [(7,) * 6]))


# Inside NASLib.


def _config(**values: Any) -> Any:
    """A configuration of NASLib's kind."""
    naslib("search_spaces")
    from fvcore.common.config import CfgNode

    return CfgNode(values)


def _labelled(space: Any, encodings: list[tuple[int, ...]]) -> Any:
    """A labels table in NASLib's form, for the given cells."""
    module = naslib("search_spaces.nasbench201.conversions")
    return {
        "nb201_data": {
            module.convert_op_indices_to_str(list(encoding)): {
                "cifar10-valid": {
                    "eval_acc1es": [80 + 2.0 * encoding.count(2) + encoding.count(3)],
                    "train_acc1es": [99.0],
                    "cost_info": {"train_time": 1.0},
                }
            }
            for encoding in encodings
        }
    }


def test_predictor_evaluator(tmp_path) -> None:
    module = naslib("defaults.predictor_evaluator")
    config = _config(
        experiment_type="single",
        test_size=8,
        train_size_single=8,
        train_size_list=[8],
        fidelity_single=1,
        fidelity_list=[1],
        max_hpo_time=0,
        dataset="cifar10",
        uniform_random=1,
        save=str(tmp_path),
        seed=0,
    )
    runner = module.PredictorEvaluator(GennapePredictor(), config=config)
    space = naslib("search_spaces.nasbench201.graph").NasBench201SearchSpace()
    space.instantiate_model = False
    table = _labelled(space, list(itertools.product(range(5), repeat=6)))
    runner.adapt_search_space(space, load_labeled=False, dataset_api=table)
    np.random.seed(0)
    runner.evaluate()
    results = runner.results[-1]
    assert results["train_size"] == 8
    assert np.isfinite(results["kendalltau"])


@pytest.mark.parametrize("optimizer", ["Bananas", "Npenas"])
def test_optimizers_with_the_predictor_as_only_judge(optimizer: str) -> None:
    """No true accuracy is ever looked up: there is no table."""
    module = naslib(f"optimizers.discrete.{optimizer.lower()}.optimizer")
    undo = register("gennape", fine_tune=False)
    try:
        search = _config(
            epochs=14,
            k=2,
            num_init=10,
            num_ensemble=1,
            predictor_type="gennape",
            acq_fn_type="exploit_only",
            acq_fn_optimization="mutation",
            encoding_type="path",
            num_arches_to_mutate=2,
            max_mutations=1,
            num_candidates=6,
            use_zc_api=True,
            zc_names=["gennape"],
            zc=False,
        )
        config = _config(dataset="cifar10", seed=0, search=search)
        made = getattr(module, optimizer)(config, zc_api=ZeroCostScores("nasbench201"))
        space = naslib("search_spaces.nasbench201.graph").NasBench201SearchSpace()
        space.instantiate_model = False
        made.adapt_search_space(space, dataset_api=None)
        np.random.seed(0)
        for epoch in range(14):
            made.new_epoch(epoch)
        assert len(made.train_data) == 14
        assert made.get_final_architecture().get_op_indices()
    finally:
        undo()
    ensemble = naslib("predictors.ensemble").Ensemble(
        predictor_type="gennape", ss_type="nasbench201"
    )
    with pytest.raises(KeyError):
        ensemble.get_ensemble()
