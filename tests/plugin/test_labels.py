"""Every fault of a labels file is a LabelsError that names the file and, where known, the line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from gennape_plugin.adapters.families import family
from gennape_plugin.core.errors import LabelsError

from gennape_plugin.labels import MAX_LINE, Labelled, read_labels

NB101, NB201 = family("nasbench101"), family("nasbench201")
GOOD: dict[str, Any] = {
    "hash": "h1",
    "matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]],
    "ops": ["input", "conv3x3-bn-relu", "output"],
    "test_acc": 0.9,
    "params": 1000,
}


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def read(path: str | Path) -> list[Labelled]:
    return list(read_labels(path, NB101))


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.jsonl.gz"])
def test_rows(tmp_path: Path, name: str) -> None:
    second = {**GOOD, "hash": "h2", "test_acc": None, "valid_acc_max": 1, "note": "x", "ok": True}
    path = write(tmp_path / name, GOOD, "", "   ", second)
    rows = read(path)
    assert [row.key for row in rows] == ["h1", "h2"]
    assert rows[0].labels == {"test_acc": 0.9, "params": 1000.0}
    assert rows[1].labels == {"valid_acc_max": 1.0, "params": 1000.0}
    assert rows[0].arch == NB101.parse(GOOD)
    assert [row.key for row in read(str(path))] == ["h1", "h2"]


def test_rows_without_a_hash_are_known_by_their_line(tmp_path: Path) -> None:
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    path = write(tmp_path / "a.jsonl", "", {"arch_str": cell, "acc": 50})
    (row,) = read_labels(path, NB201)
    assert (row.key, row.labels, str(row.arch)) == ("2", {"acc": 50.0}, cell)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert read(write(tmp_path / "empty.jsonl")) == []


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.jsonl.gz"])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("hash,matrix", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ("[1, 2]", "holds one JSON object"),
        ("3", "holds one JSON object"),
        ("null", "holds one JSON object"),
        ("{}", "not a NAS-Bench-101 cell"),
        ({**GOOD, "ops": ["input", "conv", "output"]}, "unknown operations"),
        ({**GOOD, "matrix": [[0, 1], [0, 0]]}, "needs a 3 x 3 matrix"),
        ({**GOOD, "matrix": [[0, 1e999, 0]] * 3}, "not a NAS-Bench-101 cell"),
        ({**GOOD, "test_acc": float("nan")}, "test_acc is nan"),
        ({**GOOD, "test_acc": float("inf")}, "test_acc is inf"),
        ({**GOOD, "params": 10**400}, "too large"),
        (" " * MAX_LINE, "longer than"),
        (json.dumps({**GOOD, "note": "x" * MAX_LINE}), "longer than"),
    ],
)
def test_faults(tmp_path: Path, name: str, line: str | dict[str, Any], message: str) -> None:
    path = write(tmp_path / name, GOOD, line, GOOD)
    with pytest.raises(LabelsError, match=message) as caught:
        read(path)
    assert f"{path}, line 2" in str(caught.value)


def test_rows_before_a_fault_are_streamed(tmp_path: Path) -> None:
    stream = read_labels(write(tmp_path / "a.jsonl", GOOD, GOOD, "{"), NB101)
    assert [next(stream).key, next(stream).key] == ["h1", "h1"]
    with pytest.raises(LabelsError, match="line 3"):
        next(stream)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "no.jsonl", tmp_path / "no.jsonl.gz", tmp_path):
        with pytest.raises(LabelsError, match="cannot be read") as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"hash": "\xe9"}\n')
    with pytest.raises(LabelsError, match=r"latin\.jsonl cannot be read"):
        read(path)


def test_plain_text_named_gz(tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl.gz"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(LabelsError, match=r"plain\.jsonl\.gz cannot be read"):
        read(path)


def test_truncated_gz(tmp_path: Path) -> None:
    rows = [{**GOOD, "hash": f"{i * 7919 % 10007:x}" * 8} for i in range(2000)]
    whole = write(tmp_path / "whole.jsonl.gz", *rows).read_bytes()
    path = tmp_path / "cut.jsonl.gz"
    for size in (5, 100, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:size])
        with pytest.raises(LabelsError, match=r"cut\.jsonl\.gz.* cannot be read") as caught:
            read(path)
        assert ("line " in str(caught.value)) == (size > 100)


def test_damaged_gz(tmp_path: Path) -> None:
    """zlib's own error is neither an OSError nor a ValueError."""
    rows = [{**GOOD, "hash": f"{i * 7919 % 10007:x}" * 8} for i in range(500)]
    whole = bytearray(write(tmp_path / "whole.jsonl.gz", *rows).read_bytes())
    path = tmp_path / "damaged.jsonl.gz"
    for place in range(10, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place : place + 8] = bytes(255 - b for b in damaged[place : place + 8])
        path.write_bytes(damaged)
        with pytest.raises(LabelsError, match=r"damaged\.jsonl\.gz"):
            read(path)


@pytest.mark.data
def test_the_shared_file(data_dir: Path) -> None:
    path = data_dir / "nasbench201.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no {path.name}")
    rows = list(read_labels(path, NB201))
    assert len(rows) == 15625
    assert min(row.labels["c10_test_acc_200ep"] for row in rows) >= 0
