"""The commands that the READMEs show, in blocks and in the text, ready to be typed one by one."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
READMES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("", "distill_tune/**/", "search_spaces/**/", "tests/**/")
    for path in ROOT.glob(f"{pattern}README.md")
)
PLACEHOLDERS = {
    "new FILE": "new cells.yaml",
    "PATH": "path/to/images",
    "FILE": "search_spaces/resnet.yaml",
    "STUDY_DIR": "runs/resnet",
    "MODEL": "model/",
    "IMAGES": "photos/",
    "DIR": "synthetic/",
}
"""What a reader types in place of each word, in this order."""

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = {"", "bash", "sh", "console"}
_INDENTED = re.compile(r"(?:^ {4}.*\n|^\n(?= {4}))+", re.MULTILINE)
_COMMENT = re.compile(r"(^|\s+)#(\s.*)?$")
_NO_COMMAND = re.compile(r"[\w ./-]+:(\s|$)")
"""A line of YAML, or what a program says about something."""
_PROGRAMS = "distill-tune|kubectl|optuna-dashboard|pip|pytest|python3?|ray|tensorboard"
_IN_THE_TEXT = re.compile(rf"`((?:{_PROGRAMS}) [^`]+)`")
_MENTION = re.compile(r"\S+ [a-z]+")
"""The name of a command without anything that it is about, such as ``ray start``."""


def commands_in(text: str) -> list[str]:
    """Return the commands of a page, without what is said beside them.

    In a block, these are the lines after a ``$`` or, if there is none, all lines. A script is one
    command, its first line.
    """
    blocks = [body for language, body in _FENCED.findall(text) if language in _SHELL]
    rest = _FENCED.sub("", text)
    blocks += [textwrap.dedent(body) for body in _INDENTED.findall(rest)]
    found = [line for body in blocks for line in _lines(body)]
    found += [span for span in _IN_THE_TEXT.findall(rest) if not _MENTION.fullmatch(span)]
    return [_typed(part) for line in found for part in line.split(" && ")]


def _lines(body: str) -> list[str]:
    if body.startswith("#!"):
        return [body.partition("\n")[0]]
    lines = re.sub(r"\\\n\s*", "", body).splitlines()
    typed = [line[2:] for line in lines if line.startswith("$ ")]
    bare = [_COMMENT.sub("", line).strip() for line in typed or lines]
    return [line for line in bare if line and not _NO_COMMAND.match(line)]


def _typed(command: str) -> str:
    command = " ".join(command.replace(".venv/bin/", "").split())
    for word, value in PLACEHOLDERS.items():
        command = re.sub(rf"\b{word}\b", value, command)
    return command


def shown(name: str) -> list[str]:
    """Return the commands of a README."""
    return commands_in((ROOT / name).read_text(encoding="utf-8"))


SHOWN = {command for name in READMES for command in shown(name)}
