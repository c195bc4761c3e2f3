"""Intervals: measured on labels, kept on the card, printed with predictions."""

import json
import random
import shutil
from pathlib import Path

import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core.errors import WeightsError
from gennape_plugin.core.weights import read_card, update_card
from small_models import write_rows

from gennape_plugin import Gennape
from gennape_plugin.calibration import LEVELS, checked_calibration
from gennape_plugin.cli import main
from gennape_plugin.label_sets import LABEL_SETS
from gennape_plugin.shipped import weights_folder


def rows(name: str, count: int, label: str, encode, top: float) -> list[dict[str, object]]:
    space, rng = family(name), random.Random(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(count)))
    return [{**encode(a), label: top * rng.uniform(0.85, 0.95)} for a in archs]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_rows(
        folder / LABEL_SETS["nasbench101"].file,
        rows(
            "nasbench101",
            1300,
            "test_acc",
            lambda a: {"hash": str(a), "matrix": a.matrix, "ops": a.ops},
            1.0,
        ),
    )
    for name, key in (("nasbench201", "arch_str"), ("nasbench_macro", "arch")):
        known = LABEL_SETS[name]
        write_rows(
            folder / known.file,
            rows(name, 250, known.target, lambda a, key=key: {key: str(a)}, 100.0),
        )
    return folder


@pytest.fixture(scope="module")
def weights(data, tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("weights") / "copy"
    shutil.copytree(weights_folder("gennape-nb101"), copy)
    assert main(["calibrate", "--data", str(data), "--weights", str(copy)]) == 0
    return copy


def test_bounds_on_the_card(weights) -> None:
    calibration = read_card(weights)["calibration"]
    for part in ("near", "far"):
        bounds = [calibration[part][f"{level}"] for level in LEVELS]
        assert all(low < high for low, high in bounds)
        assert bounds == sorted(bounds, key=lambda pair: pair[1] - pair[0])
    left_out = calibration["covered"]["0.9"]["left_out"]
    assert set(left_out) == {"nasbench201", "nasbench_macro"}
    # Labels are drawn alike for both families, so the rule can cover each from the other.
    assert min(left_out.values()) >= 0.9
    assert calibration["covered"]["0.9"]["validation_2"] > 0.7


def test_predictions_have_intervals(weights) -> None:
    estimator, space = Gennape.from_pretrained(weights), family("nasbench201")
    rng = random.Random(7)
    for prediction in estimator.score_many(space.graph(space.sample(rng)) for _ in range(20)):
        low, high = prediction.interval
        assert 0 <= low < high <= 100
        assert f"90 % interval {low:.1f} to {high:.1f} %" in str(prediction)
        assert json.loads(json.dumps(prediction.to_dict()))["interval"] == [low, high]


def test_none_without_calibration(weights, tmp_path) -> None:
    model = Gennape.from_pretrained(weights)
    card = {key: value for key, value in model.card.items() if key != "calibration"}
    space = family("nasbench201")
    prediction = Gennape(model.model, card).score(space.graph(space.sample(random.Random(0))))
    assert prediction.interval is None
    assert "interval" not in str(prediction)


def test_fine_tuning_gives_its_own(weights) -> None:
    estimator, space = Gennape.from_pretrained(weights), family("nasbench_macro")
    rng = random.Random(3)
    graphs = [space.graph(space.sample(rng)) for _ in range(150)]
    truth = [60 + 30 * graph.params / 4e6 + rng.gauss(0, 1) for graph in graphs]
    tuned = estimator.fine_tune(graphs[:50], truth[:50])
    found = tuned.score_many(graphs[50:])
    given = [(p.interval, t) for p, t in zip(found, truth[50:], strict=True) if p.interval]
    assert len(given) >= 90
    assert sum(low <= t <= high for (low, high), t in given) >= 0.8 * len(given)
    assert max(high - low for (low, high), _ in given) < 15
    for prediction in found:
        assert (prediction.interval is None) == (prediction.label_distance > 1)
    few = estimator.fine_tune(graphs[:10], truth[:10])
    assert few.score(graphs[60]).interval is None  # ten errors bound no 5 % tail


@pytest.mark.parametrize(
    "given", [3, {}, {"near": {}, "far": {}}, {"near": {"0.9": [1]}, "far": {}}, "x"]
)
def test_damaged_cards(weights, tmp_path, given) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(weights, copy)
    update_card(copy, {"calibration": given})
    with pytest.raises(WeightsError, match="'calibration' is not what"):
        checked_calibration(read_card(copy))


def test_refusals(tmp_path, capsys) -> None:
    assert main(["calibrate", "--data", str(tmp_path)]) == 2
    assert "labels of 0 development families" in capsys.readouterr().err
