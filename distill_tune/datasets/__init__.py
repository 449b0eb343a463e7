"""The index of data sets; a new kind needs one file here and one line below."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from distill_tune.datasets.digits import Digits
from distill_tune.datasets.folder import Folder
from distill_tune.datasets.mnist5k import Mnist5k
from distill_tune.datasets.npz import Npz
from distill_tune.datasets.sealed_split import unsealed
from distill_tune.datasets.source import ImageSource
from distill_tune.datasets.torchvision_sets import KINDS, TorchvisionSet

DATASETS: dict[str, type[ImageSource]] = {
    "digits": Digits,
    "folder": Folder,
    "mnist5k": Mnist5k,
    "npz": Npz,
    **dict.fromkeys(KINDS, TorchvisionSet),
}

if TYPE_CHECKING:
    Dataset = ImageSource
else:
    # A field of this type accepts any kind of the index; ``kind`` selects it.
    Dataset = Annotated[reduce(or_, dict.fromkeys(DATASETS.values())), Field(discriminator="kind")]

__all__ = ["DATASETS", "Dataset", "ImageSource", "unsealed"]
