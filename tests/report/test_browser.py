"""The page in a real browser: it lays out at every width, sorts, and complains of nothing."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from distill_tune.report import write_report
from tests.confirmation.test_summary import CLEAR, log
from tests.report.made_up import make_study

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed")

# The page stands in a frame, whose width can be that of a phone; what is seen there is written
# into the page around it, which the browser prints at its end.
AROUND = """\
<!doctype html><iframe id="frame" src="report.html" width="360" height="800"></iframe>
<pre id="seen"></pre><script>
const frame = document.getElementById("frame");
const all = (page, what) => [...page.querySelectorAll(what)];
const measure = (page, width) => {
  frame.width = width;
  const root = page.documentElement;
  const areas = all(page, ".area").map((one) => one.getBoundingClientRect());
  const scrolls = all(page, ".scroll").filter((one) => one.scrollWidth > one.clientWidth + 1);
  return {
    overflow: root.scrollWidth - root.clientWidth,
    narrowest: Math.min(...areas.map((one) => one.width)),
    beyond: areas.filter((one) => one.right > root.clientWidth).length,
    scrolls: scrolls.length,
    size: parseFloat(frame.contentWindow.getComputedStyle(page.querySelector("svg text")).fontSize),
    columns: new Set(all(page, ".backbone .figure").map((one) => one.offsetLeft)).size,
  };
};
frame.onload = () => {
  const page = frame.contentDocument;
  const rows = () => all(page, "#trials tbody tr");
  const column = (index) => rows().map((row) => row.cells[index].textContent);
  const heads = all(page, "#trials th").map((one) => one.textContent);
  const value = heads.indexOf("accuracy");
  const seen = {phone: measure(page, 360), desktop: measure(page, 1280), heads};
  const style = frame.contentWindow.getComputedStyle(page.body);
  seen.colors = [style.color, style.backgroundColor];
  seen.dot = frame.contentWindow.getComputedStyle(page.querySelector("circle.complete")).fill;
  page.querySelectorAll("#trials th button")[value].click();
  seen.ascending = column(value);
  page.querySelectorAll("#trials th button")[value].click();
  seen.descending = column(value);
  seen.sorted = page.querySelectorAll("#trials th")[value].getAttribute("aria-sort");
  seen.numbers = column(0);
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
</script>
"""


def seen(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Return what a browser sees of the report in a folder, and what it complains of."""
    (folder / "around.html").write_text(AROUND, encoding="utf-8")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
    ]
    command += ["--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}", *options]
    command += ["--virtual-time-budget=4000", "--dump-dom", (folder / "around.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    assert found[1], done.stderr
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(unescape(found[1])), "\n".join(complaints)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    directory = make_study(root / "study", 40, ("alexnet", "resnet18"))
    for event in log({"resnet18": CLEAR}):
        directory.append(event)
    write_report(directory, str(root / "page"))
    return root / "page"


def test_a_browser_shows_it_on_a_phone_and_on_a_desk(folder: Path) -> None:
    found, complaints = seen(folder, "--blink-settings=preferredColorScheme=1")
    assert complaints == ""
    phone, desktop = found["phone"], found["desktop"]
    for view in (phone, desktop):
        assert view["overflow"] == 0
        assert view["beyond"] == 0
        assert view["size"] >= 10
    # Wide tables scroll inside their own box; plots keep their text and lose no more than width.
    assert phone["scrolls"] >= 2
    assert phone["narrowest"] > 200
    assert (phone["columns"], desktop["columns"]) == (1, 2)


def test_a_click_on_the_name_of_a_column_sorts_the_trials(folder: Path) -> None:
    found, complaints = seen(folder)
    assert complaints == ""
    values = [float(text) for text in found["ascending"] if text]
    assert values == sorted(values)
    assert [float(text) for text in found["descending"] if text] == values[::-1]
    assert found["sorted"] == "descending"
    assert sorted(map(int, found["numbers"])) == list(range(40))


def test_it_is_dark_where_the_reader_wants_that(folder: Path) -> None:
    def lightness(color: str) -> int:
        return sum(map(int, re.findall(r"\d+", color)[:3]))

    light, _ = seen(folder, "--blink-settings=preferredColorScheme=1")
    dark, _ = seen(folder, "--blink-settings=preferredColorScheme=0")
    # Text and paper.
    assert [lightness(color) > 400 for color in light["colors"]] == [False, True]
    assert [lightness(color) > 400 for color in dark["colors"]] == [True, False]
    assert light["dot"] != dark["dot"]
