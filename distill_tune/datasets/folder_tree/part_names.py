"""Folder names that stand for parts, images, descriptions of images, or system folders."""

import re
from collections.abc import Collection
from itertools import pairwise
from typing import Final, Literal

Part = Literal["train", "val", "test"]
Role = Literal["train", "val", "test", "eval", "holdout"]

EXACT: Final[dict[str, Part]] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
"""Names that stand for a part regardless of the folders beside them, if they hold folders."""

_ROLES: Final[dict[str, Role]] = {
    **EXACT,
    "tr": "train",
    "trn": "train",
    "training": "train",
    "trainval": "train",
    "valdation": "val",
    "validate": "val",
    "validating": "val",
    "dev": "val",
    "devel": "val",
    "development": "val",
    "ts": "test",
    "tst": "test",
    "tests": "test",
    "testing": "test",
    "eval": "eval",
    "evaluation": "eval",
    "evaluate": "eval",
    "holdout": "holdout",
    "heldout": "holdout",
}
_TWO_WORDS: Final = {("hold", "out"): "holdout", ("held", "out"): "holdout"}
_COLLECTION: Final = re.compile(r"(.+?)(sets?|data|datasets?|images?|imgs?|splits?|parts?|files)")
_WORD: Final = re.compile(r"[^\W\d_]+")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")

_IMAGES: Final = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures"}
    | {"rgb", "stills"}
)
_DESCRIBING: Final = frozenset(
    {"anno", "ann", "annotation", "annotations", "bbox", "bboxes", "boxes", "depth", "depths"}
    | {"edges", "groundtruth", "gt", "gts", "json", "label", "labeled", "labelids", "labelled"}
    | {"labels", "mask", "masks"}
    | {"matte", "mattes", "seg", "segmentation", "segmentations", "segmentationclass"}
    | {"segmentationobject", "trimap", "trimaps", "xml", "xmls"}
)
_SYSTEM: Final = frozenset(
    {"@__qini", "@__thumb", "@appstore", "@cloudsync", "@database", "@download", "@eadir"}
    | {"@quarantine", "@recently-snapshot", "@recycle", "@sharebin", "@synoeastream"}
    | {"@synoresource", "@tmp", "@transcode", "#recycle", "#snapshot", "$extend", "$recycle.bin"}
    | {"$getcurrent", "$sysreset", "$windows.~bt", "$windows.~ws", "$winreagent"}
    | {"system volume information", "network trash folder", "temporary items", "~snapshot"}
    | {"config.msi", "desktop.ini", "thumbs.db", "ehthumbs.db", "__macosx", "__pycache__"}
)
_NUMBERED_SYSTEM: Final = re.compile(r"found\.\d{3}|lost\+found.*", re.IGNORECASE)
_MAY_BE_OF_A_SYSTEM: Final = re.compile(r"[@$]\D.*|RECYCLED|Recycled", re.DOTALL)
_DIGITS: Final = re.compile(r"\d+")
_SYSTEM_AS_WRITTEN: Final = frozenset({"RECYCLER", "Thumbs"})
_THUMBNAILS: Final = frozenset({"thumb", "thumbs", "thumbnail", "thumbnails"})


def role(name: str) -> Role | None:
    """Return the role in a folder's name, such as ``seg_train``, ``Training``, ``train2017``.

    None if the words of the name give no role, or two.
    """
    found = {_ROLES[word] for word in _words(name) if word in _ROLES}
    return found.pop() if len(found) == 1 else None


def is_named_for_images(name: str) -> bool:
    """Return whether a name stands for images of no particular class, such as ``images``."""
    return any(word in _IMAGES for word in _words(name))


def is_named_for_descriptions(name: str) -> bool:
    """Return whether a name stands for descriptions of images: ``masks``, ``Annotations``."""
    joined = "".join(_words(name))
    return joined in _DESCRIBING or any(word in _DESCRIBING for word in _words(name))


def is_of_a_system(name: str) -> bool:
    """Return whether a system or a tool made a file or folder of this name for itself.

    Such are hidden names, the folders of NAS systems, trash, snapshots and thumbnail databases.
    """
    if name.startswith(".") or name.casefold() in _SYSTEM or name in _SYSTEM_AS_WRITTEN:
        return True
    return _NUMBERED_SYSTEM.fullmatch(name) is not None


def may_be_of_a_system(name: str, beside: Collection[str]) -> bool:
    """Return whether a system or a tool probably made a folder, judging by the names beside it.

    Such names begin with ``@`` or ``$``, or are the trash of old disks. A class would have siblings
    with similar names.

    Args:
        name: Name of the folder.
        beside: Names of the folders beside it.
    """
    if not _MAY_BE_OF_A_SYSTEM.fullmatch(name):
        return False
    others = [one for one in beside if not _MAY_BE_OF_A_SYSTEM.fullmatch(one)]
    if name[0] in "@$":
        return len(others) > 1 or not beside
    is_alike = any(one.isupper() == name.isupper() and one[:1].isupper() for one in others)
    return not is_alike and len(others) != 1


def are_numbered(names: Collection[str]) -> bool:
    """Return whether names differ by numbers alone, so that another class may share them."""
    return 2 * len({_DIGITS.sub("", name) for name in names}) < len(names)


def is_named_for_thumbnails(name: str) -> bool:
    """Return whether a name stands for small copies of the images beside the folder."""
    return name.casefold().strip("_-. ") in _THUMBNAILS


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case: ``TrainSet_2`` has ``train``."""
    words = [word.casefold() for word in _WORD.findall(_CAMEL.sub(" ", name))]
    whole = "".join(words)
    if whole in {"trainval", "heldout", "holdout"}:
        return [whole]
    for pair, meant in _TWO_WORDS.items():
        if pair in pairwise(words):
            words.append(meant)
    for word in tuple(words):
        collection = _COLLECTION.fullmatch(word)
        if collection and collection[1] in _ROLES:
            words.append(collection[1])
    return words
