import json
import random
from math import isnan

import numpy as np
import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core import metrics
from gennape_plugin.core.batch import GraphStore
from gennape_plugin.core.errors import ArchitectureError, InvalidInputError, LabelsError
from gennape_plugin.core.paper_mode import PAPER_MEMBERS, paper_score, paper_zero_shot
from small_models import labels_of, paper_description, small_model, write_rows

from gennape_plugin.evaluate import BASELINES, METRICS, evaluate
from gennape_plugin.labels import read_labels
from gennape_plugin.protocol import split_nasbench101

MEMBERS = ["cl", "cl+fcm+t", "kgnn", "segments"]
TARGET = "c10_test_acc_200ep"


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """100 NAS-Bench-201 cells with synthetic percentages, some of the cells with ``none``."""
    space, rng = family("nasbench201"), random.Random(0)
    rows = []
    for _ in range(100):
        cell = space.sample(rng)
        accuracy = 70 + space.graph(cell).flops / 1e7 + rng.gauss(0, 2)
        rows.append({"arch_str": str(cell), TARGET: min(accuracy, 99.0), "other": rng.random()})
    return write_rows(tmp_path_factory.mktemp("nb201") / "labels.jsonl", rows)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def expected_metrics(truth, predicted):
    return {
        "srcc": metrics.srcc(truth, predicted),
        "tau_b": metrics.kendall_tau_b(truth, predicted),
        "ndcg@10": metrics.ndcg_at_k(truth, predicted, k=10),
        "ndcg@50": metrics.ndcg_at_k(truth, predicted, k=50),
    }


@pytest.fixture(scope="module")
def result(cells):
    return evaluate([small_model()], cells, family_name="nasbench201", resamples=50)


