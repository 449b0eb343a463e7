"""``distill-tune new``."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill_tune.cli.running import console, prepare, reporting
from distill_tune.errors import InputError, Text

if TYPE_CHECKING:
    from distill_tune.tuning.draft.case import Wish
    from distill_tune.tuning.draft.images import ImageFacts

Data = Annotated[
    str, typer.Option(metavar="PATH", help="A folder of class folders, an .npz, or a kind's name.")
]
DataFields = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="data.FIELD=VALUE", help="How to read the images; repeatable."),
]
Backbones = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A torchvision model such as resnet50; repeatable."),
]
Minutes = Annotated[
    float | None, typer.Option(min=1, help="Time for the search; by default 30, on a GPU 120.")
]


def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study to write: my.yaml.")],
    *,
    data: Data,
    assignments: DataFields = None,
    backbone: Backbones = None,
    minutes: Minutes = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
) -> None:
    """Look at your images and write a study that suits them and this machine."""
    with reporting():
        with _permitted(file):
            _refuse_place(file, is_forced=force)
        prepare(None)
        from distill_tune.terminal.views import ConsoleViews
        from distill_tune.tuning.draft.case import Wish, given_backbone
        from distill_tune.tuning.draft.draft import draft_study
        from distill_tune.tuning.draft.images import look_at

        output = console(as_json=False)
        views = ConsoleViews(output)
        wish = Wish(tuple(map(given_backbone, dict.fromkeys(backbone or ()))), minutes)
        views.say(f"looking at {data}")
        facts = look_at(data, assignments or [])
        views.say(str(facts))
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._")[:100] or "study"
        found = draft_study(name, facts, _asked(facts, wish), views)
        with _permitted(file), file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(found.text)
        for text in found.remarks:
            output.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
        views.say(f"written: {file}; its search should take {found.duration}")
        if found.open_points:
            points = (f"\n  {field}: {question}" for field, question in found.open_points)
            views.say(f"to decide, in {file}{''.join(points)}")
        command = f"distill-tune search --space {shlex.quote(str(file))}"
        views.say(f"next\n  {command} --dry-run\n  {command}")


def _is_asking() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked(facts: "ImageFacts", wish: "Wish") -> "Wish":
    """Return the wish with what only the user can decide, if there is a terminal to ask in."""
    if not _is_asking():
        return wish
    if facts.flips is None:
        question = "Does a mirrored image keep its meaning (not for digits or text)?"
        default = facts.fields["kind"] == "folder"
        wish = wish._replace(flips=typer.confirm(question, default=default))
    if facts.is_unbalanced:
        question = "Classes differ in size. Should every class count equally, however rare?"
        wish = wish._replace(is_balanced=typer.confirm(question, default=True))
    return wish


@contextmanager
def _permitted(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        got = Text(f"{file} ({error.strerror})")
        raise InputError("FILE", got=got, expected="a file that can be written") from None


def _refuse_place(file: Path, *, is_forced: bool) -> None:
    """Refuse a file that cannot be written; the content of an existing one is kept.

    Raises:
        InputError: Its name, its folder, or the file that is there is unsuitable.
        OSError: The system refuses to write to it.
    """
    reasons = {
        "a name that ends in .yaml": file.suffix.lower() not in {".yaml", ".yml"},
        "a file in a folder that exists": not file.absolute().parent.is_dir(),
        "a file, not a folder": file.is_dir(),
        "a file that does not exist yet, or --force": file.exists() and not is_forced,
    }
    for expected, is_refused in reasons.items():
        if is_refused:
            raise InputError("FILE", got=str(file), expected=expected)
    if not os.path.lexists(file):
        file.touch(exist_ok=False)
        file.unlink()
    elif file.exists():
        file.open("a").close()
