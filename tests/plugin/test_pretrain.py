import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from gennape_plugin.adapters.families import family
from gennape_plugin.core.encoder import EncoderConfig
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from gennape_plugin.core.metrics import mae, srcc
from gennape_plugin.core.pretraining import ContrastiveConfig
from gennape_plugin.core.regression import RegressionConfig
from small_models import UnchangedRng, graphs_of, labels_of, write_rows

from gennape_plugin import Gennape
from gennape_plugin.labels import read_labels
from gennape_plugin.pretrain import pretrain
from gennape_plugin.pretrain_config import CLUSTERED, GRID, PretrainConfig, read_config
from gennape_plugin.protocol import split_nasbench101
from gennape_plugin.ranker_training import RankerConfig

TINY = PretrainConfig(
    encoder=EncoderConfig(width=32, layers=2, heads=2, hidden=16),
    contrastive=ContrastiveConfig(epochs=2, batch_size=32, eigenvalues=8, projection=8),
    heads=RegressionConfig(epochs=3, hidden=16, layers=1),
    pairwise=RegressionConfig(epochs=3, hidden=16, layers=1),
    graph=RegressionConfig(epochs=1, learning_rate=1e-3),
    segments=RegressionConfig(epochs=1),
    grid=dict.fromkeys(CLUSTERED, ((3, 2.0), (4, 2.0))),
    grid_epochs=1,
    ranker=RankerConfig(skeletons=100, trees=10, leaves=4),
)
SHORT = replace(TINY, grid=dict.fromkeys(CLUSTERED, ((3, 2.0),)), baselines=())
MEMBERS = ["cl", "cl+t", "cl+fcm", "cl+fcm+t", "cl+pairwise", "cl+fcm+pairwise", "segments", "kgnn"]
STAGES = ["contrastive", *MEMBERS]
NOTED = [*MEMBERS, "ranker"]


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def finished(labels, tmp_path_factory):
    """A whole run: its folder, and what it reported."""
    reports, notes = [], []
    folder = tmp_path_factory.mktemp("run") / "nb101"
    with UnchangedRng():
        returned = pretrain(
            labels, folder, TINY, progress=lambda *r: reports.append(r), note=notes.append
        )
    assert returned == folder
    return folder, reports, notes


def tensors(folder):
    return Gennape.from_pretrained(folder).model.state_dict()


def assert_same_weights(first, second):
    first, second = tensors(first), tensors(second)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_stage_is_reported(finished):
    _, reports, notes = finished
    stages = [stage for stage in STAGES if any(r[0] == stage for r in reports)]
    assert stages == STAGES
    assert [r[1:3] for r in reports if r[0] == "contrastive"] == [(1, 2), (2, 2)]
    grid = {r[0] for r in reports if "C=" in r[0]}
    assert grid == {f"{m} C={c} m=2.0" for m in CLUSTERED for c in (3, 4)}
    assert notes[0] == "96 training graphs, 120 in all"
    assert [note.partition(":")[0] for note in notes[2:]] == NOTED


def test_the_weights_work(finished):
    estimator = Gennape.from_pretrained(finished[0])
    assert estimator.model.ensemble == ("segments",)
    prediction = estimator.score(graphs_of("nasbench201", 1)[0])
    assert list(prediction.members) == [*MEMBERS, "flops"]
    assert prediction.unit.startswith("mean CIFAR-10 test accuracy")


def test_the_card_says_what_was_done(finished, labels):
    card = Gennape.from_pretrained(finished[0]).card
    assert card["config"] == json.loads(json.dumps(TINY.to_dict()))
    assert card["trained_on"]["measured_rows"] == 96
    assert card["trained_on"]["estimated_rows"] == 0
    assert "validation_1" in card["protocol"]
    assert set(card["outcomes"]) == set(STAGES[1:])
    for name, outcome in card["outcomes"].items():
        assert outcome["epoch"] >= 1
        assert len(outcome.get("grid", [])) == (2 if "fcm" in name else 0)


def test_the_card_reports_the_second_validation_set(finished, labels):
    folder, _, _ = finished
    space = family("nasbench101")
    rows = list(read_labels(labels, space))
    split = split_nasbench101(rows)
    graphs = [space.graph(rows[i].arch) for i in split.validation_2]
    truth = split.accuracy[list(split.validation_2)].astype(np.float32)
    predictions = Gennape.from_pretrained(folder).score_many(graphs)
    kept = truth >= 0.8
    assert 2 < kept.sum() < len(kept)
    card = Gennape.from_pretrained(folder).card
    assert list(card["validation_2"]) == MEMBERS
    for name, results in card["validation_2"].items():
        found = np.array([p.members[name] for p in predictions]) / 100
        for part, rows_of in (("all", slice(None)), ("from_80", kept)):
            if "pairwise" in name:  # a score, and no accuracy
                assert list(results[part]) == ["srcc"]
            else:
                assert results[part]["mae"] == pytest.approx(
                    mae(truth[rows_of], found[rows_of]), rel=1e-3
                )
            assert results[part]["srcc"] == pytest.approx(
                srcc(truth[rows_of], found[rows_of]), abs=1e-3
            )


