import json

import numpy as np
import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core.errors import InvalidInputError, LabelsError
from small_models import UnchangedRng, labels_of, write_rows

from gennape_plugin.comparators import COMPARATORS, table3_comparators
from gennape_plugin.labels import read_labels
from gennape_plugin.protocol import split_nasbench101


@pytest.fixture(scope="module")
def result(labels):
    reports, notes = [], []
    with UnchangedRng():
        found = table3_comparators(
            labels,
            seeds=(0, 5),
            epochs=2,
            progress=lambda *report: reports.append(report),
            note=notes.append,
        )
    return found, reports, notes


def without_times(found):
    return {n: [{**r, "seconds": None} for r in runs] for n, runs in found["runs"].items()}


def test_every_comparator_and_seed_is_trained(result):
    found, reports, notes = result
    assert list(found["runs"]) == list(COMPARATORS)
    for runs in found["runs"].values():
        assert [run["seed"] for run in runs] == [0, 5]
        assert all(run["epoch"] in (1, 2) for run in runs)
        for part in ("from_80", "all"):
            first, second = (run["validation_2"][part] for run in runs)
            assert first["mae"] > 0
            assert -1 <= first["srcc"] <= 1
            assert first != second
    assert [report[:3] for report in reports] == [
        (name, epoch, 2) for name in COMPARATORS for _ in range(2) for epoch in (1, 2)
    ]
    assert [note.partition(":")[0] for note in notes] == [n for n in COMPARATORS for _ in range(2)]


def test_the_result_is_plain_json(result):
    assert json.loads(json.dumps(result[0], allow_nan=False)) == result[0]


def test_the_split_is_the_members_own(result, labels):
    rows = list(read_labels(labels, family("nasbench101")))
    split = split_nasbench101(rows)

    def kept(part):
        return int((split.accuracy[list(part)] >= 0.8).sum())

    assert kept(split.train) < len(split.train)
    assert result[0]["protocol"] == {
        "measured_rows": kept(split.train),
        "pruned_below": 0.8,
        "epochs_chosen_on": "validation_1",
        "validation_1_rows": kept(split.validation_1),
        "validation_2_rows": len(split.validation_2),
        "validation_2_rows_from_80": kept(split.validation_2),
    }


def test_without_pruning_every_cell_trains(labels):
    found = table3_comparators(labels, seeds=(0,), names=("bananas",), epochs=1, pruned=False)
    assert found["protocol"]["measured_rows"] == 96
    assert found["protocol"]["pruned_below"] is None
    assert found["protocol"]["validation_1_rows"] == 12
    assert list(found["runs"]) == ["bananas"]


def test_loaded_rows_do_as_well(result, labels):
    rows = list(read_labels(labels, family("nasbench101")))
    found = table3_comparators(rows, seeds=(5,), epochs=2)
    expected = {name: runs[1:] for name, runs in without_times(result[0]).items()}
    assert without_times(found) == expected


def test_the_second_validation_set_decides_nothing(result, labels):
    """Other labels there change the figures, but neither epochs nor models."""
    rows = list(read_labels(labels, family("nasbench101")))
    second = split_nasbench101(rows).validation_2
    for i in second:
        rows[i].labels["test_acc"] = 0.85 + 0.1 * ((i * 7919) % 13) / 13
    found = table3_comparators(rows, seeds=(0,), names=("npn",), epochs=2)
    expected = result[0]["runs"]["npn"][0]
    run = found["runs"]["npn"][0]
    for name in ("epoch", "validation_1_srcc"):
        assert run[name] == expected[name]
    assert run["validation_2"] != expected["validation_2"]


@pytest.mark.parametrize("options", [{"names": ("knn",)}, {"seeds": ()}, {"seeds": (-1,)}])
def test_bad_options(labels, options):
    with pytest.raises(InvalidInputError, match="choose from npn, bananas, tnasp"):
        table3_comparators(labels, **options)


def test_nothing_above_the_cut(tmp_path):
    rows = labels_of(60)
    for row in rows:
        row["test_acc"] -= 0.5
    with pytest.raises(LabelsError, match="no cell of a set reaches 80%"):
        table3_comparators(write_rows(tmp_path / "labels.jsonl", rows), epochs=1)


@pytest.mark.slow
@pytest.mark.data
def test_a_short_run_on_the_real_labels(data_dir):
    """Two epochs over a tenth of the labels rank cells already, far from what all of it gives."""
    path = data_dir / "nasbench101.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name} in {data_dir}")
    rows = [r for r in read_labels(path, family("nasbench101")) if "test_acc" in r.labels]
    found = table3_comparators(rows[::10], seeds=(0,), epochs=3)
    for name, runs in found["runs"].items():
        figures = runs[0]["validation_2"]["from_80"]
        assert figures["srcc"] > 0.4, name
        assert figures["mae"] < 3, name
    assert np.isclose(found["protocol"]["validation_2_rows"], 155, atol=1)
