"""Real searches of NNI that GENNAPE scores, in this process."""

import importlib.util
import json
import subprocess
import sys
from importlib import metadata
from typing import Any

import nni
import nni.nas.hub.pytorch as hub
import pytest
import torch
from gennape_plugin.core.errors import CaptureError, InvalidInputError, LabelsError, WeightsError
from nni.mutable.exception import SampleValidationError
from nni.nas.evaluator import Evaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.nn.pytorch import LayerChoice, ModelSpace
from nni.nas.profiler import Profiler
from nni.nas.space import ModelStatus, SimplifiedModelSpace
from nni.nas.strategy import Random, RegularizedEvolution
from nni.nas.strategy.middleware import Chain, FailureHandler, Filter
from nni_spaces import drawn
from torch import nn

from gennape_plugin import Gennape
from gennape_plugin.architectures import to_graph
from gennape_plugin.hooks import hookimpl, plugins
from gennape_plugin.hosts import nni as host
from gennape_plugin.hosts import remembered
from gennape_plugin.hosts.evaluators import evaluator
from gennape_plugin.hosts.nni import GennapeEvaluator, GennapeProfiler, fine_tune

SHAPE = (3, 16, 16)


def small() -> ModelSpace:
    return hub.NasBench201(stem_out_channels=4, num_modules_per_stack=1)


class Fragile(ModelSpace):
    """Half of its models cannot run."""

    def __init__(self) -> None:
        super().__init__()
        kernels = [nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 1), nn.Conv2d(5, 4, 1), nn.Conv2d(5, 4, 3)]
        self.conv = LayerChoice(kernels, label="conv")
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).relu().mean((2, 3)))


def searched(space: ModelSpace, by: Evaluator, strategy: Any, models: int, **engine: Any) -> Any:
    """The models that a search tried, in order."""
    executed = SequentialExecutionEngine(max_model_count=models, **engine)
    strategy(SimplifiedModelSpace.from_model(space, by), executed)
    return list(executed.list_models())


@pytest.fixture
def scored():
    """Counts what is scored, as any observer can."""

    class Observer:
        def __init__(self) -> None:
            self.graphs: list[str] = []

        @hookimpl
        def gennape_scored(self, graphs):
            self.graphs.extend(graph.hash for graph in graphs)

    remembered.forget()
    observer = Observer()
    plugins().register(observer)
    yield observer.graphs
    plugins().unregister(observer)
    remembered.forget()


@pytest.mark.parametrize("strategy", [Random, RegularizedEvolution])
def test_a_search_reports_the_score_of_each_model(strategy, weights) -> None:
    options = {"seed": 0}
    if strategy is RegularizedEvolution:
        options |= {"population_size": 4, "sample_size": 2}
    made = strategy(**options)
    models = searched(small(), GennapeEvaluator(str(weights)), made, 8)
    assert [model.status for model in models] == [ModelStatus.Trained] * 8
    est = Gennape.from_pretrained(weights)
    for model in models[:3]:
        captured = est.score(model.executable_model(), input_shape=(3, 32, 32))
        assert model.metric == pytest.approx(captured.score, abs=1e-5)
    best = next(iter(made.list_models(limit=1)))
    assert best.metric == max(model.metric for model in models)


def test_an_experiment_without_a_manager(weights, tmp_path) -> None:
    config = NasExperimentConfig("sequential", "simplified")
    config.max_trial_number = 5
    config.experiment_working_directory = str(tmp_path)
    experiment = NasExperiment(small(), GennapeEvaluator(str(weights)), Random(seed=1), config)
    experiment.run()
    best = experiment.export_top_models(5)
    assert len(best) == 5
    metrics = [model.metric for model in best]
    assert metrics == sorted(metrics, reverse=True)
    assert all(type(metric) is float for metric in metrics)
    experiment.stop()


def test_equal_networks_are_scored_once(weights, scored) -> None:
    by = GennapeEvaluator(str(weights))
    frozen = drawn(SimplifiedModelSpace.from_model(small(), by), 0)
    assert frozen.execute() == frozen.execute()
    module = GennapeEvaluator(str(weights), input_shape=(3, 32, 32))
    assert module.evaluate(frozen.executable_model()) == by.evaluate(frozen)
    assert len(scored) == 1


