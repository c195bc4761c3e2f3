import pytest
from small_models import labels_of, save_small_model, write_rows


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder with a small model of random weights, and its card."""
    return save_small_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def labels(tmp_path_factory):
    """120 synthetic labels of NAS-Bench-101 cells."""
    return write_rows(tmp_path_factory.mktemp("labels") / "labels.jsonl", labels_of(120))
