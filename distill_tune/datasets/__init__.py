"""The index of data sets; a new kind needs one file here and one line below."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator

from distill_tune.datasets.digits import Digits
from distill_tune.datasets.folder import Folder
from distill_tune.datasets.mnist5k import Mnist5k
from distill_tune.datasets.npz import Npz
from distill_tune.datasets.sealed_split import unsealed
from distill_tune.datasets.source import ImageSource
from distill_tune.datasets.torchvision_sets import KINDS, TorchvisionSet
from distill_tune.plugins import parts, validated

DATASETS: dict[str, type[ImageSource]] = {
    "digits": Digits,
    "folder": Folder,
    "mnist5k": Mnist5k,
    "npz": Npz,
    **dict.fromkeys(KINDS, TorchvisionSet),
}


def _of_plugin(raw: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Return a data set whose kind a plugin registers; the others are left to the index."""
    if isinstance(raw, ImageSource):
        return raw
    kind = raw.get("kind") if isinstance(raw, dict) else None
    own = parts("datasets", ImageSource, DATASETS).get(kind) if isinstance(kind, str) else None
    return handler(raw) if own is None else validated(own, raw)


if TYPE_CHECKING:
    Dataset = ImageSource
else:
    _Kinds = Annotated[reduce(or_, dict.fromkeys(DATASETS.values())), Field(discriminator="kind")]
    # A field of this type accepts any kind of the index or of a plugin; ``kind`` selects it.
    Dataset = Annotated[SerializeAsAny[_Kinds], WrapValidator(_of_plugin)]

__all__ = ["DATASETS", "Dataset", "ImageSource", "unsealed"]