def test_a_module_given_by_hand(weights, monkeypatch) -> None:
    monkeypatch.setattr(nni.trial, "_params", None)  # NNI keeps the last search's parameters
    space = small()
    frozen = drawn(SimplifiedModelSpace.from_model(space), 0)
    by = GennapeEvaluator(str(weights), input_shape=(3, 32, 32))
    expected = Gennape.from_pretrained(weights).score(frozen).score
    assert by.evaluate(space.freeze(frozen.sample)) == pytest.approx(expected)
    with by.mock_runtime(frozen):
        assert by.evaluate(frozen.executable_model()) == pytest.approx(expected)


def test_a_constraint_on_flops(weights) -> None:
    space = small()
    flops = GennapeProfiler(space, "flops")
    limit = 2e6
    strategy = Chain(
        Random(seed=0), Filter(lambda model: flops.profile(model.sample) <= limit, patience=100)
    )
    models = searched(space, GennapeEvaluator(str(weights)), strategy, 6)
    assert len(models) == 6
    assert all(to_graph(model).flops <= limit for model in models)
    everything = list(strategy.list_models(sort=False))
    refused = [model for model in everything if model.status == ModelStatus.Invalid]
    assert refused
    assert all(to_graph(model).flops > limit for model in refused)


def test_a_model_that_cannot_be_scored_fails_its_trial(weights) -> None:
    by = GennapeEvaluator(str(weights), input_shape=SHAPE)
    with pytest.raises(CaptureError, match="forward of Fragile failed"):
        searched(Fragile(), by, Random(seed=0), 4)
    models = searched(Fragile(), by, Random(seed=0), 4, continue_on_failure=True)
    status = {model.sample["conv"]: model.status.value for model in models}
    assert status == {0: "trained", 1: "trained", 2: "failed", 3: "failed"}
    handled = Chain(Random(seed=0), FailureHandler(metric=-99.0))
    searched(Fragile(), by, handled, 4, continue_on_failure=True)
    metrics = {model.sample["conv"]: model.metric for model in handled.list_models(sort=False)}
    assert metrics[2] == metrics[3] == -99.0
    assert min(metrics[0], metrics[1]) > -99.0


def test_a_metric_in_the_place_of_a_failure(weights) -> None:
    by = GennapeEvaluator(str(weights), input_shape=SHAPE, on_error=-50)
    with pytest.warns(RuntimeWarning, match=r"not scored, its metric is -50\.0: forward of Fragi"):
        models = searched(Fragile(), by, Random(seed=0), 4)
    metrics = {model.sample["conv"]: model.metric for model in models}
    assert metrics[2] == metrics[3] == -50.0
    assert min(metrics[0], metrics[1]) > -50.0


def test_arguments_travel_to_trials(weights) -> None:
    by = GennapeEvaluator(str(weights), input_shape=(3, 32, 32), on_error=-1.0)
    text = nni.dump(by)
    assert len(text) < 400
    loaded = nni.load(text)
    assert isinstance(loaded, GennapeEvaluator)
    assert (loaded.weights, tuple(loaded.input_shape), loaded.on_error) == (
        str(weights),
        (3, 32, 32),
        -1.0,
    )
    # What a trial of the manager does.
    frozen = drawn(SimplifiedModelSpace.from_model(small(), by), 0)
    assert nni.load(nni.dump(frozen)).execute() == frozen.execute()
    assert "weights=" in repr(by)


def test_weights_are_checked(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=rf"absolute path.*{tmp_path}/runs/tuned"):
        GennapeEvaluator("runs/tuned")
    absent = str(tmp_path / "absent")
    with pytest.warns(RuntimeWarning, match="this machine has no such folder"):
        by = GennapeEvaluator(absent, on_error=0.0)
    with pytest.raises(WeightsError, match=r"absent.*on the machine that it runs on"):
        by.evaluate(drawn(SimplifiedModelSpace.from_model(small()), 0))


@pytest.mark.parametrize("metric", [True, "0", float("nan"), float("inf")])
def test_on_error_is_a_number(metric) -> None:
    with pytest.raises(InvalidInputError, match="on_error"):
        GennapeEvaluator(on_error=metric)


def test_an_evaluator_that_trials_cannot_import() -> None:
    class Own(GennapeEvaluator):
        pass

    Own.__module__ = "__main__"
    with pytest.warns(RuntimeWarning, match=r"Own is defined in the program.*into a module"):
        Own()


