"""Label sets and pools."""

import random

import numpy as np
import pytest
from gennape_plugin.adapters.families import families, family
from gennape_plugin.core.errors import InvalidInputError
from small_models import write_rows

from gennape_plugin.label_sets import LABEL_SETS, label_set
from gennape_plugin.labels import read_labels
from gennape_plugin.pools import BASELINES, read_pool


def test_every_family_has_one() -> None:
    assert set(LABEL_SETS) == set(families())
    files = [known.file for known in LABEL_SETS.values()]
    assert len(set(files)) == len(files)


def test_development_families_are_the_four_that_choices_may_use() -> None:
    development = {name for name, known in LABEL_SETS.items() if known.development}
    assert development == {"nasbench201", "nasbench301", "ofa_mobilenetv3", "nasbench_macro"}


def test_unknown_family() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown family 'x': choose from .*nasbench101"):
        label_set("x")


def test_a_pool(tmp_path) -> None:
    space, rng = family("nasbench_macro"), random.Random(0)
    archs = [space.sample(rng) for _ in range(9)]
    rows = [{"arch": str(a), "c10_test_acc_mean": 80.0 + i} for i, a in enumerate(archs)]
    pool = read_pool(write_rows(tmp_path / "l.jsonl", rows), family_name="nasbench_macro")
    np.testing.assert_allclose(pool.truth, [0.8 + i / 100 for i in range(9)])
    assert set(pool.baselines) == set(BASELINES)
    assert pool.baselines["FLOPs"].tolist() == [space.graph(a).flops for a in archs]
    assert pool.baselines["params"].tolist() == [space.graph(a).params for a in archs]
    assert len(pool.store) == 9


def test_rows_whose_network_is_unknown_are_passed_over(data_dir) -> None:
    known = label_set("ofa_resnet50")
    rows = read_labels(data_dir / known.file, family("ofa_resnet50"), keep=known.keep)
    assert len(list(rows)) == 5298
