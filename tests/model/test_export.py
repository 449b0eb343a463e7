"""A model as one program: the classifier's own logits, for any number of images."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from distill_tune.cli import app
from distill_tune.distill.augmentation import to_float
from distill_tune.model import Model, load_model
from tests.model.made import description, write_model
from tests.training.tiny import Trained


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def images(model: Model, count: int) -> Tensor:
    form = model.transforms
    generator = torch.Generator().manual_seed(count)
    shape = (count, form.channels, form.image_size, form.image_size)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def largest_difference(model: Model, program: Any) -> float:
    batches = [images(model, count) for count in (1, 2, 7)]
    pairs = [(program(batch), model.classifier(to_float(batch))) for batch in batches]
    return max(float((got - expected).abs().max()) for got, expected in pairs)


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a network with batch norm that sees its images enlarged."""
    said = description(["ant", "bee", "cat"], 3, 16)
    said["backbone"] = {"name": "resnet18", "stem": "imagenet", "input_size": 32}
    return load_model(write_model(tmp_path_factory.mktemp("residual") / "model", said))


def test_the_program_gives_the_classifiers_logits(residual: Model) -> None:
    status, stdout, stderr = run(residual.folder)
    assert (status, stderr) == (0, "")
    file = residual.folder / "classifier.pt2"
    assert stdout.splitlines() == [
        f"written: {file}",
        "  images: uint8 [n, 3, 16, 16] in 0..255, n >= 1",
        "  logits: float32 [n, 3], in the order of the classes",
    ]
    files = {"model.yaml": ""}
    program = torch.export.load(file, extra_files=files).module()
    assert largest_difference(residual, program) <= 1e-5
    assert files["model.yaml"] == (residual.folder / "model.yaml").read_text("utf-8")
    # It stands beside the model's own files, which are what is read.
    assert load_model(residual.folder).classes == ("ant", "bee", "cat")


def test_the_onnx_program_gives_the_classifiers_logits(residual: Model, here: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    status, stdout, stderr = run(residual.folder, "--format", "onnx", "--out", "own.onnx")
    assert (status, stderr) == (0, "")
    assert stdout.startswith(f"written: {here / 'own.onnx'}\n")
    session = runtime.InferenceSession("own.onnx", providers=["CPUExecutionProvider"])

    def program(given: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": given.numpy()})[0])

    assert largest_difference(residual, program) <= 1e-5
    held = session.get_modelmeta().custom_metadata_map["model.yaml"]
    assert held == (residual.folder / "model.yaml").read_text("utf-8")


def test_without_its_packages_onnx_names_the_command_that_installs_them(
    trained: Trained, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without(name: str) -> Any:
        return None if name == "onnxscript" else find(name)

    monkeypatch.setattr("distill_tune.model.export.find_spec", without)
    message = (
        "--format: got onnx without onnxscript, expected the optional packages: pip install "
        "'distill-tune[onnx]'\n"
    )
    assert run(trained.folder, "--format", "onnx", "--out", "own.onnx") == (2, "", message)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--format onx",
            "--format: got 'onx', expected one of torch-export, onnx. Did you",
        ),
        ("--out own.onnx", "--out: got 'own.onnx', expected a name that ends in .pt2"),
        ("--out notes.txt/own.pt2", "--out: got notes.txt below "),
    ],
)
def test_a_mistake_is_named(trained: Trained, here: Path, options: str, message: str) -> None:
    Path("notes.txt").touch()
    status, stdout, stderr = run(trained.folder, *options.split())
    assert (status, stdout) == (2, "")
    assert stderr.startswith(message)
    assert [path.name for path in here.iterdir()] == ["notes.txt"]
