"""The Optuna objective, in real studies."""

import optuna
import pytest
from gennape_plugin.core.errors import CaptureError, GennapeError, InvalidInputError
from small_models import chain
from torch import nn

from gennape_plugin.hosts.evaluators import evaluator
from gennape_plugin.hosts.optuna import GennapeObjective

optuna.logging.set_verbosity(optuna.logging.ERROR)


def build(trial: optuna.Trial) -> object:
    return chain(trial.suggest_int("length", 1, 6))


def test_a_study_maximises_the_score() -> None:
    objective = evaluator("optuna", build=build)
    study = optuna.create_study(
        directions=objective.directions, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=6)
    best = max(study.trials, key=lambda t: t.values[0])
    assert study.best_trial.number == best.number
    graph = chain(best.params["length"])
    assert best.user_attrs["graph_hash"] == graph.hash
    assert best.user_attrs["flops"] == graph.flops
    assert best.user_attrs["params"] == graph.params


def test_several_objectives_and_limits() -> None:
    limit = chain(3).flops
    objective = GennapeObjective(build, values=("score", "flops"), max_flops=limit)
    assert objective.directions == ["maximize", "minimize"]
    sampler = optuna.samplers.NSGAIISampler(population_size=4, seed=0)
    study = optuna.create_study(directions=objective.directions, sampler=sampler)
    study.optimize(objective, n_trials=12)
    for trial in study.trials:
        assert trial.values[1] == chain(trial.params["length"]).flops
        assert (trial.constraints["flops"] <= 0) == (trial.params["length"] <= 3)
    assert all(trial.params["length"] <= 3 for trial in study.best_trials)


def test_a_network_that_cannot_be_captured_fails_its_trial_alone() -> None:
    class Raises(nn.Module):
        def forward(self, x):
            raise RuntimeError("no such layer")

    def odd(trial: optuna.Trial) -> object:
        return Raises() if trial.suggest_categorical("bad", [True, False]) else build(trial)

    objective = GennapeObjective(odd, input_shape=(3, 8, 8))
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    study.optimize(objective, n_trials=8, catch=(GennapeError,))
    states = {(t.params["bad"], t.state.name) for t in study.trials}
    assert states == {(True, "FAIL"), (False, "COMPLETE")}
    with pytest.raises(CaptureError, match="no such layer"):
        objective(optuna.trial.FixedTrial({"bad": True}))


@pytest.mark.parametrize("values", [(), ("score", "score"), ("latency",)])
def test_unknown_objectives(values) -> None:
    with pytest.raises(InvalidInputError, match="give some of score, flops, params, each once"):
        GennapeObjective(build, values=values)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_limits_that_nothing_keeps_are_refused(limit: float) -> None:
    with pytest.raises(InvalidInputError, match=r"max_params is .*: give more than 0"):
        GennapeObjective(build, max_params=limit)
