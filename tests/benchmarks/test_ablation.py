"""The ablation's variants are configurations, and its table counts gains from its reference."""

import json
from pathlib import Path

import pytest

from distill_tune.distill.trial_config import TrialConfig
from distill_tune.study.space import apply
from tests.benchmarks.ablation import KEPT, Row, read, table
from tests.benchmarks.ablation_groups import GROUPS
from tests.benchmarks.evidence import between
from tests.benchmarks.results import RESULTS


@pytest.mark.parametrize("name", GROUPS)
def test_every_variant_is_a_configuration_of_its_own(name: str) -> None:
    group = GROUPS[name]
    found = [
        TrialConfig.model_validate(apply(group.base, changes)).model_dump_json()
        for changes in group.variants.values()
    ]
    # Of the schedules, one is that of the reference.
    assert len(set(found)) >= len(found) - 1
    assert group.reference in group.variants


def test_the_table_pairs_gains_by_seed(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    accuracies = {"equal steps": (0.90, 0.94, 0.95), "distillation": (0.92, 0.95, 0.98)}
    rows = [
        Row("recipe/rare-cells", variant, seed, value, None, None, None, 50.0)
        for variant, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    log.write_text("".join(f"{json.dumps(row._asdict())}\n" for row in rows), encoding="utf-8")
    found = read(log)
    assert list(found.values()) == rows
    lines = table("recipe/rare-cells", found.values())
    assert lines[2].startswith("| equal steps | 93.00 | -2.00 (-4.48 to +0.48) |")
    assert lines[3].startswith("| distillation | 95.00 | +0.00 (+0.00 to +0.00) |")
    assert len(lines) == 2 + 2 + 2


@pytest.mark.parametrize("log", sorted(KEPT.glob("*.jsonl")), ids=lambda path: path.stem)
def test_a_table_is_that_of_the_kept_rows(log: Path) -> None:
    name = f"recipe/{log.stem}"
    found = between(RESULTS.read_text(encoding="utf-8"), name)
    assert found == "\n".join(table(name, read(log).values()))
