"""Damaged `.pt2` files: a graph or one error of ours, in time and in memory."""

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from gennape_plugin.adapters.torch.pt2 import capture_pt2
from gennape_plugin.core.errors import GennapeError
from gennape_plugin.core.graph import ComputeGraph
from mutations import TOKENS, bounded, mutated_bytes, mutated_json
from torch import nn
from torch.export import Dim, export, save

pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = "models/model.json"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A convolutional network of any batch and width, and a transformer layer."""
    folder = tmp_path_factory.mktemp("pt2")
    conv = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2)
    )
    sizes = {0: Dim("batch"), 3: Dim("width", min=8)}
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    programs = [
        export(conv.eval(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=(sizes,)),
        export(encoder.eval(), (torch.zeros(1, 5, 8),)),
    ]
    paths = [folder / f"{i}.pt2" for i in range(len(programs))]
    for program, path in zip(programs, paths, strict=True):
        save(program, path)
    return paths


def is_captured(path: Path) -> bool:
    """Whether a file gives a graph, which must then be a valid one."""
    with bounded():
        try:
            graph = capture_pt2(path).graph
        except GennapeError as error:
            assert "\n" not in str(error), error  # noqa: PT017
            return False
    ComputeGraph(graph.nodes, graph.operands, weight_of=graph.weight_of)
    graph.paper_view()
    return True


def records(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("seed", range(4))
def test_bytes_of_the_archive(archives: list[Path], tmp_path: Path, seed: int) -> None:
    rng, captured = random.Random(seed), 0
    for path in archives:
        whole = path.read_bytes()
        for _ in range(30):
            damaged = tmp_path / "damaged.pt2"
            damaged.write_bytes(mutated_bytes(whole, rng))
            captured += is_captured(damaged)
    assert 0 < captured < 60  # weights are not read, so what is wrong with them does not show


@pytest.mark.parametrize("seed", range(4))
def test_text_of_the_description(archives: list[Path], tmp_path: Path, seed: int) -> None:
    rng, captured = random.Random(seed), 0
    for path in archives:
        content = records(path)
        name = next(name for name in content if name.endswith(MODEL))
        for _ in range(40):
            data = mutated_bytes(content[name], rng, tokens=TOKENS)
            captured += is_captured(write(tmp_path / "x.pt2", {**content, name: data}))
    assert captured < 80


@pytest.mark.parametrize("seed", range(3))
def test_values_of_the_description(archives: list[Path], tmp_path: Path, seed: int) -> None:
    rng, captured = random.Random(seed), 0
    for path in archives:
        content = records(path)
        name = next(name for name in content if name.endswith(MODEL))
        record = program_of(content[name])
        for _ in range(60):
            data = json.dumps(mutated_json(record, rng, depth=14, nest=False)).encode()
            captured += is_captured(write(tmp_path / "x.pt2", {**content, name: data}))
    assert 0 < captured < 120


def program_of(data: bytes) -> Any:
    """The description without what no reader looks at, where most changes would land."""
    record = json.loads(data)
    for node in record["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    return {"graph_module": record["graph_module"]}
