import json
from dataclasses import FrozenInstanceError, replace

import pytest

from gennape_plugin.prediction import Prediction, engineering, table

GOOD = Prediction(
    name="resnet20",
    score=1.2345,
    accuracy=93.456,
    accuracy_std=0.321,
    dataset="CIFAR-10",
    unit="test accuracy after 108 epochs",
    basis="members",
    flops=81_620_000,
    params=269_722,
    members={"cl": 93.1, "kgnn": 93.8, "flops": 0.08162},
    distance=0.5,
    graph_hash="0" * 32,
)
POOR = replace(GOOD, name="a_much_longer_name", score=-0.5, accuracy=8.1, flops=950, params=12)


def test_text():
    assert str(GOOD).splitlines() == [
        "resnet20",
        "  score     +1.234  standard deviations above the average NAS-Bench-101 cell",
        "            (of predicted accuracy)",
        "  accuracy  93.46 % +- 0.32 among members",
        "            (test accuracy after 108 epochs)",
        "  distance  0.50  (99 % of the training graphs stay below 1)",
        "  cost      81.62 MFLOPs (2 x multiply-adds), 269.7 kparameters",
        "  members   cl 93.10 %  kgnn 93.80 %  flops 0.08 GFLOPs",
    ]


def test_far_from_training_it_says_so():
    far = replace(GOOD, distance=3.0, basis="size")
    assert GOOD.familiar
    assert not far.familiar
    assert "of size and depth alone" in str(far)
    assert "93.46 %, extrapolated: do not rely on it" in str(far)
    assert "?" in table([far]).splitlines()[1]


def test_what_a_score_is_made_of():
    assert "among the networks given together" in str(replace(GOOD, basis="population"))
    tuned = replace(GOOD, basis="labels", distance=3.0, label_distance=0.5)
    assert tuned.familiar
    assert "from the labels of fine-tuning" in str(tuned)
    assert "93.46 % +- 0.32\n" in str(tuned)
    assert "0.50 from the labelled networks" in str(tuned)
    assert "?" not in table([tuned])
    away = replace(tuned, distance=0.5, label_distance=1.5)
    assert not away.familiar
    assert "93.46 %, extrapolated: do not rely on it" in str(away)
    assert "?" in table([away]).splitlines()[1]


def test_notes_stand_below():
    noted = replace(GOOD, notes=("one thing", "and another"))
    assert str(noted) == f"{GOOD}\n  note      one thing\n  note      and another"


def test_json():
    noted = replace(GOOD, notes=("3 GFLOPs, trained on 2",))
    values = json.loads(json.dumps(noted.to_dict()))
    assert (
        Prediction(**{**values, "notes": tuple(values["notes"]), "orders": tuple(values["orders"])})
        == noted
    )
    assert list(values) == list(Prediction.__dataclass_fields__)
    values |= {name: tuple(values[name]) for name in ("notes", "orders")}
    assert Prediction(**values) == noted


def test_frozen():
    with pytest.raises(FrozenInstanceError):
        GOOD.score = 2.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 "),
        (999, "999 "),
        (1000, "1 k"),
        (81_620_000, "81.62 M"),
        (1_234_567, "1.235 M"),
        (11.72e9, "11.72 G"),
        (3e12, "3 T"),
    ],
)
def test_engineering(value, text):
    assert engineering(value) == text


def test_table():
    lines = table([GOOD, POOR]).splitlines()
    assert lines == [
        "rank  network              score  accuracy %    +-  distance    FLOPs   params",
        "   1  resnet20            +1.234       93.46  0.32      0.50  81.62 M  269.7 k",
        "   2  a_much_longer_name  -0.500        8.10  0.32      0.50      950       12",
    ]
    assert table([]).splitlines() == [
        "rank  network  score  accuracy %  +-  distance  FLOPs  params"
    ]
