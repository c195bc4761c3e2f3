"""Files that are whole, or as they were before."""

import errno
from pathlib import Path

import pytest
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.files import append_json_line, read_json_lines, replacing, write_whole


class TestWhole:
    def test_it_is_written_with_its_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b.json"
        write_whole(path, "{}\n")
        assert path.read_text() == "{}\n"
        assert [file.name for file in path.parent.iterdir()] == ["b.json"]

    def test_a_failure_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "kept.txt"
        write_whole(path, "before")

        def failing() -> None:
            with replacing(path) as partial:
                partial.write_text("half")
                raise OSError(errno.ENOSPC, "no space left")

        with pytest.raises(OSError, match="no space"):
            failing()
        assert path.read_text() == "before"
        assert list(tmp_path.iterdir()) == [path]

    def test_two_files_are_both_written_or_neither(self, tmp_path: Path) -> None:
        one, two = tmp_path / "one", tmp_path / "two"

        def failing() -> None:
            with replacing(one) as first, replacing(two) as second:
                first.write_text("1")
                second.write_text("2")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            failing()
        assert not list(tmp_path.iterdir())


class TestLines:
    def test_they_are_read_as_written(self, tmp_path: Path) -> None:
        path = tmp_path / "sub" / "log.jsonl"
        assert read_json_lines(path) == []
        written = [{"i": i, "text": "é\n"} for i in range(3)]
        for record in written:
            append_json_line(path, record)
        assert read_json_lines(path) == written

    @pytest.mark.parametrize("first", [b"", b'{"i":0}\n'])
    def test_a_line_that_was_cut_off_goes(self, tmp_path: Path, first: bytes) -> None:
        path = tmp_path / "log.jsonl"
        path.write_bytes(first + b'{"i":1,"te')
        whole = [{"i": 0}] if first else []
        assert read_json_lines(path) == whole
        append_json_line(path, {"i": 2})
        assert read_json_lines(path) == [*whole, {"i": 2}]

    def test_a_whole_line_without_its_end_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "log.jsonl"
        path.write_bytes(b'{"i":0}')
        assert read_json_lines(path) == [{"i": 0}]
        append_json_line(path, {"i": 1})
        assert read_json_lines(path) == [{"i": 0}, {"i": 1}]

    @pytest.mark.parametrize("content", [b"my notes", b"[1]\n", b'{"a":\n{"b":1}\n', b"\xff\xfe\n"])
    def test_what_is_no_log_is_refused_and_kept(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "notes"
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match="notes, line 1 "):
            read_json_lines(path)
        assert path.read_bytes() == content