class TestNASBench201:
    def graphs(self, cells, variant="benchmark", keep=lambda row: "none" not in row["arch_str"]):
        space = family("nasbench201")
        rows = [row for row in read(cells) if keep(row)]
        graphs = [space.graph(space.parse(row["arch_str"]), variant=variant) for row in rows]
        return graphs, np.array([row[TARGET] for row in rows]) / 100

    def test_what_was_evaluated(self, result, cells):
        graphs, _ = self.graphs(cells)
        assert 2 < len(graphs) < 100
        assert (result.family, result.target, result.subset) == ("nasbench201", TARGET, "no-none")
        assert (result.variant, result.items, result.seeds) == ("benchmark", len(graphs), 1)
        combined = ["ensemble", "score", "population"]
        assert list(result.results) == [*MEMBERS, *combined, *BASELINES]

    def test_members_equal_direct_calls(self, result, cells):
        graphs, truth = self.graphs(cells)
        model = small_model()
        outputs = model.predict(GraphStore.of(graphs))
        for name in MEMBERS:
            predicted = outputs.members[name].double().numpy()
            expected = {"mae": metrics.mae(truth, predicted), **expected_metrics(truth, predicted)}
            found = {metric: figures["mean"] for metric, figures in result.results[name].items()}
            assert found == pytest.approx(expected, abs=1e-6)

    def test_combinations_equal_direct_calls(self, result, cells):
        graphs, truth = self.graphs(cells)
        model = small_model()
        outputs = model.predict(GraphStore.of(graphs))
        trained = [outputs.members[name].double().numpy() for name in ("cl", "cl+fcm+t", "kgnn")]
        combined = {"ensemble": np.mean(trained, axis=0), "score": model.score(outputs).numpy()}
        for name, values in combined.items():
            found = {metric: figures["mean"] for metric, figures in result.results[name].items()}
            assert ("mae" in found) == (name == "ensemble")
            if name == "ensemble":
                assert found.pop("mae") == pytest.approx(metrics.mae(truth, values), abs=1e-5)
            assert found == pytest.approx(expected_metrics(truth, values), abs=1e-6)

    def test_the_papers_ensemble(self, cells):
        """By rank, with equal weights or, where the model was fine-tuned, its own."""
        graphs, truth = self.graphs(cells)
        model = small_model(describe=paper_description)
        outputs = model.outputs(GraphStore.of(graphs))
        weights = {name: float(i) for i, name in enumerate(PAPER_MEMBERS)}
        for expected in (paper_zero_shot(outputs), paper_score(outputs, weights)):
            found = evaluate([model], cells, family_name="nasbench201", resamples=5).results
            srcc = metrics.srcc(truth, expected.numpy())
            assert found["paper rule"]["srcc"]["mean"] == pytest.approx(srcc, abs=1e-9)
            assert "mae" not in found["paper rule"]
            for name in ("cl+pairwise", "cl+fcm+pairwise"):
                assert "mae" not in found[name]
                srcc = metrics.srcc(truth, outputs[name].double().numpy())
                assert found[name]["srcc"]["mean"] == pytest.approx(srcc, abs=1e-6)
            model.set_paper_weights(weights)

    def test_pairwise_scores_join_no_mean_of_accuracies(self, cells):
        graphs, truth = self.graphs(cells)
        model = small_model(describe=paper_description)
        model.ensemble = ("cl+t", "cl+pairwise", "flops")
        found = evaluate([model], cells, family_name="nasbench201", resamples=5).results
        predicted = model.outputs(GraphStore.of(graphs))["cl+t"].double().numpy()
        assert found["ensemble"]["mae"]["mean"] == pytest.approx(
            metrics.mae(truth, predicted), abs=1e-5
        )

    def test_baselines_equal_direct_calls(self, result, cells):
        graphs, truth = self.graphs(cells)
        sizes = {
            "FLOPs": np.array([graph.flops for graph in graphs]),
            "params": np.array([graph.params for graph in graphs]),
            "conv count": np.array(
                [sum(node.op == "conv" for node in graph.nodes) for graph in graphs]
            ),
        }
        for name, predicted in sizes.items():
            found = {metric: figures["mean"] for metric, figures in result.results[name].items()}
            assert found == pytest.approx(expected_metrics(truth, predicted))
        assert result.results["FLOPs"]["srcc"]["mean"] > 0.7  # the labels were made from them

    def test_intervals(self, result, cells):
        graphs, truth = self.graphs(cells)
        predicted = np.array([graph.flops for graph in graphs], dtype=float)
        interval = metrics.bootstrap_interval(metrics.srcc, truth, predicted, resamples=50)
        assert result.results["FLOPs"]["srcc"] == {
            "mean": interval.estimate,
            "low": interval.low,
            "high": interval.high,
        }

    def test_all_cells(self, cells):
        found = evaluate(
            [small_model()], cells, family_name="nasbench201", subset="all", resamples=10
        )
        assert found.items == 100

    def test_the_papers_network(self, cells):
        found = evaluate(
            [small_model()], cells, family_name="nasbench201", variant="paper", resamples=10
        )
        graphs, truth = self.graphs(cells, "paper")
        predicted = small_model().outputs(GraphStore.of(graphs))["cl"].double().numpy()
        assert found.variant == "paper"
        assert found.results["cl"]["mae"]["mean"] == pytest.approx(
            metrics.mae(truth, predicted), abs=1e-5
        )

    def test_another_column(self, cells):
        rows = read(cells)
        with pytest.raises(LabelsError, match="never exceeds 1, but percentages are expected"):
            evaluate([small_model()], cells, family_name="nasbench201", target="other")
        for row in rows:
            row["other"] = 100 * row["other"]
        path = write_rows(cells.with_name("other.jsonl"), rows)
        found = evaluate(
            [small_model()], path, family_name="nasbench201", target="other", resamples=10
        )
        assert found.target == "other"
        assert found.results["FLOPs"]["srcc"]["mean"] < 0.7

    def test_several_seeds(self, cells):
        models = [small_model(seed) for seed in range(3)]
        found = evaluate(models, cells, family_name="nasbench201", resamples=10)
        graphs, truth = self.graphs(cells)
        values = [
            metrics.srcc(truth, model.outputs(GraphStore.of(graphs))["cl"].double().numpy())
            for model in models
        ]
        assert found.seeds == 3
        assert found.results["cl"]["srcc"] == pytest.approx(
            {"mean": np.mean(values), "sd": np.std(values)}, abs=1e-6
        )
        assert "+-" in str(found)
        # The baselines have no seed: an interval stands beside them all the same.
        assert set(found.results["FLOPs"]["srcc"]) == {"mean", "low", "high"}

    def test_text(self, result):
        lines = str(result).splitlines()
        assert lines[0].startswith(f"nasbench201, {TARGET}, no-none: {result.items} architectures")
        assert lines[1].split() == ["MAE,", "points", *list(METRICS)[1:]]
        assert [line[:16].strip() for line in lines[2:]] == list(result.results)
        counts = next(line for line in lines if line.startswith("conv count"))
        assert counts.split()[2] == "-"  # a count has no error in points

    def test_json(self, result):
        values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert values["results"]["cl"] == result.results["cl"]
        assert list(values) == [
            "family",
            "target",
            "subset",
            "variant",
            "items",
            "rows",
            "seeds",
            "results",
        ]

    def test_undefined_metrics_are_null_in_json(self, tmp_path):
        """Four cells with equally many convolutions: their count ranks nothing."""
        arch = "|{0}~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|{1}~1|skip_connect~2|"
        pairs = [("nor_conv_3x3", "nor_conv_1x1"), ("nor_conv_1x1", "nor_conv_3x3")]
        rows = [{"arch_str": arch.format(*p), TARGET: 90.0 + i} for i, p in enumerate(pairs * 2)]
        path = write_rows(tmp_path / "labels.jsonl", rows)
        found = evaluate([small_model()], path, family_name="nasbench201", resamples=5)
        assert isnan(found.results["conv count"]["srcc"]["mean"])
        values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert values["results"]["conv count"]["srcc"]["mean"] is None

    def test_undefined_over_several_models(self, tmp_path):
        rng, space = random.Random(0), family("nasbench201")
        rows = [{"arch_str": str(space.sample(rng)), TARGET: 90.0} for _ in range(24)]
        path = write_rows(tmp_path / "labels.jsonl", rows)
        models = [small_model(), small_model(seed=1)]
        found = evaluate(models, path, family_name="nasbench201", resamples=5)
        assert isnan(found.results["population"]["srcc"]["sd"])
        assert "nan" in str(found)


