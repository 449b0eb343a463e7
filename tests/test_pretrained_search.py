"""Searches whose backbones are timm's smallest networks with local weights, as users run them."""

from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from safetensors.torch import save_file

from tests.commands import ONE_SLOT, STUDY, read_events, run

pytestmark = pytest.mark.storm

RESNET, VIT = "timm/resnet10t", "timm/vit_tiny_patch16_224"


@pytest.mark.parametrize("freeze", ["all", "none"])
def test_timms_resnet_and_vit_are_searched_from_local_weights(freeze: str, tmp_path: Path) -> None:
    backbones = []
    built: tuple[tuple[str, dict[str, Any]], ...] = ((RESNET, {}), (VIT, {"img_size": 32}))
    for name, sizes in built:
        file = tmp_path / f"{name.removeprefix('timm/')}.safetensors"
        save_file(timm.create_model(name.removeprefix("timm/"), **sizes).state_dict(), file)
        backbones.append(f"{{name: {name}, weights: {file}, freeze: {freeze}, input_size: 32}}")
    space = tmp_path / "study.yaml"
    text = STUDY.replace("[squeezenet1_1, shufflenet_v2_x0_5]", f"[{', '.join(backbones)}]")
    space.write_text(text.replace("num_trials: 6", "num_trials: 4") + ONE_SLOT)
    found = run("search", "--space", str(space), "--storage", str(tmp_path))
    for name in (RESNET, VIT):
        assert f"{name}: weights of " in found.output
        assert "its head for 1000 classes is left out" in found.output
    study = tmp_path / "tiny"
    over = [event for event in read_events(study) if event["event"] == "trial_ended"]
    assert {event["status"] for event in over} <= {"complete", "pruned"}
    assert len(over) == 4
    best = yaml.safe_load((study / "best" / "timm-resnet10t.yaml").read_text())
    assert best["backbone"]["freeze"] == freeze
    assert len(best["backbone"]["weights_sha256"]) == 64
    models = [folder.name for folder in (study / "models").iterdir()]
    assert any(name.startswith("timm-vit_tiny_patch16_224-") for name in models)
    run("evaluate", str(study / "models" / models[0]))
