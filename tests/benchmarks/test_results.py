"""The results' own rules: the median decides, sections are replaced one at a time."""

from pathlib import Path

import pytest

from tests.benchmarks import BENCHMARKS, load
from tests.benchmarks.results import Result, as_object, paired, write_results

FAST = Result("a", "their seconds / ours", [3.5, 2.0, 4.0], 3, "at least", {"ours, s": "1"})
SLOW = Result("b", "with / without", [1.2, 1.0, 1.3], 1.15, "at most", notes=["A note."])


def test_the_median_is_held_against_the_floor() -> None:
    assert (FAST.ratio, FAST.is_met) == (3.5, True)
    assert (SLOW.ratio, SLOW.is_met) == (1.2, False)
    assert as_object([FAST, SLOW])["name"] == "b"
    assert [result["name"] for result in as_object([FAST, SLOW])["results"]] == ["a", "b"]


def test_runs_alternate() -> None:
    said: list[str] = []

    def saying(name: str) -> float:
        said.append(name)
        return float(len(said))

    assert paired(lambda: saying("a"), lambda: saying("b"), 2) == [(1, 2), (3, 4)]
    assert said == ["a", "b", "a", "b"]


def test_a_section_is_replaced_and_all_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\n## Tried\n\nby hand\n\n## last\n\nold\n")
    write_results("one", "command one", [FAST], path)
    first = path.read_text()
    write_results("one", "command two", [SLOW], path)
    write_results("last", "command three", [SLOW], path)
    text = path.read_text()
    assert "command one" in first
    assert "**3.5** (2-4, 3 pairs) | at least 3 | met" in first
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Results",
        "## Tried",
        "## last",
        "## one",
    ]
    assert "by hand" in text
    assert "command one" not in text
    assert "old" not in text
    assert text.count("**1.2**") == 2


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_of_the_index_is_there(name: str) -> None:
    assert callable(load(name))
