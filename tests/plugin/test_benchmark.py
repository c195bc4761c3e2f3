"""The benchmark on small pools: figures, resumption, report."""

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.metrics import srcc
from gennape_plugin.core.weights import read_card
from small_models import small_model, write_rows

from gennape_plugin import Gennape
from gennape_plugin.benchmark import BenchmarkConfig, benchmark, write_card
from gennape_plugin.benchmark.measure import LABELS, draws
from gennape_plugin.benchmark.slow import proxies
from gennape_plugin.benchmark.tasks import TASKS
from gennape_plugin.cli import main
from gennape_plugin.label_sets import LABEL_SETS
from gennape_plugin.pools import BASELINES, read_pool
from gennape_plugin.shipped import weights_folder

WEIGHTS = [weights_folder("gennape-nb101")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Labels of two families, made up: accuracy rises with parameters."""
    folder = tmp_path_factory.mktemp("data")
    for name, column, encode in (
        ("nasbench201", "c10_test_acc_200ep", lambda arch: {"arch_str": str(arch)}),
        ("nasbench_macro", "c10_test_acc_mean", lambda arch: {"arch": str(arch)}),
    ):
        space, rng = family(name), random.Random(1)
        archs = list(dict.fromkeys(space.sample(rng) for _ in range(150)))
        params = [space.graph(arch).params for arch in archs]
        rows = [
            {**encode(arch), column: 50 + 45 * size / max(params)}
            for arch, size in zip(archs, params, strict=True)
        ]
        write_rows(folder / LABEL_SETS[name].file, rows)
    return folder


CONFIG = BenchmarkConfig(seeds=(0, 1), resamples=20, only=("nb201-all", "macro", "hiaml"))


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return benchmark(data, out, WEIGHTS, config=CONFIG), out


def test_figures_are_those_of_the_metrics(data, finished) -> None:
    results, _ = finished
    figures = results["tasks"]["nb201-all"]["figures"]
    pool = read_pool(data / LABEL_SETS["nasbench201"].file, family_name="nasbench201", subset="all")
    for name in BASELINES:
        expected = srcc(pool.truth, pool.baselines[name])
        assert figures[name]["srcc"]["mean"] == pytest.approx(expected)
    assert figures["params"]["srcc"]["mean"] == pytest.approx(1)
    ours = figures["ours"]["srcc"]
    assert ours["low"] <= ours["mean"] <= ours["high"]
    assert {"GENNAPE", "ours, single", "kgnn", "cl+fcm+t", "cl+pairwise"} <= set(figures)
    tuned = results["tasks"]["macro"]["with_labels"]["ours"]
    assert tuned["srcc"]["mean"] > 0.9
    assert {"mae", "tau_b", "ndcg@10", "ndcg@50"} <= set(tuned)


def test_absent_labels_are_listed_with_the_command(finished) -> None:
    results, out = finished
    command = "gennape benchmark --data FOLDER --out FOLDER --labels hiaml=FILE"
    assert results["tasks"]["hiaml"]["absent"] == command
    assert f"HiAML: `{command}`" in (out / "report.md").read_text(encoding="utf-8")


def test_report_and_plots(finished) -> None:
    results, out = finished
    report = (out / "report.md").read_text(encoding="utf-8")
    assert json.loads((out / "results.json").read_text(encoding="utf-8")) == results
    assert "NB-201, all cells (d)" in report
    assert "## The paper's tables" in report
    for name in ("fig2-histograms", "predicted-true", "fig5-embeddings"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_done_is_not_done_again(data, finished, monkeypatch) -> None:
    results, out = finished

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("gennape_plugin.benchmark.run.read_pool", fail)
    assert benchmark(data, out, WEIGHTS, config=CONFIG) == results


def test_other_labels_are_measured_anew(data, finished, tmp_path) -> None:
    results, out = finished
    text = gzip.decompress((data / LABEL_SETS["nasbench_macro"].file).read_bytes())
    rows = [json.loads(line) for line in text.splitlines()]
    path = write_rows(
        tmp_path / "macro.jsonl",
        [{**row, "c10_test_acc_mean": 150 - row["c10_test_acc_mean"]} for row in rows],
    )
    again = benchmark(data, out, WEIGHTS, labels={"nasbench_macro": path}, config=CONFIG)
    old, new = (r["tasks"]["macro"]["figures"]["FLOPs"]["srcc"]["mean"] for r in (results, again))
    assert new == pytest.approx(-old)


def test_card(finished, data, tmp_path, capsys) -> None:
    results, _ = finished
    copy = tmp_path / "weights"
    shutil.copytree(WEIGHTS[0], copy)
    before = read_card(copy)
    write_card(results, copy)
    card = Gennape.from_pretrained(copy).card
    entry = card.pop("benchmark")["NAS-Bench-Macro"]
    assert card == {key: value for key, value in before.items() if key != "benchmark"}
    ours = results["tasks"]["macro"]["figures"]["ours"]["srcc"]["mean"]
    assert entry["zero_shot"]["ours"]["srcc"]["mean"] == pytest.approx(ours, abs=1e-4)
    assert entry["with_50_labels"]["ours"]["srcc"]["mean"] > 0.9
    assert entry["development_family"]
    assert not list(copy.glob("*.partial"))
    assert main(["info", "--weights", str(copy)]) == 0
    assert f"SRCC zero-shot {ours:.3f}, with 50 labels" in capsys.readouterr().out


def test_draws_are_the_same_for_every_method() -> None:
    (known, rest), _ = draws(90, (0, 1))
    assert len(known) == LABELS
    assert sorted(known + rest) == list(range(90))
    assert draws(90, (0, 1)) == draws(90, (0, 1))


def test_tasks_have_labels_and_names_of_their_own() -> None:
    assert {task.family for task in TASKS} == set(LABEL_SETS)
    assert len({task.name for task in TASKS}) == len(TASKS)


def test_refusals(data, tmp_path, capsys) -> None:
    with pytest.raises(InvalidInputError, match="unknown tasks x: choose from nb101"):
        benchmark(data, tmp_path, WEIGHTS, config=BenchmarkConfig(only=("x",)))
    with pytest.raises(InvalidInputError, match="unknown family 'x'"):
        benchmark(data, tmp_path, WEIGHTS, labels={"x": tmp_path})
    (tmp_path / LABEL_SETS["nasbench_macro"].file).write_text("no gzip")
    with pytest.raises(LabelsError, match="cannot be read"):
        benchmark(tmp_path, tmp_path / "out", WEIGHTS, config=BenchmarkConfig(only=("macro",)))
    arguments = ["benchmark", "--data", str(data), "--out", str(tmp_path / "o")]
    assert main([*arguments, "--labels", "hiaml"]) == 2
    assert "give FAMILY=FILE" in capsys.readouterr().err


@pytest.mark.slow
def test_proxies_of_a_pool_in_which_a_network_occurs_twice(tmp_path) -> None:
    """Records of evolutionary searches repeat networks; each counts, and is computed once."""
    space = family("nasbench201")
    archs = [
        f"|{a}~0|+|{b}~0|skip_connect~1|+|skip_connect~0|{a}~1|{b}~2|"
        for a, b in [("skip_connect", "nor_conv_1x1"), ("nor_conv_1x1", "nor_conv_3x3")]
    ]
    labels, kept = tmp_path / "labels.jsonl.gz", tmp_path / "kept.jsonl"
    rows = [(archs[0], 80.0), (archs[1], 90.0), (archs[0], 80.0)]
    write_rows(labels, [{"arch_str": a, "c10_test_acc_200ep": y} for a, y in rows])
    model = small_model()
    found = proxies(labels, space.name, kept, model)
    params = [space.graph(space.parse(arch)).params for arch in archs]
    assert params[0] < params[1]
    assert found["params"]["mean"] == pytest.approx(1)
    assert abs(found["score"]["mean"]) == pytest.approx(1)
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 2
    before = kept.read_bytes()
    assert proxies(labels, space.name, kept, model) == found
    assert kept.read_bytes() == before
