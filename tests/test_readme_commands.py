"""Commands in the READMEs: accepted by our command line with their options, and run or excused."""

import re
import shlex

import pytest
from typer.main import get_command

from distill_tune.cli import app
from distill_tune.cli.options import with_plugins_first
from tests.readme_commands import READMES, ROOT, SHOWN, commands_in
from tests.readme_scenarios import NOT_RUN, SCENARIOS

OURS = sorted(line for line in SHOWN if re.match("distill-tune [a-z]", line))
RUN = {command for scenario in SCENARIOS for command in scenario}
EXCUSED = [command for commands in NOT_RUN.values() for command in commands]


@pytest.mark.parametrize("line", OURS)
def test_our_command_line_accepts_every_command(line: str) -> None:
    words = with_plugins_first(shlex.split(line)[1:])
    while words[0] == "--plugin":
        words = words[2:]
    name, *arguments = words
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.make_context(name, arguments).params


def test_every_command_is_run_or_it_is_said_why_not() -> None:
    assert SHOWN - RUN - set(EXCUSED) == set(), "add them to readme_scenarios.py"


def test_no_command_is_listed_that_no_readme_shows_or_twice() -> None:
    assert (RUN | set(EXCUSED)) - SHOWN == set()
    assert len(RUN | set(EXCUSED)) == len(RUN) + len(EXCUSED)


@pytest.mark.parametrize("text", sorted({*SHOWN, *NOT_RUN}))
def test_every_file_of_ours_that_is_named_is_there(text: str) -> None:
    named = re.findall(r"(?:tests|search_spaces|\.ci)/[\w/.-]*\w", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_python_is_shown_only_where_it_is_run() -> None:
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in READMES}
    shown = {name: text.count("```python\n") for name, text in texts.items()}
    # Run by test_api.py, tuning/test_citizen.py and datasets/test_folder_errors.py.
    assert {name: count for name, count in shown.items() if count} == {
        "distill_tune/README.md": 1,
        "distill_tune/tuning/README.md": 2,
        "search_spaces/README.md": 1,
    }


PAGE = """\
Type `distill-tune evaluate MODEL` or `A=1 b`; `ray start` and `distill-tune` are only mentioned.

    A=1 distill-tune export model/    # said of it
    # nothing but a comment
    data: {kind: folder}
    distill-tune search --space my.yaml \\
        --set a=1

```
$ cd x && .venv/bin/pytest  # all
2 passed

3 passed
```

```yaml
run: distill-tune
```
"""


def test_commands_are_found() -> None:
    assert commands_in(PAGE) == [
        "cd x",
        "pytest",
        "A=1 distill-tune export model/",
        "distill-tune search --space my.yaml --set a=1",
        "distill-tune evaluate model/",
    ]
    script = "```bash\n#!/bin/sh\n#SBATCH --nodes=4\nsleep 1\n```\n"
    assert commands_in(script) == ["#!/bin/sh"]
