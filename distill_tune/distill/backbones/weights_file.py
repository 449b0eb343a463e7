"""Weights of a network in a local file: torchvision's, timm's, or those of a model folder."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distill_tune.distill.backbones.classifier_network import Classifier
from distill_tune.errors import InputError, Text, abridged

MODEL_WEIGHTS = "classifier.safetensors"
"""The weights in a model folder."""
_WHERE = "backbones.weights"
_NORMALISATION = ("mean", "std")
_SHOWN = 3


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file of weights, as 64 hex digits.

    Raises:
        InputError: It cannot be read.
    """
    file = _file(path)
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(file, error) from error


def load_weights(classifier: Classifier, path: Path, *, name: str, sha256: str | None) -> None:
    """Load a file of weights into a classifier, in place, and set its ``remark``.

    The head is loaded if it has as many classes, and left out otherwise. Filters of colour images
    are summed for grey ones.

    Args:
        classifier: Built for weights from a file.
        path: A ``.safetensors`` file, or a folder with one in it, as ``train`` writes it.
        name: Name of the network, for messages.
        sha256: Expected digest; None: any.

    Raises:
        InputError: The file is missing, has changed, or holds the weights of another network.
    """
    file = _file(path)
    if sha256 is not None and (found := weights_digest(path)) != sha256:
        raise InputError(
            _WHERE,
            got=Text(f"{file}, whose content has changed (SHA-256 {found[:12]}...)"),
            expected=f"the weights that the study began with (SHA-256 {sha256[:12]}...)",
        )
    own = classifier.state_dict()
    given, num_classes = _by_own_names(_read(file), classifier)
    head = {key: given.pop(key) for key in ("head.weight", "head.bias") if key in given}
    fitting = {key: _for_channels(value, own.get(key)) for key, value in given.items()}
    wrong = [*_mismatches(fitting, own)]
    if wrong:
        raise InputError(
            _WHERE,
            got=Text(f"{file}, which does not fit {name}: {abridged(wrong, _SHOWN)}"),
            expected="weights of this network, with its stem and input_size",
        )
    is_head_kept = {key: value.shape for key, value in head.items()} == {
        key: own[key].shape for key in ("head.weight", "head.bias")
    }
    classifier.load_state_dict(fitting | (head if is_head_kept else {}), strict=False)
    left = f"its head for {num_classes} classes is left out" if num_classes else "it has no head"
    classifier.remark = f"{name}: weights of {file}; " + (
        "its head has as many classes as the data and is used too"
        if is_head_kept
        else f"{left}, and a new one has the {len(own['head.bias'])} classes of the data"
    )


def _file(path: Path) -> Path:
    """Return the file itself, for a file or a model folder."""
    path = path.expanduser()
    return path / MODEL_WEIGHTS if path.is_dir() else path


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> InputError:
    reason = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
    return InputError(
        _WHERE,
        got=Text(f"{file}, which cannot be read ({' '.join(reason.split())[:200]})"),
        expected="a .safetensors file with a state dict, or a model folder; a .pth file becomes "
        "one with safetensors.torch.save_file(torch.load(path, weights_only=True), new_path)",
    )


def _by_own_names(
    tensors: dict[str, Tensor], classifier: Classifier
) -> tuple[dict[str, Tensor], int]:
    """Return tensors by their names in a classifier, and the number of classes of their head."""
    prefixes = ("body.", "head.", *_NORMALISATION)
    if "head.weight" in tensors and all(name.startswith(prefixes) for name in tensors):
        # A model that was trained from scratch does not store its mean and deviation.
        centred = tensors["head.weight"].new_tensor(0.5)
        given = dict.fromkeys(_NORMALISATION, centred) | tensors
    else:
        given = {f"body.{name}": tensor for name, tensor in tensors.items()}
    for number, path in enumerate(classifier.heads_left_out):
        for name in [name for name in given if name.startswith(f"body.{path}.")]:
            tensor = given.pop(name)
            if number == 0:
                # SqueezeNet's head is a convolution.
                shaped = tensor.flatten(1) if tensor.ndim > 1 else tensor
                given[f"head.{name.rpartition('.')[2]}"] = shaped
    num_classes = len(given["head.weight"]) if "head.weight" in given else 0
    return given, num_classes


def _for_channels(tensor: Tensor, own: Tensor | None) -> Tensor:
    """Return filters of colour images summed, if the network takes grey ones."""
    if own is None:
        return tensor
    if tensor.ndim == 0 and own.ndim == 4:
        return tensor.expand(own.shape)
    is_grey = own.ndim == tensor.ndim == 4 and own.shape[1] == 1 and tensor.shape[1] == 3
    return tensor.sum(dim=1, keepdim=True) if is_grey else tensor


def _mismatches(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield every tensor of the body that is missing, unknown, or of another shape."""
    for name, tensor in own.items():
        short = name.removeprefix("body.")
        is_needed = name.startswith("body.") and not name.endswith("num_batches_tracked")
        if name not in given and is_needed:
            yield f"{short} is missing"
        elif name in given and given[name].shape != tensor.shape:
            yield f"{short} is {[*given[name].shape]} instead of {[*tensor.shape]}"
    yield from (f"{name.removeprefix('body.')} is unknown" for name in given if name not in own)
