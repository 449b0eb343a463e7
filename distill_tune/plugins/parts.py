"""Index of what plugins register, by kind and name."""

from collections.abc import Collection, Mapping
from importlib import import_module, metadata
from typing import Any, TypeVar

from pydantic import BaseModel

from distill_tune.errors import InputError, Parameter, Text
from distill_tune.plugins.sources import Source, sources

KINDS = ("backbones", "gans", "datasets", "arms", "metrics")
"""Kinds of parts: a dict of that name in capitals, or a group of entry points."""
_WHERE = Parameter("plugins")

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def parts(kind: str, base: type[T], taken: Collection[str] = ()) -> dict[str, Any]:
    """Return the parts of one kind that plugins register, by name.

    Args:
        kind: One of ``KINDS``.
        base: What a part is an instance or a subclass of.
        taken: Names that a part cannot have.

    Raises:
        InputError: A plugin fails, or registers something else under this kind.
    """
    found: dict[str, Any] = {}
    for source in sources():
        for name, part in _registered(source, kind).items():
            is_class = isinstance(part, type) and issubclass(part, base)
            if not (is_class or isinstance(part, base)):
                got = Text(f"{name} of {source.name} ({type(part).__name__})")
                raise InputError(_WHERE, got=got, expected=f"a {base.__name__} below {kind}")
            if name in found or name in taken:
                got = Text(f"{name} of {source.name}")
                raise InputError(_WHERE, got=got, expected=f"a name of its own among the {kind}")
            found[name] = part
    return found


def validated(part: type[M], raw: Mapping[str, Any]) -> M:
    """Return a part's configuration, checked like those of this package.

    Raises:
        ValueError: A key is unknown, or a value does not fit its field.
    """
    names = sorted(part.model_fields)
    for key in raw:
        if key not in names:
            expected = f"one of the keys {', '.join(names)}"
            raise ValueError(InputError(str(key), got=key, expected=expected, choices=names))
    return part.model_validate(dict(raw))


def _registered(source: Source, kind: str) -> dict[str, Any]:
    try:
        if source.module:
            module = import_module(source.module)
            if not any(hasattr(module, one.upper()) for one in KINDS):
                raise TypeError(f"it has none of {', '.join(one.upper() for one in KINDS)}")  # noqa: TRY301
            return dict(getattr(module, kind.upper(), {}))
        group = metadata.entry_points(group=f"distill_tune.{kind}")
        return {one.name: one.load() for one in group if one.dist and one.dist.name == source.name}
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        got = Text(f"{source.name}, which fails ({type(error).__name__}: {reason[:200]})")
        raise InputError(_WHERE, got=got, expected="a module that registers parts") from error