def test_heads_with_the_transform_train_on_good_cells_only(finished, labels):
    """Mean and deviation of the targets: cells from 80 % for the +T members, all for the rest."""
    rows = list(read_labels(labels, family("nasbench101")))
    split = split_nasbench101(rows)
    accuracy = split.accuracy[list(split.train)]
    assert (accuracy < 0.8).any()
    members = Gennape.from_pretrained(finished[0]).card["model"]["members"]
    assert members["cl"]["transform"]["kind"] == "standardize"
    assert members["cl"]["transform"]["mean"] == pytest.approx(accuracy.mean(), rel=1e-5)
    gflops = np.array([family("nasbench101").graph(rows[i].arch).flops / 1e9 for i in split.train])
    good = accuracy >= 0.8
    target = (accuracy / (np.log10(gflops + 1) + 1))[good]
    assert members["cl+t"]["transform"]["kind"] == "flops"
    assert members["cl+t"]["transform"]["mean"] == pytest.approx(target.mean(), rel=1e-5)
    assert members["cl+t"]["transform"]["std"] == pytest.approx(target.std(), rel=1e-4)


def test_a_finished_run_is_not_repeated(finished, labels, tmp_path):
    folder, _, _ = finished
    before = tensors(folder)
    reports = []
    pretrain(labels, folder, TINY, progress=lambda *r: reports.append(r))
    assert reports == []
    after = tensors(folder)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    "stage", ["contrastive", "cl+t", "cl+fcm C=4 m=2.0", "cl+pairwise", "kgnn"]
)
def test_a_killed_run_is_taken_up_again(finished, labels, tmp_path, stage):
    def kill(name, epoch, epochs, losses):
        if name == stage:
            raise KilledError

    with pytest.raises(KilledError):
        pretrain(labels, tmp_path, TINY, progress=kill)
    assert not (tmp_path / "card.json").exists()
    repeated = []
    pretrain(labels, tmp_path, TINY, progress=lambda *r: repeated.append(r[:2]))
    member = stage.partition(" ")[0]
    if stage == "contrastive":
        assert repeated[0] == ("contrastive", 2)
    else:
        assert repeated[0][0].partition(" ")[0] == member
        done = STAGES[: STAGES.index(member)]
        assert not {name for name, _ in repeated} & set(done)
    assert_same_weights(tmp_path, finished[0])
    assert not list(tmp_path.rglob("*.partial"))


def test_a_run_from_before_the_pairwise_classifiers_is_taken_up(finished, labels, tmp_path):
    """Only they train; settings without them belong to the same run."""
    folder = shutil.copytree(finished[0], tmp_path / "old")
    settings = json.loads((folder / "config.json").read_text())
    whole = json.dumps(settings)
    del settings["pairwise"], settings["grid"]["cl+fcm+pairwise"]
    (folder / "config.json").write_text(json.dumps(settings))
    for name in ("cl+pairwise", "cl+fcm+pairwise"):
        (folder / "members" / f"{name}.safetensors").unlink()
    reports = []
    pretrain(labels, folder, TINY, progress=lambda *r: reports.append(r[0].partition(" ")[0]))
    assert set(reports) == {"cl+pairwise", "cl+fcm+pairwise"}
    assert_same_weights(folder, finished[0])
    assert json.loads((folder / "config.json").read_text()) == json.loads(whole)


@pytest.mark.parametrize("text", ["{}", "[1]", "not JSON", '{"grid": {}, "seed": 0, "more": 1}'])
def test_settings_that_are_none(finished, labels, tmp_path, text):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(text)
    with pytest.raises(InvalidInputError, match=r"config\.json belongs to other settings"):
        pretrain(labels, folder, TINY)
    assert (folder / "config.json").read_text() == text


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"grid_epochs": 2},
        {"extra": True},
        {"pairwise": RegressionConfig(epochs=4, hidden=16, layers=1)},
        {"grid": {**TINY.grid, "cl+fcm": ((3, 2.0),)}},
    ],
)
def test_another_configuration_is_refused(finished, labels, changes):
    with pytest.raises(InvalidInputError, match=r"config\.json belongs to other settings"):
        pretrain(labels, finished[0], replace(TINY, **changes))


