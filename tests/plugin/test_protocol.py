import random
from pathlib import Path

import numpy as np
import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core.errors import LabelsError

from gennape_plugin.labels import Labelled, read_labels
from gennape_plugin.protocol import PRUNE_BELOW, split_nasbench101


def made_rows(tests: int = 300, both: int = 200, valid: int = 100, seed: int = 0) -> list[Labelled]:
    """``test = 0.9 * valid + 0.05`` wherever a row has both."""
    rng = random.Random(seed)
    rows = []
    for i in range(tests + both + valid):
        accuracy = rng.uniform(0.85, 0.95)
        labels = {}
        if i < tests + both:
            labels["test_acc"] = 0.9 * accuracy + 0.05
        if i >= tests:
            labels["valid_acc_max"] = accuracy
        rows.append(Labelled(None, labels, f"{rng.getrandbits(64):016x}"))
    rng.shuffle(rows)
    return rows


def test_sizes_and_disjointness() -> None:
    rows = made_rows()
    split = split_nasbench101(rows)
    assert (len(split.train), len(split.validation_1), len(split.validation_2)) == (400, 50, 50)
    sets = (split.train, split.extra, split.validation_1, split.validation_2)
    assert sum(map(len, sets)) == len(set().union(*sets)) == len(rows)
    assert len(split.extra) == 100


@pytest.mark.parametrize("count", [50, 59, 60, 101])
def test_tenths_are_rounded_down(count: int) -> None:
    split = split_nasbench101(made_rows(count, 0, 0))
    assert len(split.validation_1) == len(split.validation_2) == count // 10
    assert len(split.train) == count - 2 * (count // 10)


def test_only_measured_rows_validate() -> None:
    rows = made_rows()
    split = split_nasbench101(rows)
    for i in (*split.train, *split.validation_1, *split.validation_2):
        assert split.accuracy[i] == rows[i].labels["test_acc"]
    for i in split.extra:
        assert "test_acc" not in rows[i].labels


def test_the_line_joins_the_labels() -> None:
    rows = made_rows()
    split = split_nasbench101(rows)
    assert split.slope == pytest.approx(0.9)
    assert split.offset == pytest.approx(0.05)
    for i in split.extra:
        expected = 0.9 * rows[i].labels["valid_acc_max"] + 0.05
        assert split.accuracy[i] == pytest.approx(expected)
    assert np.isfinite(split.accuracy).all()


def test_the_line_is_fitted_on_training_rows_only_and_above_the_threshold() -> None:
    rows = made_rows()
    split = split_nasbench101(rows)
    spoiled = list(rows)
    for i in (*split.validation_1, *split.validation_2):
        labels = {**rows[i].labels, "valid_acc_max": 0.81}
        spoiled[i] = Labelled(None, labels, rows[i].key)
    failed = [i for i in split.train if "valid_acc_max" in rows[i].labels][:20]
    for i in failed:
        labels = {"test_acc": PRUNE_BELOW - 0.3, "valid_acc_max": 0.94}
        spoiled[i] = Labelled(None, labels, rows[i].key)
    again = split_nasbench101(spoiled)
    assert again.train == split.train
    assert (again.slope, again.offset) == pytest.approx((0.9, 0.05))


def test_too_few_pairs_make_no_line() -> None:
    rows = made_rows(tests=100, both=10, valid=50)
    split = split_nasbench101(rows)
    assert (split.slope, split.offset, split.extra) == (1.0, 0.0, ())


def test_rows_without_labels_are_in_no_set() -> None:
    rows = [*made_rows(), Labelled(None, {"params": 1.0}, "unlabelled")]
    split = split_nasbench101(rows)
    last = len(rows) - 1
    assert all(last not in s for s in (split.train, split.extra, split.validation_1))
    assert last not in split.validation_2
    assert np.isnan(split.accuracy[last])


def keys(rows: list[Labelled], members: tuple[int, ...]) -> list[str]:
    return [rows[i].key for i in members]


def test_the_split_is_fixed_and_blind_to_the_order_of_the_file() -> None:
    rows = made_rows()
    one, two = split_nasbench101(rows), split_nasbench101(rows)
    assert one.train == two.train
    assert (one.accuracy == two.accuracy).all()
    shuffled = random.Random(9).sample(rows, len(rows))
    other = split_nasbench101(shuffled)
    for name in ("train", "validation_1", "validation_2"):
        assert keys(rows, getattr(one, name)) == keys(shuffled, getattr(other, name))
    assert set(keys(rows, one.extra)) == set(keys(shuffled, other.extra))
    assert (one.slope, one.offset) == pytest.approx((other.slope, other.offset))


def test_sets_are_drawn_at_random() -> None:
    """Not in the order of the keys, nor of the accuracies."""
    rows = made_rows(2000, 0, 0)
    split = split_nasbench101(rows)
    ranks = {key: rank for rank, key in enumerate(sorted(row.key for row in rows))}
    for members in (split.train, split.validation_1, split.validation_2):
        assert 850 < np.mean([ranks[rows[i].key] for i in members]) < 1150
        assert 0.85 < split.accuracy[list(members)].mean() < 0.87


@pytest.mark.parametrize("name", ["test_acc", "valid_acc_max"])
def test_percentages_are_refused(name: str) -> None:
    rows = made_rows()
    labels = {key: 100 * value if key == name else value for key, value in rows[7].labels.items()}
    rows[7] = Labelled(None, {**labels, name: 94.5}, rows[7].key)
    with pytest.raises(LabelsError, match=rf"{name} reaches 94\.5.*fractions; divide percentages"):
        split_nasbench101(rows)


def test_cells_that_occur_twice_are_refused() -> None:
    rows = made_rows()
    rows.append(rows[3])
    with pytest.raises(LabelsError, match="occurs twice"):
        split_nasbench101(rows)


@pytest.mark.parametrize("count", [0, 1, 49])
def test_too_few_rows(count: int) -> None:
    with pytest.raises(LabelsError, match=f"{count} rows have test_acc: at least 50"):
        split_nasbench101(made_rows(count, 0, 60 - count))


def test_no_rows() -> None:
    with pytest.raises(LabelsError, match="0 rows have test_acc"):
        split_nasbench101([])


@pytest.mark.data
def test_the_shared_file(data_dir: Path) -> None:
    path = data_dir / "nasbench101.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    rows = list(read_labels(path, family("nasbench101")))
    split = split_nasbench101(rows)
    measured = sum("test_acc" in row.labels for row in rows)
    assert len(split.train) + len(split.validation_1) + len(split.validation_2) == measured
    assert len(split.validation_1) == len(split.validation_2) == measured // 10
    assert len(split.extra) == len(rows) - measured
    # The best of three validation runs lies a little above the mean of three test runs.
    assert split.slope == pytest.approx(1.014, abs=0.005)
    assert split.offset == pytest.approx(-0.022, abs=0.005)
    assert np.isfinite(split.accuracy).all()
    assert ((split.accuracy > 0) & (split.accuracy < 1)).all()
