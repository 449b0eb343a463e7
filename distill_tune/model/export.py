"""Export of a model as one program that runs without distill-tune: torch.export, or ONNX.

Both take images ``[n, channels, image_size, image_size]``, uint8 in 0..255, for any n from 1, and
return logits ``[n, num_classes]``; both embed ``model.yaml``.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from distill_tune.distill.augmentation import to_float
from distill_tune.distill.backbones import Classifier
from distill_tune.errors import InputError, Parameter, Text
from distill_tune.model.folder import MODEL, Model
from distill_tune.model.output_folder import refuse_unwritable
from distill_tune.records.files.storage import storage_at

_ONNX_PACKAGES = ("onnx", "onnxscript")
_EXAMPLES = 2


class _FromPixels(nn.Module):
    """A classifier that takes uint8 images in 0..255."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(to_float(images))
        return logits


def export_model(model: Model, kind: str, out: Path | None) -> Path:
    """Write a model as one program.

    Args:
        model: Model on the CPU.
        kind: One of ``EXPORTS``.
        out: Output file; None: ``classifier.pt2`` or ``classifier.onnx`` in the model's folder.

    Returns:
        The written file.

    Raises:
        InputError: The kind is unknown, packages that it needs are not installed, or the file
            cannot be written.
    """
    if kind not in EXPORTS:
        expected = f"one of {', '.join(EXPORTS)}"
        raise InputError(Parameter("kind"), got=kind, expected=expected, choices=EXPORTS)
    suffix, make = EXPORTS[kind]
    file = out or model.folder / f"classifier{suffix}"
    if file.suffix != suffix:
        raise InputError(Parameter("out"), got=str(file), expected=f"a name that ends in {suffix}")
    refuse_unwritable(file.parent)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # The exporters' warnings are about their own internals.
        warnings.simplefilter("ignore")
        content = make(model)
    storage_at(str(file.parent)).write(file.name, content)
    return file


def _torch_export(model: Model) -> bytes:
    program = torch.export.export(
        _FromPixels(model.classifier).eval(),
        (_example(model),),
        dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}},
    )
    buffer = io.BytesIO()
    description = (model.folder / MODEL).read_text(encoding="utf-8")
    torch.export.save(program, buffer, extra_files={MODEL: description})
    return buffer.getvalue()


def _onnx(model: Model) -> bytes:
    missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            Parameter("kind"),
            got=Text(f"onnx without {' and '.join(missing)}"),
            expected="the optional packages: pip install 'distill-tune[onnx]'",
        )
    program = torch.onnx.export(
        _FromPixels(model.classifier).eval(),
        (_example(model),),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}},
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    description = (model.folder / MODEL).read_text(encoding="utf-8")
    program.model.metadata_props[MODEL] = description
    return bytes(program.model_proto.SerializeToString())


def _example(model: Model) -> Tensor:
    shape = (_EXAMPLES, model.transforms.channels, *[model.transforms.image_size] * 2)
    return torch.zeros(shape, dtype=torch.uint8)


EXPORTS: dict[str, tuple[str, Callable[[Model], bytes]]] = {
    "torch-export": (".pt2", _torch_export),
    "onnx": (".onnx", _onnx),
}
"""Kind -> the suffix of its file, and the function that makes the content."""
