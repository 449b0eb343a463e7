"""The tree of a folder: which folder is which part, and where its class folders are.

Folders that could be parts, or images beside descriptions, are never taken for classes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from distill_tune.datasets.folder_tree.class_folders import left_out
from distill_tune.datasets.folder_tree.listing import sub_folders
from distill_tune.datasets.folder_tree.part_folders import (
    PartFolder,
    Tree,
    holds_class_folders,
    holds_only_folders,
    part_folder,
)
from distill_tune.datasets.folder_tree.part_names import (
    EXACT,
    Part,
    Role,
    is_named_for_descriptions,
    role,
)
from distill_tune.datasets.folder_tree.refusals import (
    refuse_flat_parts,
    refuse_no_classes,
    refuse_parts_below,
)
from distill_tune.datasets.folder_tree.same_folders import MOST_ALONE, stepped
from distill_tune.datasets.folder_tree.unsorted_images import no_class_folders
from distill_tune.datasets.images.image_files import has_images, holds_images
from distill_tune.datasets.images.printable import printable
from distill_tune.errors import InputError, Text, closest


def read_tree(
    root: Path,
    *,
    without: Collection[Path] = (),
    known: Sequence[str] = (),
    needs_train: bool = True,
) -> Tree:
    """Read a folder of class folders, or of parts that hold them, possibly some levels down.

    Args:
        root: The folder.
        without: Folders to ignore, as neither parts nor classes.
        known: Names of the classes, if already known; folders of these names are not checked
            further.
        needs_train: Whether parts without ``train`` are refused.

    Raises:
        InputError: There are parts without ``train``, two folders for one part, or folders that are
            parts, or images and descriptions, rather than classes.
    """
    level = root
    omitted: dict[Path, str] = {}
    for _ in range(MOST_ALONE):
        folders = [path for path in sub_folders(level) if path not in without]
        if folders and {printable(path.name) for path in folders} <= set(known):
            return Tree({"train": PartFolder(root, level, omitted)})
        tree = _of_parts(level, folders, needs_train=needs_train)
        warnings = () if tree else refuse_no_classes(level, folders, known)
        tree = tree or _of_parts_below(level, folders)
        if tree is not None:
            return _checked(tree, known, omitted)
        left = left_out(folders)
        left = {path: why for path, why in left.items() if printable(path.name) not in known}
        inner = [path for path in folders if path not in left]
        omitted |= left
        if len(inner) != 1 or not holds_only_folders(inner[0]):
            break
        level = inner[0]
    return Tree({"train": PartFolder(root, level, omitted)}, warnings=warnings)


def _checked(tree: Tree, known: Sequence[str], omitted: Mapping[Path, str]) -> Tree:
    """Add folders left out above a tree of parts; refuse folders in it that are not classes."""
    if "train" not in tree.parts:
        return tree
    train = tree.parts["train"]
    warnings = refuse_no_classes(train.classes, sub_folders(train.classes), known)
    train = replace(train, left_out={**omitted, **train.left_out})
    return replace(tree, parts={**tree.parts, "train": train}, warnings=warnings)


def given_tree(root: Path, given: Mapping[Part, Path]) -> Tree:
    """Read a tree with given parts; if ``train`` is given, no other part is searched for.

    Args:
        root: The folder.
        given: Folders of the given parts.

    Raises:
        InputError: As :func:`read_tree`; or a given folder does not exist or has no sub-folders.
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
            raise no_class_folders(path, f"data.{part}", root)
    if "train" in given:
        tree = Tree({"train": part_folder(given["train"], is_given=True)})
    else:
        tree = read_tree(root, without=given.values())
    classes = [printable(path.name) for path in tree.parts["train"].class_folders()]
    parts = dict(tree.parts)
    for part, path in given.items():
        if part != "train":
            parts[part] = part_folder(path, classes, is_given=True)
    return replace(tree, parts=parts)


def _of_parts(level: Path, folders: Sequence[Path], *, needs_train: bool) -> Tree | None:
    """Return the parts among folders; None if they are classes, by their names and content."""
    named = {path: called for path in folders if (called := role(path.name))}
    parts = {path: part_folder(path) for path in named}
    filled = [path for path in named if holds_class_folders(parts[path])]
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
            expected="a train folder beside them, with a folder for each class "
            "(data.train names it if it has another name)",
        )
    found: dict[Part, PartFolder] = {}
    classes: list[str] = []
    for part, path in chosen.items():  # Train comes first.
        found[part] = part_folder(path, classes)
        classes = classes or [printable(inner.name) for inner in found[part].class_folders()]
    unused = [path for path in folders if path not in chosen.values() and holds_images(path)]
    return Tree(found, tuple(unused))


def _of_parts_below(level: Path, folders: Sequence[Path]) -> Tree | None:
    """Return the parts in one of several folders, if the others are parts too or hold no images.

    Raises:
        InputError: Other folders hold images, or several hold parts.
    """
    if len(folders) < 2:
        return None
    below = {path: tree for path in folders if (tree := _parts_in(path)) is not None}
    if not below:
        return None
    folder, tree = next(iter(below.items()))
    others = [path for path in folders if path != folder and holds_images(path)]
    is_clear = all(role(path.name) or is_named_for_descriptions(path.name) for path in others)
    if len(below) == 1 and is_clear:
        return replace(tree, unused=(*tree.unused, *others))
    found = tree.parts["train"].named.parent
    refuse_parts_below(level, found, [part.named for part in tree.parts.values()], others)
    return None


def _parts_in(folder: Path) -> Tree | None:
    """Return the parts in a folder or below single folders in it; None for fewer than two."""
    level = stepped(folder)
    if has_images(level) or not any(role(path.name) for path in sub_folders(level)):
        return None
    with suppress(InputError):
        tree = _of_parts(level, sub_folders(level), needs_train=True)
        if tree and len(tree.parts) > 1 and len(tree.parts["train"].class_folders()) > 1:
            return tree
    return None


def _are_parts(
    named: Mapping[Path, Role],
    filled: Collection[Path],
    flat: Collection[Path],
    others: Iterable[Path],
) -> bool:
    """Return whether folders are parts; a class may be called ``train`` (cars, planes, trains)."""
    if any(path.name.lower() in EXACT for path in filled):
        return True
    roles = {named[path] for path in (*filled, *flat)}
    if "train" in {named[path] for path in filled}:
        is_alone = len(filled) == 1 and not any(holds_images(path) for path in others)
        return len(roles) > 1 or is_alone
    exact = {EXACT.get(path.name.lower()) for path in flat} - {None}
    if len(roles) < 2 and not filled:
        return False
    # All folders with images have names of parts; or one is called train, and another test.
    is_all = not any(holds_images(path) for path in others if path not in named)
    return is_all or len(exact) > 1


def _chosen(roles: Mapping[Path, Role], level: Path) -> dict[Part, Path]:
    """Return the folder of each part, train first; of several, the one with the plain name."""
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
    # The role of these depends on the other parts; a possible test part stays sealed.
    for late in ("holdout", "eval"):
        for path in (path for path, found in roles.items() if found == late):
            if "test" not in chosen:
                chosen["test"] = path
            elif "val" not in chosen:
                chosen["val"] = path
    return chosen


def _listed(paths: Iterable[Path]) -> str:
    return " and ".join(printable(path.name) for path in paths)