def test_other_labels_are_refused(finished, tmp_path):
    """The folder's members know the old ones."""
    rows = labels_of(120)
    rows[5]["test_acc"] += 0.01
    with pytest.raises(InvalidInputError, match=r"labels\.sha256 belongs to other labels"):
        pretrain(write_rows(tmp_path / "labels.jsonl", rows), finished[0], TINY)


def test_another_seed_gives_other_weights(finished, labels, tmp_path):
    config = replace(SHORT, seed=7)
    pretrain(labels, tmp_path, config)
    other = Gennape.from_pretrained(tmp_path)
    assert other.model.ensemble == ("segments",)
    name = "encoder.graph_layers.layers.0.lin_rel.weight"
    assert not torch.equal(tensors(tmp_path)[name], tensors(finished[0])[name])
    assert "grid" not in other.card["outcomes"]["cl+fcm"]


def test_half_precision(labels, tmp_path, monkeypatch):
    monkeypatch.setattr("gennape_plugin.core.weights._HALVED", 1)
    config = SHORT
    pretrain(labels, tmp_path / "half", config, half=True)
    pretrain(labels, tmp_path / "full", config)
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "full")]
    assert sizes[0] < 0.75 * sizes[1]
    graph = graphs_of("nasbench101", 1)[0]
    half, full = (Gennape.from_pretrained(tmp_path / n).score(graph) for n in ("half", "full"))
    assert half.accuracy == pytest.approx(full.accuracy, abs=0.05)


def test_settings_from_before_the_pairwise_classifiers_are_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"grid": {"cl+fcm": [[5, 1.5]], "cl+fcm+t": [[8, 2]]}}')
    config = read_config(str(path))
    assert config.grid["cl+fcm+t"] == ((8, 2.0),)
    assert config.grid["cl+fcm+pairwise"] == GRID
    assert config.pairwise.hidden == 128


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """100 rows with both accuracies, 30 with the validation accuracy only."""
    rows = labels_of(130, first=5000)
    for number, row in enumerate(rows):
        # test = 0.5 * valid + 0.4, exactly
        row["valid_acc_max"] = (row["test_acc"] - 0.4) / 0.5
        if row["valid_acc_max"] > 1:
            row["valid_acc_max"], row["test_acc"] = 0.99, 0.895
        if number >= 100:
            del row["test_acc"]
    return write_rows(tmp_path_factory.mktemp("mixed") / "labels.jsonl", rows)


class TestExtra:
    def test_rows_join_by_a_line(self, mixed, tmp_path):
        config = replace(SHORT, extra=True)
        notes = []
        pretrain(mixed, tmp_path, config, note=notes.append)
        assert notes[0] == "110 training graphs, 130 in all"
        trained_on = Gennape.from_pretrained(tmp_path).card["trained_on"]
        assert trained_on["measured_rows"] == 80
        assert trained_on["estimated_rows"] == 30
        assert trained_on["join"]["slope"] == pytest.approx(0.5, abs=1e-6)
        assert trained_on["join"]["offset"] == pytest.approx(0.4, abs=1e-6)

    def test_without_asking_they_stay_out(self, mixed, tmp_path):
        notes = []
        pretrain(mixed, tmp_path, SHORT, note=notes.append)
        assert notes[0] == "80 training graphs, 100 in all"
        assert Gennape.from_pretrained(tmp_path).card["trained_on"]["estimated_rows"] == 0


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"choose_on": "test"}, "validation_1"),
            ({"baselines": ("gat",)}, "choose from kgnn, gcn, gin"),
            ({"grid": {"cl+fcm": ((3, 2.0),)}}, r"for each of cl\+fcm, cl\+fcm\+t"),
            ({"grid": {**TINY.grid, "cl+fcm+t": ()}}, "at least one"),
        ],
    )
    def test_settings(self, changes, message):
        with pytest.raises(InvalidInputError, match=message):
            replace(TINY, **changes)

    def test_devices(self, labels, tmp_path):
        with pytest.raises(InvalidInputError, match="device 'cuda:99' cannot be used"):
            pretrain(labels, tmp_path / "run", TINY, device="cuda:99")
        assert not (tmp_path / "run").exists()

    def test_too_few_labels(self, tmp_path):
        rows = write_rows(tmp_path / "labels.jsonl", labels_of(20))
        with pytest.raises(LabelsError, match="at least 50"):
            pretrain(rows, tmp_path / "run", TINY)
        assert not (tmp_path / "run").exists()

    def test_percentages(self, tmp_path):
        rows = labels_of(60)
        for row in rows:
            row["test_acc"] *= 100
        with pytest.raises(LabelsError, match="divide percentages by 100"):
            pretrain(write_rows(tmp_path / "labels.jsonl", rows), tmp_path / "run", TINY)
