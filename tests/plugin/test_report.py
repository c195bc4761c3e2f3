import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from gennape_plugin.core.builder import GraphBuilder
from gennape_plugin.core.errors import InvalidInputError
from gennape_plugin.core.graph_json import save_graph
from small_models import chain, graphs_of

from gennape_plugin import Gennape
from gennape_plugin.cli import main
from gennape_plugin.report import report_html, write_report
from gennape_plugin.report.embedding_map import ASSET, from_json
from gennape_plugin.report.markup import text
from gennape_plugin.report.sections import prediction_section

SECTIONS = ["prediction", "costs", "graph", "attribution", "map"]
HOSTILE = "<script>document.title='owned'</script>\"><img src=x onerror=alert(1)>'&\u202e\x00\ud800"
_VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page holds; fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.found, self.data = [], Counter(), [], []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.found.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.data.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.data)

    def values(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.found if name in attrs]


@pytest.fixture(scope="session")
def est() -> Gennape:
    return Gennape.from_pretrained()


def hostile_graph():
    b = GraphBuilder(HOSTILE)
    x = b.input((1, 3, 8, 8))
    for block in range(3):
        with b.scope(f"{HOSTILE}{block}"):
            for _ in range(4):
                x = b.relu(b.conv(x, 8, kernel=3))
    return b.build(b.linear(b.mean(x, (2, 3)), 10))


def assert_sound(html: str) -> Page:
    """Complete, accessible and without anything from outside."""
    page = Page(html)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    sections = [attrs["id"] for tag, attrs in page.found if tag == "section"]
    assert sections == SECTIONS
    assert not page.values("src")
    assert all(link.startswith("#") and link[1:] in ids for link in page.values("href"))
    assert all(name in ids for name in page.values("aria-labelledby"))
    assert not re.search(r"https?:|url\(|@import", html)
    assert page.tags["title"] >= 1
    assert page.tags["h1"] == page.tags["main"] == page.tags["script"] == page.tags["style"] == 1
    assert page.tags["img"] == page.tags["iframe"] == page.tags["object"] == 0
    assert not [name for _, attrs in page.found for name in attrs if name.startswith("on")]
    assert ("html", {"lang": "en"}) in page.found
    headers = [attrs for tag, attrs in page.found if tag == "th"]
    assert headers
    assert all(attrs.get("scope") in ("col", "row") for attrs in headers)
    assert page.tags["table"] == page.tags["caption"]
    drawings = [attrs for tag, attrs in page.found if tag == "svg"]
    assert drawings
    assert all(attrs.get("aria-label") and attrs.get("role") for attrs in drawings)
    assert len(html.encode()) < 500_000
    return page


def test_a_page_holds_everything_the_prediction_says(est) -> None:
    (graph,) = graphs_of("nasbench101", 1, first=1)
    prediction = est.score(graph)
    page = assert_sound(report_html(est, graph, name="one cell"))
    assert "one cell" in page.text
    for fact in (
        f"{prediction.score:+.3f}",
        f"{prediction.accuracy:.2f} %",
        f"{prediction.distance:.2f}",
        prediction.graph_hash,
        *prediction.members,
        *prediction.notes,
    ):
        assert fact in page.text, fact


def test_notes_of_an_unfamiliar_network_and_the_limits_of_its_accuracy_are_shown(est) -> None:
    graph = graphs_of("ofa_mobilenetv3", 1)[0]
    prediction = est.score(graph)
    assert prediction.notes
    page = assert_sound(report_html(est, graph))
    assert all(note in page.text for note in prediction.notes)
    assert "do not rely on it" in page.text


def test_foreign_text_stays_text(est) -> None:
    html = report_html(est, hostile_graph())
    page = assert_sound(html)
    assert "<script>document" not in html
    assert "owned" in page.text
    assert "\u202e" not in html
    assert html.encode("utf-8")


@pytest.mark.parametrize("raw", ["<b>", '"', "'", "a&b", "\u202e", "\x00", "\ud800", "\n"])
def test_escaped_text_holds_no_markup_and_nothing_unseen(raw) -> None:
    assert not set(text(raw)) & set("<>\"'\u202e\x00\ud800\n")


def test_the_script_is_the_one_that_the_policy_names(est) -> None:
    html = report_html(est, chain(3))
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_a_large_irregular_network_stays_small(est) -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("large")
    seen = [b.conv(b.input((1, 3, 8, 8)), 4, kernel=3)]
    for _ in range(2500):
        x = seen[-1]
        if rng.random() < 0.3 and len(seen) > 20:
            x = b.join("add", seen[-rng.integers(2, 20)], x)
        else:
            x = b.conv(x, 4, kernel=int(rng.choice([1, 3])))
        seen.append(x)
    page = assert_sound(report_html(est, b.build(seen[-1])))
    assert "This network is large" in page.text
    boxes = [attrs for tag, attrs in page.found if attrs.get("class") == "box"]
    assert len(boxes) < 800


def test_an_interval_is_shown_where_a_prediction_has_one(est) -> None:
    p = est.score(chain(3))
    object.__setattr__(p, "interval", None)
    assert "interval" not in prediction_section(p, "size")
    object.__setattr__(p, "interval", (88.125, 93.5))
    assert "90 % interval 88.1 to 93.5 %" in prediction_section(p, "size")


def test_fine_tuned_estimators_write_reports_too(weights, monkeypatch) -> None:
    monkeypatch.setattr("gennape_plugin.report.embedding_map._QUICK", 6)
    small = Gennape.from_pretrained(weights)
    graphs = [chain(length) for length in range(2, 10)]
    tuned = small.fine_tune(graphs, [80 + len(graph) / 2 for graph in graphs])
    assert_sound(report_html(tuned, graphs[0]))


def full_disk(self, target):
    raise OSError("no space left")


def test_files_are_written_whole_or_not_at_all(est, tmp_path, monkeypatch) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    monkeypatch.setattr("gennape_plugin.report.page.report_html", lambda *_: "new")
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", full_disk)
        with pytest.raises(OSError, match="no space"):
            write_report(est, chain(2), out)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert write_report(est, chain(2), out) == out
    assert out.read_text() == "new"


@pytest.mark.parametrize(("where", "message"), [("no/r.html", "not a folder"), ("", "is a folder")])
def test_a_page_needs_a_place(est, tmp_path, where, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        write_report(est, chain(2), tmp_path / where)


def test_the_command_writes_a_page(tmp_path, capsys) -> None:
    graph, out = tmp_path / "net.json", tmp_path / "page.html"
    save_graph(chain(4), graph)
    assert main(["report", str(graph), "-o", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert "net" in assert_sound(out.read_text(encoding="utf-8")).text


def test_the_command_says_what_is_missing_in_one_line(tmp_path, capsys) -> None:
    missing = tmp_path / "none" / "page.html"
    assert main(["report", "net.json", "-o", str(missing)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is not a folder: make it first" in error


def test_the_shipped_map_belongs_to_the_shipped_weights(est) -> None:
    assert ASSET.stat().st_size < 60_000
    kept = from_json(json.loads(ASSET.read_text(encoding="utf-8")))
    assert kept.sha256 == est.card["sha256"], "run `python benchmarks/make_report_map.py`"
