"""Conversion of YAML text to plain data and back."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import yaml

from distill_tune.errors import InputError, Text, show
from distill_tune.study.yaml.merge import MERGE, Merging

Place = tuple[str | int, ...]

MAX_LEVELS: Final = 64
"""Maximum depth of nested values; a study needs six."""
MAX_REPEATED: Final = 10_000
"""Maximum number of values that the aliases in a file repeat."""

_TEXT, _LIST, _MAPPING = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[Mapping[str, object]] = MappingProxyType(
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | {".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
)


def read_scalar(text: str) -> object:
    """Return the value of a plain YAML scalar: null, true, false, a number, or else the text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def scalar_text(value: object) -> str:
    """Return a scalar as YAML writes it, text without quotation marks."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        text = float.__repr__(value)
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text)
    return str(value)


def describe(value: object) -> Text:
    """Return ``value`` with its type, for an error message: ``'a' (text)``."""
    if value is None:
        return Text("nothing (null)")
    if isinstance(value, Mapping):
        return Text(f"{show(value)} (a mapping)")
    if isinstance(value, list | tuple):
        return Text(f"{show(list(value))} (a list)")
    if isinstance(value, str):
        return Text(f"{show(value)} (text)")
    words = {bool: "a true/false value", int: "a whole number", float: "a decimal number"}
    return Text(f"{scalar_text(value)} ({words.get(type(value), type(value).__name__)})")


def to_yaml(value: object) -> str:
    """Return plain data as YAML that reads back equal: block style, short lists on one line."""
    text: str = yaml.serialize(
        _node(value), Dumper=yaml.BaseDumper, allow_unicode=True, width=2**31
    )
    return text


def _node(value: object) -> yaml.Node:
    if isinstance(value, Mapping):
        pairs = [(_node(str(key)), _node(item)) for key, item in value.items()]
        return yaml.MappingNode(_MAPPING, pairs, flow_style=False)
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, Mapping | list | tuple) for item in value)
        short = not nested and len(str(value)) <= 80
        return yaml.SequenceNode(_LIST, [_node(item) for item in value], flow_style=short)
    text = scalar_text(value)
    style = None
    if isinstance(value, str):
        # PyYAML loses rare line breaks in any other style.
        breaks = len(text.splitlines()) > 1 or text[-1:].isspace()
        looks_otherwise = text == MERGE or not isinstance(read_scalar(text), str)
        style = '"' if breaks else "'" if looks_otherwise else None
    return yaml.ScalarNode(_TEXT, text, style=style)


def read_value(text: str) -> Any:
    """Return a short YAML text as plain data, by the rules of ``read_yaml``.

    Raises:
        InputError: The text is not YAML.
    """
    return load(text, "text")[1]


def mark_text(source: str, mark: yaml.Mark | None) -> str:
    """Return ``file:line:column``, counted from 1."""
    return f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source


def load(text: str, source: str) -> tuple[yaml.Node | None, Any]:
    """Return the node tree and the plain data of a YAML text; both are None for an empty text.

    Raises:
        InputError: The text is not YAML, a key is duplicate or not text, a value has a tag, or the
            text would exhaust memory or the stack. The error has its position.
    """
    node = _compose(text, source)
    return node, None if node is None else _Builder(source).build(node, ())


class _Loader(yaml.BaseLoader):
    """Loader that composes nodes as PyYAML does, but allows redefined anchors as in YAML 1.2."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


def _compose(text: str, source: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        place = f"{source}:{len(before)}:{len(before[-1]) + 1}"
        met = Text(f"the control character {error.character:#04x}")
        raise InputError("YAML", got=met, expected="text", location=place) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, source) from None
    except (
        ValueError,
        OverflowError,
    ):  # Raised by PyYAML for a number in the place of a character.
        met = Text("a '\\U' or a '%' with too large a number")
        raise InputError("YAML", got=met, expected="text", location=source) from None
    except RecursionError:
        raise _endless(source) from None
    return node


def _endless(location: str) -> InputError:
    met = Text("values nested without end, or an alias (*) of an enclosing value")
    return InputError("YAML", got=met, expected="fewer levels", location=location)


def _syntax_error(error: yaml.MarkedYAMLError, source: str) -> InputError:
    """Return an error in PyYAML's words: what it was parsing, since where, and what it found."""
    words = [error.problem or "an unknown error"]
    if error.context:
        since = error.context_mark
        where = f" at line {since.line + 1}, column {since.column + 1}" if since else ""
        words = [f"{error.context}{where}", *words]
    met = Text(f"a syntax error ({', '.join(words)})")
    return InputError(
        "YAML", got=met, expected="valid YAML", location=mark_text(source, error.problem_mark)
    )


class _Builder:
    """Builder of plain data from nodes: keys are text, plain scalars are converted.

    Args:
        source: The file's name for messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: set[int] = set()
        self._num_repeated = 0
        self._merging = Merging(source)

    def build(self, node: yaml.Node, path: Place) -> Any:
        """Return the plain data of a node at ``path``."""
        self._refuse_excess(node, path)
        if isinstance(node, yaml.ScalarNode):
            return read_scalar(node.value) if node.style is None else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        self._merging.unfold(node, dotted(path))
        with self._merging.within(node):
            return self._mapping(node, path)

    def _mapping(self, node: yaml.Node, path: Place) -> dict[str, Any]:
        marks: dict[str, yaml.Mark] = {}
        value: dict[str, Any] = {}
        for key, item in node.value:
            name = _key(key, marks, path, self._source)
            marks[name] = key.start_mark
            value[name] = self.build(item, (*path, name))
        return value

    def _refuse_excess(self, node: yaml.Node, path: Place) -> None:
        place = mark_text(self._source, node.start_mark)
        if node.tag not in (_TEXT, _LIST, _MAPPING):
            met = Text(f"the tag {node.tag!r}")
            expected = "a value without one"
            raise InputError(dotted(path), got=met, expected=expected, location=place)
        if len(path) > MAX_LEVELS:
            raise _endless(self._source)
        self._num_repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._num_repeated > MAX_REPEATED:
            met = Text(f"more than {MAX_REPEATED} values that aliases (*) repeat")
            raise InputError("YAML", got=met, expected="fewer", location=place)


def _key(node: yaml.Node, earlier: Mapping[str, yaml.Mark], path: Place, source: str) -> str:
    place = mark_text(source, node.start_mark)
    if not isinstance(node, yaml.ScalarNode):
        met = Text("a key that is a list or a mapping")
        raise InputError(dotted(path), got=met, expected="text", location=place)
    name = str(node.value)
    if name in earlier:
        mark = earlier[name]
        expected = f"it once (the first is at line {mark.line + 1}, column {mark.column + 1})"
        met = Text("this key a second time")
        raise InputError(dotted((*path, name)), got=met, expected=expected, location=place)
    return name


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as messages show it: ``backbones.0.stem``."""
    return ".".join(str(part) for part in path) or "top level"
