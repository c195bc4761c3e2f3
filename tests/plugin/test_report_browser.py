"""The page as a browser makes it; skipped where there is none."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from gennape_plugin.core.builder import GraphBuilder

from gennape_plugin import Gennape
from gennape_plugin.report import write_report

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ATTACK = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    b = GraphBuilder(ATTACK)
    b.set_scope("stem")
    x = b.conv(b.input((1, 3, 8, 8)), 8, kernel=3)
    for i in range(6):
        b.set_scope(f"{ATTACK}.{i}")
        x = b.join("add", b.conv(b.relu(b.conv(x, 8, kernel=3)), 8, kernel=3), x)
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(Gennape.from_pretrained(), b.build(b.linear(b.mean(x, (2, 3)), 10)), out)


def browse(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    # Browsers refuse their sandbox to root, as which containers often run tests.
    fixed = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'user'}")
    command = [BROWSER, *fixed, "--virtual-time-budget=2000", "--enable-logging=stderr", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_a_link_opens_its_part_and_foreign_scripts_do_not_run(page, tmp_path) -> None:
    done = browse(tmp_path, "--dump-dom", f"{page.as_uri()}#part-1")
    dom = done.stdout
    assert re.search(r'<details id="part-1" open', dom)
    assert dom.count(" open=") == 1
    title = re.search(r"<title>(.*?)</title>", dom, re.S)
    assert title is not None
    assert title.group(1).startswith("&lt;script&gt;")
    assert "<img" not in dom
    assert len(re.findall(r"<section ", dom)) == 5
    assert '<p class="buttons">' in dom  # our own script ran
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console


def test_the_page_has_a_picture(page, tmp_path) -> None:
    shot = tmp_path / "page.png"
    browse(tmp_path, "--window-size=1000,1400", f"--screenshot={shot}", page.as_uri())
    data = shot.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (1000, 1400)
    assert len(data) > 30_000  # an empty page is far smaller
