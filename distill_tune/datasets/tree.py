"""The tree of a folder, read: which folder is which part, and where its class folders stand.

What could be parts, or images beside what describes them, is never taken for classes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_tune.datasets.image_files import holds_images, images_in
from distill_tune.datasets.part_names import EXACT, Part, Role, is_named_for_images, role
from distill_tune.datasets.printable import printable
from distill_tune.datasets.tree_refusals import refuse_flat_parts, refuse_no_classes
from distill_tune.datasets.walking import sub_folders
from distill_tune.errors import InputError, Text, closest

_MOST_ALONE = 4
"""How deep a folder may stand alone in another: ``archive/seg_train/seg_train/<class>``."""


@dataclass(frozen=True)
class PartFolder:
    """Where the images of a part are.

    Attributes:
        named: The folder that has the part's name, or the root itself.
        classes: The folder of its class folders: ``named``, or one below it.
    """

    named: Path
    classes: Path


@dataclass(frozen=True)
class Tree:
    """What a folder is.

    Attributes:
        parts: By name, ``train`` at least.
        unused: Folders of images that are none of the parts, which people should hear of.
    """

    parts: dict[Part, PartFolder]
    unused: tuple[Path, ...] = ()


def read_tree(
    root: Path,
    *,
    without: Collection[Path] = (),
    known: Sequence[str] = (),
    needs_train: bool = True,
) -> Tree:
    """Read a folder of class folders, or of parts that hold them, one or two levels below too.

    Args:
        root: The folder.
        without: Folders in it that are spoken for: neither parts nor classes.
        known: Names of the classes, where they are known already: for a folder of such a name no
            more is asked.
        needs_train: Whether parts without ``train`` are of no use.

    Raises:
        InputError: Parts without ``train``, two folders for one part, or folders that are parts,
            or images and what describes them, rather than classes.
    """
    level = root
    for _ in range(_MOST_ALONE):
        folders = [path for path in sub_folders(level) if path not in without]
        is_known = bool(folders) and {printable(path.name) for path in folders} <= set(known)
        tree = None if is_known else _of_parts(level, folders, needs_train=needs_train)
        if tree is not None:
            if "train" in tree.parts:
                classes = tree.parts["train"].classes
                refuse_no_classes(classes, sub_folders(classes), known)
            return tree
        if is_known or len(folders) != 1 or not _holds_only_folders(folders[0]):
            break
        level = folders[0]
    refuse_no_classes(level, folders, known)
    return Tree({"train": PartFolder(root, level)})


def given_tree(root: Path, given: Mapping[Part, Path]) -> Tree:
    """Read a tree some of whose parts are known already; with ``train`` no other is looked for.

    Args:
        root: The folder.
        given: Folders of parts.

    Raises:
        InputError: As :func:`read_tree`; or a folder that is given is not there.
    """
    for part, path in given.items():
        if not path.is_dir():
            near = closest(path.name, [other.name for other in sub_folders(root)])
            raise InputError(
                f"data.{part}",
                got=str(path.relative_to(root) if path.is_relative_to(root) else path),
                expected=f"a folder that exists, its path relative to {root}",
                choices=[near] if near else [],
            )
        if not sub_folders(path):
            expected = "a folder with a folder of images for each class"
            raise InputError(
                f"data.{part}", got=Text(f"{path} without sub-folders"), expected=expected
            )
    if "train" in given:
        tree = Tree({"train": part_folder(given["train"])})
    else:
        tree = read_tree(root, without=given.values())
    classes = [printable(path.name) for path in sub_folders(tree.parts["train"].classes)]
    parts = dict(tree.parts)
    for part, path in given.items():
        if part != "train":
            parts[part] = part_folder(path, classes)
    return Tree(parts, tree.unused)


def part_folder(folder: Path, known: Sequence[str] = ()) -> PartFolder:
    """Return a part's folder with the one below it that holds its class folders.

    Args:
        folder: Of the part.
        known: Names of classes, at which the way down ends.
    """
    level = folder
    for _ in range(_MOST_ALONE):
        inner = sub_folders(level)
        if len(inner) != 1 or printable(inner[0].name) in known:
            break
        if not _holds_only_folders(inner[0]):
            break
        level = inner[0]
    return PartFolder(folder, level)


def _holds_only_folders(folder: Path) -> bool:
    return bool(sub_folders(folder)) and not images_in(folder)


def _class_folders(part: PartFolder) -> list[Path]:
    """Return a part's class folders; none where its images stand together in one folder."""
    inner = sub_folders(part.classes)
    if len(inner) == 1 and (role(inner[0].name) or is_named_for_images(inner[0].name)):
        return []  # Such as train/train/*.jpg, or val/images/*.jpg.
    return inner