def test_a_profiler_of_a_hub_space(weights) -> None:
    space = small()
    frozen = drawn(SimplifiedModelSpace.from_model(space), 0)
    graph = to_graph(frozen.executable_model(), (3, 32, 32))
    sample = dict(frozen.sample)
    assert isinstance(GennapeProfiler(space), Profiler)
    assert GennapeProfiler(space, "flops").profile(sample) == graph.flops
    assert GennapeProfiler(space, "params").profile(sample) == graph.params
    expected = Gennape.from_pretrained(weights).score(frozen).score
    scores = GennapeProfiler(SimplifiedModelSpace.from_model(space), weights=str(weights))
    assert scores.profile(sample) == pytest.approx(expected)
    assert sample == frozen.sample


def test_a_profiler_of_ones_own_space() -> None:
    flops = GennapeProfiler(Fragile(), "flops", input_shape=SHAPE)
    # 14 x 14 positions of 3 x 3 x 3 x 4 multiply-adds, and the linear layer.
    assert flops.profile({"conv": 0}) == 2 * (14 * 14 * 108 + 8)
    with pytest.raises(SampleValidationError, match="conv"):
        flops.profile({})
    with pytest.raises(InvalidInputError, match="quantity 'latency': give one of score, flops"):
        GennapeProfiler(Fragile(), "latency")


def test_fine_tuning_by_trained_models(weights, tmp_path) -> None:
    class Trained(Evaluator):
        """Stands for an evaluator that trains: accuracies in percent."""

        def _execute(self, model: Any) -> None:
            ops = list(model.sample.values())
            nni.report_final_result(60.0 + 5 * ops.count("conv_3x3") + ops.count("conv_1x1"))

    models = searched(small(), Trained(), Random(seed=0), 12)
    untried = drawn(SimplifiedModelSpace.from_model(small()), 99)
    tuned = fine_tune([*models, untried], str(weights))
    assert tuned.card["fine_tuned"]["labels"] == 12
    pairs = [(model, model.metric / 100) for model in models]
    again = fine_tune(pairs, str(weights), fractions=True)
    assert again.score(untried).accuracy == pytest.approx(tuned.score(untried).accuracy, abs=1e-3)
    tuned.save(tmp_path / "tuned")
    by = GennapeEvaluator(str(tmp_path / "tuned"))
    assert by.evaluate(untried) == pytest.approx(tuned.score(untried).score, abs=1e-5)


def test_what_fine_tuning_refuses(weights) -> None:
    frozen = drawn(SimplifiedModelSpace.from_model(small()), 0)
    with pytest.raises(LabelsError, match="3 models with metrics: fine-tuning needs 5"):
        fine_tune([(frozen, 90.0)] * 3 + [frozen] * 4, str(weights))
    with pytest.raises(LabelsError, match="metric is 'high': fine-tuning needs one number"):
        fine_tune([(frozen, "high")] * 6, str(weights))
    with pytest.raises(InvalidInputError, match="dict where a model with its metric"):
        fine_tune([{"metric": 1.0}], str(weights))
    # NNI's dictionaries of metrics, and fractions where percent are expected.
    with pytest.raises(LabelsError, match="fraction"):
        fine_tune([(frozen, {"default": 0.9 + i / 100}) for i in range(6)], str(weights))


def test_by_name(weights) -> None:
    made = evaluator("nni", weights=str(weights), input_shape=SHAPE)
    assert isinstance(made, GennapeEvaluator)
    with pytest.raises(InvalidInputError, match="colour"):
        evaluator("nni", colour="red")


def test_another_release_is_a_warning(monkeypatch) -> None:
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "3.9" if name == "nni" else version(name))
    spec = importlib.util.spec_from_file_location("gennape_plugin.hosts.again", host.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.warns(RuntimeWarning, match=r"NNI 3\.9 is installed.*tested with 3\.0"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.slow  # another process, which imports torch
def test_without_nni() -> None:
    code = """
import json, sys
import gennape_plugin
from gennape_plugin.architectures import to_graph
from gennape_plugin.hosts.evaluators import evaluator
from torch import nn
to_graph(nn.Conv2d(3, 4, 1), (3, 8, 8))
imported = "nni" in sys.modules
sys.modules["nni"] = None
try:
    evaluator("nni")
except gennape_plugin.core.errors.InvalidInputError as error:
    print(json.dumps([imported, str(error)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    imported, message = json.loads(done.stdout)
    assert not imported
    assert "NNI 3.0 cannot be imported" in message
    assert "pip install 'gennape-plugin[nni]'" in message
