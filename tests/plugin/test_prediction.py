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
    flops=81_620_000,
    params=269_722,
    members={"cl": 93.1, "kgnn": 93.8, "flops": 0.08162},
    graph_hash="0" * 32,
)
POOR = replace(GOOD, name="a_much_longer_name", score=-0.5, accuracy=8.1, flops=950, params=12)


def test_text():
    assert str(GOOD).splitlines() == [
        "resnet20",
        "  score     +1.234  standard deviations above the average NAS-Bench-101 cell",
        "  accuracy  93.46 % +- 0.32 among members",
        "            (test accuracy after 108 epochs)",
        "  cost      81.62 MFLOPs (2 x multiply-adds), 269.7 kparameters",
        "  members   cl 93.10 %  kgnn 93.80 %  flops 0.08 GFLOPs",
    ]


def test_json():
    values = json.loads(json.dumps(GOOD.to_dict()))
    assert Prediction(**values) == GOOD
    assert list(values) == list(Prediction.__dataclass_fields__)


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
        "rank  network              score  accuracy %    +-    FLOPs   params",
        "   1  resnet20            +1.234       93.46  0.32  81.62 M  269.7 k",
        "   2  a_much_longer_name  -0.500        8.10  0.32      950       12",
    ]
    assert table([]).splitlines() == ["rank  network  score  accuracy %  +-  FLOPs  params"]