def _of_parts(level: Path, folders: Sequence[Path], *, needs_train: bool) -> Tree | None:
    """Return the parts among folders; None where they are classes, by their names and content."""
    named = {path: called for path in folders if (called := role(path.name))}
    parts = {path: part_folder(path) for path in named}
    filled = [path for path in named if _class_folders(parts[path])]
    flat = [path for path in named if path not in filled and holds_images(path)]
    others = [path for path in folders if path not in filled and path not in flat]
    if not _are_parts(named, filled, flat, others):
        return None
    chosen = _chosen({path: named[path] for path in filled}, level)
    if "train" not in chosen and needs_train:
        refuse_flat_parts(level, [path for path in flat if named[path] == "train"], flat)
        raise InputError(
            "data.root",
            got=Text(f"{_listed(filled or flat)} in {level}"),
            expected="a train folder with a folder for each class beside "
            "(data.train names it, where it is called otherwise)",
        )
    found: dict[Part, PartFolder] = {}
    classes: list[str] = []
    for part, path in chosen.items():  # Train is the first.
        found[part] = part_folder(path, classes)
        classes = classes or [printable(inner.name) for inner in sub_folders(found[part].classes)]
    unused = [path for path in folders if path not in chosen.values() and holds_images(path)]
    return Tree(found, tuple(unused))


def _are_parts(
    named: Mapping[Path, Role],
    filled: Collection[Path],
    flat: Collection[Path],
    others: Iterable[Path],
) -> bool:
    """Tell whether folders are parts; a class may be called ``train`` (cars, planes, trains)."""
    if any(path.name.lower() in EXACT for path in filled):
        return True
    roles = {named[path] for path in (*filled, *flat)}
    if "train" in {named[path] for path in filled}:
        is_alone = len(filled) == 1 and not any(holds_images(path) for path in others)
        return len(roles) > 1 or is_alone
    exact = {EXACT.get(path.name.lower()) for path in flat} - {None}
    if len(roles) < 2 and not filled:
        return False
    # All that hold images are named as parts are; or one is called train, beside one called test.
    is_all = not any(holds_images(path) for path in others if path not in named)
    return is_all or len(exact) > 1


def _chosen(roles: Mapping[Path, Role], level: Path) -> dict[Part, Path]:
    """Return each part's folder, train first: that with the plain name, if several are alike."""
    chosen: dict[Part, Path] = {}
    for part in ("train", "val", "test"):
        paths = [path for path, found in roles.items() if found == part]
        plain = [path for path in paths if path.name.lower() in EXACT]
        if len(plain or paths) > 1:
            first, second = (plain or paths)[:2]
            raise InputError(
                "data.root",
                got=Text(f"both {first.name!r} and {second.name!r} in {level}"),
                expected=f"one folder for {part} (data.{part} names it)",
            )
        if paths:
            chosen[part] = (plain or paths)[0]
    # What these are called depends on what else there is; whoever could be tested on is sealed.
    for late in ("holdout", "eval"):
        for path in (path for path, found in roles.items() if found == late):
            if "test" not in chosen:
                chosen["test"] = path
            elif "val" not in chosen:
                chosen["val"] = path
    return chosen


def _listed(paths: Iterable[Path]) -> str:
    return " and ".join(printable(path.name) for path in paths)
