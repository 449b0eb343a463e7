"""Model folders as a stranger may write them, and images of real digits as files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from distill_tune.distill.backbones import Backbone
from distill_tune.distill.backbones.pointwise_layers import whole_weights
from distill_tune.study.validation import to_yaml

BACKBONE = {"name": "squeezenet1_1", "stem": "imagenet", "input_size": 32, "pretrained": False}


def description(classes: list[str], channels: int = 3, size: int = 8) -> dict[str, Any]:
    """Return what ``model.yaml`` says."""
    return {
        "distill_tune": "0.0.1",
        "backbone": BACKBONE,
        "classes": classes,
        "transforms": {"channels": channels, "image_size": size, "resize": "", "range": ""},
        "data": {"name": "folder", "digest": ""},
    }


def write_model(folder: Path, said: dict[str, Any]) -> Path:
    """Write a model with weights that nobody trained; return its folder."""
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(to_yaml(said), encoding="utf-8")
    torch.manual_seed(0)
    form = {"channels": said["transforms"]["channels"]}
    form |= {"image_size": said["transforms"]["image_size"]}
    classifier = Backbone(**said["backbone"]).build(num_classes=len(said["classes"]), **form)
    weights = {
        name: value.contiguous()
        for name, value in whole_weights(classifier, classifier.state_dict()).items()
    }
    save_file(weights, folder / "classifier.safetensors")
    return folder


def photo(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return a smooth colour image, ``[height, width, 3]``."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def mixed_photos(root: Path, seed: int = 0) -> Path:
    """Write three classes of images of mixed sizes, modes, formats and turns; one is broken."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, name in enumerate(("ant", "bee", "猫"), start=seed):
        folder = root / name
        folder.mkdir(parents=True)
        tall = Image.fromarray(photo(number, 40, 17))
        tall.save(folder / "turned.jpg", exif=exif.tobytes())
        tall.convert("L").save(folder / "grey.png")
        tall.convert("P").save(folder / "palette.gif")
        clear = tall.convert("RGBA")
        clear.putalpha(90)
        clear.save(folder / "clear.png")
        Image.fromarray(np.asarray(tall.convert("L")).astype(np.uint16) * 257).save(
            folder / "deep.png"
        )
        Image.fromarray(photo(number + 9, 8, 8)).save(folder / "exact.bmp")
    (root / "bee" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return root
