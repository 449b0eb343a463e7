"""The plugins that a user has named, and how they reach other processes.

They are kept in an environment variable, with their text. Worker processes inherit it, and those of
a cluster receive it. The modules are imported from there, not from files, so that all processes run
the same text.
"""

import functools
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from distill_tune.errors import InputError, Message, Parameter, Text, show

_VARIABLE = "DISTILL_TUNE_PLUGINS"
_MODULE = "distill_tune_plugin_"
_LONGEST = 100_000
"""Largest length of all texts together: an environment variable holds little more."""
_WHERE = Parameter("plugins")


class Source(NamedTuple):
    """A plugin.

    Attributes:
        name: File name, such as ``my_parts.py``, or the name of an installed distribution.
        text: Text of the file; of a distribution, its version.
        path: Absolute path of the file; empty for a distribution.
    """

    name: str
    text: str
    path: str = ""

    @property
    def module(self) -> str:
        """Name of the module that a file becomes; empty for a distribution."""
        return f"{_MODULE}{self.name.removesuffix('.py')}" if self.path else ""


def use(plugins: str | Path | Iterable[str | Path]) -> None:
    """Make plugins known to this process and to those that it starts; no code is run yet.

    Args:
        plugins: Paths of ``.py`` files, or names of installed distributions; one or several.

    Raises:
        InputError: A file cannot be read, a distribution is not installed, or two have one name.
    """
    found = {source.name: source for source in sources()}
    if isinstance(plugins, str | Path) or not isinstance(plugins, Iterable):
        plugins = [plugins]
    for plugin in plugins:
        source = _source(str(plugin))
        if found.get(source.name, source).text != source.text:
            expected = "another file name: a plugin with this name and another text is in use"
            raise InputError(_WHERE, got=str(plugin), expected=expected)
        found[source.name] = source
    if sum(len(source.text.encode()) for source in found.values()) > _LONGEST:
        got = Text(f"plugins of more than {_LONGEST} bytes together")
        raise InputError(_WHERE, got=got, expected="smaller ones, or an installed distribution")
    if found:
        os.environ[_VARIABLE] = json.dumps(list(found.values()))


def sources() -> tuple[Source, ...]:
    """Return the plugins in use, in the order in which they were named."""
    return _sources(os.environ.get(_VARIABLE, "[]"))


def require(plugins: object) -> None:
    """Refuse a study that needs plugins which the user has not named.

    Args:
        plugins: What the study lists, unchecked.

    Raises:
        InputError: Some of them are not in use; the message names all of these.
    """
    known = {source.name for source in sources()}
    listed = plugins if isinstance(plugins, list | tuple) else ()
    wanted = [str(one.get("name") if isinstance(one, Mapping) else one) for one in listed]
    missing = [name for name in wanted if Path(name).name not in known]
    if not missing:
        return
    named = (part for name in missing for part in (" ", _WHERE, f" {name}"))
    raise InputError(
        "plugins",
        got=Text(", ".join(map(show, missing))),
        expected=Message(
            f"{'it' if len(missing) == 1 else 'them'} to be named too (",
            *islice(named, 1, None),
            "): a study does not run code of its own",
        ),
    )


def options() -> str:
    """Return the options of a command that name the plugins in use, each after a space."""
    return "".join(f" --plugin {shlex.quote(one.path or one.name)}" for one in sources())


def digests() -> dict[str, str]:
    """Return the SHA-256 of every plugin in use, by name."""
    return {one.name: hashlib.sha256(one.text.encode()).hexdigest() for one in sources()}


def variables() -> Mapping[str, str]:
    """Return the environment variables by which the processes of a cluster know the plugins."""
    return {_VARIABLE: os.environ[_VARIABLE]} if sources() else {}


@functools.cache
def _sources(text: str) -> tuple[Source, ...]:
    return tuple(Source(*values) for values in json.loads(text))


def _source(plugin: str) -> Source:
    if not plugin.endswith(".py"):
        try:
            return Source(plugin, metadata.version(plugin))
        except (metadata.PackageNotFoundError, ValueError) as error:
            expected = "a .py file, or the name of an installed distribution"
            raise InputError(_WHERE, got=plugin, expected=expected) from error
    path = Path(plugin).expanduser().absolute()
    if not path.stem.isidentifier():
        expected = "a file name of letters, digits and '_', such as my_parts.py"
        raise InputError(_WHERE, got=path.name, expected=expected)
    try:
        return Source(path.name, path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        got = Text(f"{plugin}, which cannot be read ({reason})")
        raise InputError(_WHERE, got=got, expected="a Python file") from error


class _Loader:
    """Loads the module of a plugin from its text."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002 - importlib's
        return None

    def exec_module(self, module: ModuleType) -> None:
        code = compile(self._source.text, self._source.path, "exec")
        exec(code, vars(module))  # noqa: S102 - the user has named the plugin


class _Finder:
    """Finds the modules of plugins for ``import``, and so for pickles that name them."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        if not name.startswith(_MODULE):
            return None
        found = next((source for source in sources() if source.module == name), None)
        return spec_from_loader(name, _Loader(found)) if found else None  # type: ignore[arg-type]


if not any(getattr(one, "__name__", "") == _Finder.__name__ for one in sys.meta_path):
    sys.meta_path.append(_Finder)
