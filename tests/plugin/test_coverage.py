"""``gennape coverage``: which part of a collection runs, what is kept, what is printed."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from gennape_plugin.adapters.torch import capture
from gennape_plugin.core.errors import InvalidInputError
from torch import nn

from gennape_plugin.cli import main
from gennape_plugin.coverage import Record, Shard, measured, run_all, summary
from gennape_plugin.coverage.runs import chosen, read_records
from gennape_plugin.zoo import Sample, catalogue_of
from gennape_plugin.zoo.catalogue import image, without_data
from gennape_plugin.zoo.torchvision_models import imported, suppressed

pytestmark = pytest.mark.filterwarnings("ignore")


class Broken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("first line\nsecond line")


class Numbered(nn.Module):
    """Its constructor computes with tensors, so it cannot be built on the meta device."""

    def __init__(self) -> None:
        super().__init__()
        rates = [rate.item() for rate in torch.linspace(0, 1, 3)]
        self.layers = nn.Sequential(*(nn.Linear(4, 4) for _ in rates))
        self.offset = int(torch.arange(3).sum().item())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.offset


def sample(build: Callable[[], nn.Module], *shape: int) -> Sample:
    return Sample(without_data(build).eval(), (image(*shape),))


def no_network() -> Sample:
    raise RuntimeError("no such weights")


def small() -> dict[str, Callable[[], Sample]]:
    layers = {
        "conv": partial(nn.Conv2d, 3, 4, 3),
        "norm": partial(nn.BatchNorm2d, 3),
        "relu": nn.ReLU,
        "broken": Broken,
    }
    networks = {name: partial(sample, build, 3, 8, 8) for name, build in layers.items()}
    return {**networks, "numbered": partial(sample, Numbered, 4), "missing": no_network}


# -- which names ------------------------------------------------------------------------------


def test_shards_divide_the_names() -> None:
    names = [f"net{i}" for i in range(10)]
    parts = [Shard(i, 3).of(names) for i in (1, 2, 3)]
    assert parts[0] == ["net0", "net3", "net6", "net9"]
    assert sorted(name for part in parts for name in part) == names
    assert Shard.parse("2/3") == Shard(2, 3)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "1/", "-1/4", "1/4/2"])
def test_wrong_shards(text: str) -> None:
    with pytest.raises(InvalidInputError, match="give one of so many, from 1/4 to 4/4"):
        Shard.parse(text)


def test_names_are_sorted_and_matched() -> None:
    assert chosen(small(), None, Shard()) == sorted(small())
    assert chosen(small(), "*r*", Shard(1, 2)) == ["broken", "numbered"]
    with pytest.raises(InvalidInputError, match=r"'x\*' matches none of 6 names, such as broken"):
        chosen(small(), "x*", Shard())


# -- what is measured ---------------------------------------------------------------------------


def test_a_record() -> None:
    record = measured("conv", small()["conv"], compare_fx=True, count=True)
    graph = capture(nn.Conv2d(3, 4, 3), (3, 8, 8)).graph
    assert (record.error, record.route, record.nodes) == (None, "meta", len(graph.nodes))
    assert (record.macs, record.params) == (graph.macs, graph.params)
    assert record.counted_macs == graph.macs
    assert 0 < record.seconds < 5
    assert 0 < record.peak_mb < 50
    assert 0 < record.fx_seconds < 5
    assert record.fx_error is record.count_error is None
    assert Record(**json.loads(json.dumps(record.to_dict()))) == record


def test_failures_are_records() -> None:
    record = measured("broken", small()["broken"], compare_fx=True, count=True)
    assert "ValueError: first line" in record.error
    assert record.seconds is None
    assert "ValueError" in record.count_error
    assert measured("missing", no_network).error == (
        "cannot be built: RuntimeError: no such weights"
    )


def test_what_torch_fx_refuses() -> None:
    class Loop(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() if x.shape[1] > 2 else x

    record = measured("loop", partial(sample, Loop, 3), compare_fx=True)
    assert record.error is None
    assert "TraceError" in record.fx_error
    assert "torch.fx with shape propagation: 0 of 1" in summary([record])


def test_building_without_data() -> None:
    module = without_data(Numbered)
    assert module.offset == 3
    assert all(p.is_meta for p in module.parameters())
    assert all(p.is_meta for p in without_data(partial(nn.Linear, 2, 2)).parameters())


# -- runs ---------------------------------------------------------------------------------------


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    seen: list[str] = []
    run_all(small(), pattern="[bc]*", out=out, note=seen.append)
    assert len(seen) == len(out.read_text().splitlines()) == 2
    assert seen[0].startswith("[1/2] broken: CaptureError")
    with out.open("a") as stream:
        stream.write('{"model": "relu", "rou')  # cut off in writing
    seen.clear()
    records = run_all(small(), out=out, note=seen.append)
    assert [line.split()[1] for line in seen] == ["missing:", "norm:", "numbered:", "relu:"]
    assert [record.model for record in records] == sorted(small())
    assert list(read_records(out).values()) == sorted(
        records, key=lambda r: list(read_records(out)).index(r.model)
    )
    seen.clear()
    assert run_all(small(), out=out, note=seen.append) == records
    assert seen == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("my notes\nmore\n")
    with pytest.raises(InvalidInputError, match="does not hold the records of a coverage run"):
        run_all(small(), out=out)
    assert out.read_text() == "my notes\nmore\n"


def test_a_summary() -> None:
    text = summary(run_all(small(), compare_fx=True, count=True))
    assert text.splitlines()[:2] == ["captured 4 of 6 (66.7 %)", "routes: meta 4"]
    assert "time: median" in text
    assert "median of the ratios" in text
    assert "within 1 % of FlopCounterMode: 4 of 4 (1 it could not count)" in text
    assert "FAILED missing: cannot be built: RuntimeError: no such weights" in text
    odd = Record("net", route="meta", macs=1020, counted_macs=1000)
    assert "DIFFERS net: 1,020 multiply-adds, counter 1,000" in summary([odd])
    assert summary([]).startswith("captured 0 of 0")


# -- collections --------------------------------------------------------------------------------


def test_layers() -> None:
    records = run_all(catalogue_of("torch"), count=True)
    assert [r.model for r in records if r.error or r.custom or r.warnings] == []
    assert all(r.macs == r.counted_macs for r in records)


def test_no_such_collection() -> None:
    with pytest.raises(InvalidInputError, match="choose from torch, torchvision, timm"):
        catalogue_of("keras")


@pytest.mark.parametrize("source", ["torchvision", "timm", "transformers"])
def test_a_package_that_is_missing(source: str) -> None:
    try:
        names = catalogue_of(source)
    except InvalidInputError as error:
        assert f"pip install {'torchvision' if source == 'timm' else source}" in str(error)  # noqa: PT017
    else:
        assert len(names) >= 40


def test_suppression() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 10]])
    scores = torch.tensor([0.5, 0.9, 0.3, 0.4])
    assert suppressed(boxes, scores, 0.5).tolist() == [1, 2]
    assert suppressed(boxes, scores, 0.99).tolist() == [1, 0, 2]
    assert suppressed(boxes[:0], scores[:0], 0.5).tolist() == []


def torchvision_names() -> list[str]:
    return ["alexnet", "fcn_resnet50", "r3d_18", "regnet_y_400mf", "quantized_resnet18"]


@pytest.mark.parametrize("name", torchvision_names())
def test_torchvision(name: str) -> None:
    try:
        imported()
    except InvalidInputError:
        pytest.skip("needs torchvision: make zoo, PYTHONPATH=.venv/zoo")
    record = measured(name, catalogue_of("torchvision")[name], count=True)
    assert (record.error, record.route, record.warnings) == (None, "meta", [])
    assert record.macs == pytest.approx(record.counted_macs, rel=0.01)


# -- the command ----------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "records.jsonl"
    command = ["coverage", "torch", "--match", "R*", "--shard", "1/2", "--out", str(out)]
    assert main([*command, "--compare", "fx", "--check-flops"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("captured 3 of 3 (100.0 %)\nroutes: meta 3\n")
    assert printed.err.startswith("[1/3] RNN: meta, ")
    assert main(command) == 0
    assert capsys.readouterr().err == ""


def test_the_command_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["keras"], ["torch", "--match", "none*"], ["torch", "--shard", "3"]):
        assert main(["coverage", *arguments]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
