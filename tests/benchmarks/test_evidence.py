"""The README's results are built from kept confirmations, and from nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distill_tune.confirmation.evidence.statistics import gain
from tests.benchmarks.evidence import (
    FOLDER,
    Kept,
    between,
    load,
    readme_table,
    replaced,
    results_tables,
)
from tests.benchmarks.results import RESULTS

_ROOT = Path(__file__).parents[2]
_SPACES = _ROOT / "search_spaces" / "evidence"
_KEPT = load()


def test_there_is_evidence() -> None:
    assert _KEPT


@pytest.mark.parametrize("kept", _KEPT, ids=lambda kept: kept.setting)
def test_a_kept_confirmation_tells_how_to_repeat_it(kept: Kept) -> None:
    assert (_SPACES / f"{kept.setting}.yaml").exists()
    search, confirm = kept.source["commands"]
    assert search == f"distill-tune search --space search_spaces/evidence/{kept.setting}.yaml"
    assert confirm == f"distill-tune confirm runs/evidence-{kept.setting}"
    assert all(kept.source[name] for name in ("commit", "machine", "date"))
    assert "/" not in kept.source["machine"]


@pytest.mark.parametrize("kept", _KEPT, ids=lambda kept: kept.setting)
def test_a_kept_gain_follows_from_the_accuracies_of_its_seeds(kept: Kept) -> None:
    method = kept.arms["gan_distillation"]["accuracies"]
    for arm in kept.arms.values():
        if arm["method_over"]:
            pairs = [method[seed] - value for seed, value in arm["accuracies"].items()]
            over = gain(pairs)
            assert arm["method_over"]["mean"] == pytest.approx(over.mean)
            assert arm["method_over"]["low"] == pytest.approx(over.low, abs=1e-12)
            assert arm["adjusted_p"] >= (over.p_value or 0) - 1e-12


def test_kept_confirmations_are_small() -> None:
    assert all(path.stat().st_size < 200_000 for path in FOLDER.glob("*.json"))


def test_kept_confirmations_name_no_folder_of_a_machine() -> None:
    for file in FOLDER.glob("*.json"):
        assert not re.findall(r"[\"' ]/\w+/[\w/.-]+", file.read_text(encoding="utf-8")), file.name


@pytest.mark.parametrize(
    ("path", "part"), [(_ROOT / "README.md", readme_table), (RESULTS, results_tables)]
)
def test_tables_are_those_of_the_kept_confirmations(path: Path, part: Any) -> None:
    assert between(path.read_text(encoding="utf-8"), "evidence") == part(_KEPT)


def test_results_stay_short_in_the_readme() -> None:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Results\n")[2].partition("\n## ")[0]
    assert len(section.strip().splitlines()) <= 25


def test_a_table_says_what_is_not_known_and_what_is_of_a_gpu() -> None:
    (kept, *_) = _KEPT
    arms: dict[str, Any] = json.loads(json.dumps(kept.arms))
    over, failed = arms["equal_steps"]["method_over"], arms["baseline"]
    failed |= {"cost": None, "accuracies": {}}
    for arm in arms.values():
        if arm["cost"]:
            arm["cost"]["unit"] = "GPU-hour"
    other = kept._replace(found={**kept.found, "arms": arms})
    assert "| free |" not in readme_table([other])
    over["price"] = None
    assert "| not known" in readme_table([other])
    over["price"] = {
        "extra_hours": 0.0,
        "points_per_hour": None,
        "unit": "GPU-hour",
        "low": 0.0,
        "high": 0.0,
        "is_free": True,
    }
    assert "| at no further cost" in readme_table([other])
    assert " GPU-hours. " in results_tables([other])
    drawn = {**kept.confirmation, "is_redrawn": False}
    assert "seeds, the same images;" in results_tables([kept._replace(confirmation=drawn)])


def test_replacing_a_part_keeps_the_rest() -> None:
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
    assert replaced(text, "x", "new\\1") == "a\n<!-- x -->\nnew\\1\n<!-- /x -->\nb\n"
    with pytest.raises(ValueError, match="expected <!-- y -->"):
        replaced(text, "y", "")