class TestNASBench101:
    @pytest.mark.parametrize(
        "subset", [None, "validation_2", "validation_1", "validation_2_from_80"]
    )
    def test_subsets_are_those_of_the_protocol(self, labels, subset):
        found = evaluate(
            [small_model()], labels, family_name="nasbench101", subset=subset, resamples=5
        )
        space = family("nasbench101")
        rows = list(read_labels(labels, space))
        split = split_nasbench101(rows)
        chosen = split.validation_1 if subset == "validation_1" else split.validation_2
        if subset == "validation_2_from_80":
            chosen = [i for i in chosen if rows[i].labels["test_acc"] >= 0.8]
            assert len(chosen) < len(split.validation_2)
        truth = np.array([rows[i].labels["test_acc"] for i in chosen])
        store = GraphStore.of(space.graph(rows[i].arch) for i in chosen)
        predicted = small_model().outputs(store)["kgnn"].double().numpy()
        assert found.subset == (subset or "validation_2")
        assert found.items == len(chosen)
        assert found.results["kgnn"]["mae"]["mean"] == pytest.approx(
            metrics.mae(truth, predicted), abs=1e-4
        )

    def test_percentages(self, labels, tmp_path):
        rows = [{**row, "percent": 100 * row["test_acc"]} for row in labels_of(60)]
        path = write_rows(tmp_path / "labels.jsonl", rows)
        with pytest.raises(LabelsError, match="fractions are expected: divide by 100"):
            evaluate([small_model()], path, family_name="nasbench101", target="percent")


class TestRefusals:
    def run(self, path, name="nasbench201", **options):
        return evaluate([small_model()], path, family_name=name, **options)

    def test_family(self, cells):
        with pytest.raises(InvalidInputError, match="unknown family 'nasbench999'"):
            self.run(cells, "nasbench999")

    def test_subset(self, cells):
        with pytest.raises(InvalidInputError, match="no part 'best': choose from no-none, all"):
            self.run(cells, subset="best")

    def test_variant(self, cells):
        with pytest.raises(ArchitectureError, match="no variant 'mine': choose from benchmark"):
            self.run(cells, variant="mine")

    def test_column(self, cells):
        with pytest.raises(LabelsError, match=rf"no 'acc' .*columns are {TARGET}, other"):
            self.run(cells, target="acc")

    def test_file(self, tmp_path):
        with pytest.raises(LabelsError, match="cannot be read"):
            self.run(tmp_path / "none.jsonl")

    def test_cells_of_another_family(self, labels):
        with pytest.raises(LabelsError, match="line 1: not a NAS-Bench-201 cell"):
            self.run(labels)

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_few(self, tmp_path, cells, count):
        rows = [row for row in read(cells) if "none" not in row["arch_str"]][:count]
        with pytest.raises(LabelsError, match=f"{count} architectures to evaluate; at least 2"):
            self.run(write_rows(tmp_path / "few.jsonl", rows))

    def test_no_resamples(self, cells):
        with pytest.raises(InvalidInputError, match="resamples is 0"):
            self.run(cells, resamples=0)
