from contextlib import suppress

import pytest
import torch
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.training import Checkpoint, minibatches, seeded, usable_device
from small_models import UnchangedRng
from torch import nn


class TestSeeded:
    def test_the_same_state_every_time(self):
        draws = []
        for _ in range(2):
            with seeded(3, 1):
                draws.append(torch.rand(4))
        assert torch.equal(*draws)

    def test_the_state_before_is_restored(self):
        with UnchangedRng():
            with seeded(3):
                torch.rand(10)
            with suppress(ValueError), seeded(4):
                torch.rand(10).tolist().index(2.0)

    def test_other_seeds_and_epochs_differ(self):
        names = [(0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1), (2**40, 7), (0, 0, 0)]
        draws = set()
        for name in names:
            with seeded(*name):
                draws.add(float(torch.rand(1, dtype=torch.float64)))
        assert len(draws) == len(names)


class TestMinibatches:
    def test_every_row_once_in_a_random_order(self):
        with seeded(0):
            pieces = list(minibatches(23, 5))
        assert [len(piece) for piece in pieces] == [5, 5, 5, 5, 3]
        rows = torch.cat(pieces).tolist()
        assert sorted(rows) == list(range(23))
        assert rows != sorted(rows)

    def test_drop_last(self):
        with seeded(0):
            assert [len(piece) for piece in minibatches(23, 5, drop_last=True)] == [5] * 4
            assert [len(piece) for piece in minibatches(20, 5, drop_last=True)] == [5] * 4
            # A set smaller than a batch still trains.
            assert [len(piece) for piece in minibatches(3, 5, drop_last=True)] == [3]

    @pytest.mark.parametrize(("count", "size"), [(0, 5), (5, 0), (-1, 2)])
    def test_nothing_to_split(self, count, size):
        with pytest.raises(InvalidInputError, match="at least 1"):
            next(minibatches(count, size))


def trained(steps, seed=0):
    with seeded(seed):
        model = nn.Linear(3, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.randn(5, 3)).square().sum().backward()
            optimizer.step()
    return model, optimizer


class TestCheckpoint:
    def test_model_and_optimizer_come_back(self, tmp_path):
        model, optimizer = trained(4)
        path = tmp_path / "new" / "run.checkpoint"
        Checkpoint(path, "a").save(4, model, optimizer)
        assert [file.name for file in path.parent.iterdir()] == ["run.checkpoint"]
        other, state = trained(1, seed=9)
        assert Checkpoint(path, "a").resume(other, state) == 4
        assert torch.equal(other.weight, model.weight)
        moments = [optimizer.state[model.weight], state.state[other.weight]]
        assert moments[0]["step"] == moments[1]["step"] == 4
        assert torch.equal(moments[0]["exp_avg_sq"], moments[1]["exp_avg_sq"])

    def test_without_a_file_nothing_is_resumed(self, tmp_path):
        model, optimizer = trained(1)
        before = model.weight.clone()
        assert Checkpoint(tmp_path / "none", "a").resume(model, optimizer) == 0
        assert Checkpoint(None, "a").resume(model, optimizer) == 0
        Checkpoint(None, "a").save(1, model, optimizer)
        assert torch.equal(model.weight, before)
        assert list(tmp_path.iterdir()) == []

    def test_other_settings_are_refused(self, tmp_path):
        model, optimizer = trained(1)
        Checkpoint(tmp_path / "c", "a").save(1, model, optimizer)
        with pytest.raises(InvalidInputError, match="other settings"):
            Checkpoint(tmp_path / "c", "b").resume(model, optimizer)

    @pytest.mark.parametrize("keep", [0, 10, 400])
    def test_a_damaged_file_is_refused(self, tmp_path, keep):
        model, optimizer = trained(1)
        path = tmp_path / "c"
        Checkpoint(path, "a").save(1, model, optimizer)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InvalidInputError, match="not a readable checkpoint"):
            Checkpoint(path, "a").resume(model, optimizer)

    def test_code_in_a_file_is_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (tmp_path.joinpath("ran").write_text, ("",))

        path = tmp_path / "c"
        torch.save({"settings": "a", "epoch": Evil()}, path)
        model, optimizer = trained(1)
        with pytest.raises(InvalidInputError, match="not a readable checkpoint"):
            Checkpoint(path, "a").resume(model, optimizer)
        assert not tmp_path.joinpath("ran").exists()


class TestUsableDevice:
    def test_cpu(self):
        assert usable_device("cpu") == torch.device("cpu")

    @pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta", ""])
    def test_what_this_machine_lacks(self, name):
        with pytest.raises(InvalidInputError, match=r"cannot be used here \(.+\): choose 'cpu'"):
            usable_device(name)
