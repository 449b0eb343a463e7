"""YAML to checked objects and back: every error as ``file:line:column: where: got X, expected Y``.

A validator says what would have been right: ``raise ValueError("expected ...")``, or
``raise ValueError(InputError(...))`` with ``where`` relative to the model that it belongs to.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from distill_tune.errors import InputError, InputErrors, Text, closest, show

Place = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

A_MAPPING: Final = "a mapping (lines of 'key: value')"
_ABSENT: Final = object()
_TEXT, _LIST, _MAPPING = (f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[Mapping[str, object]] = MappingProxyType(
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | {".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
)
# A part of what PyYAML says, what was met, what to write instead; the first that fits is used.
_SYNTAX: Final = (
    (
        "mapping values are not",
        "a ':' out of place",
        "one 'key: value' a line, indented alike (text with ': ' in quotes)",
    ),
    (r"character '\t'", "a tab", "spaces"),
    ("cannot start any token", "a sign that text cannot begin with", "the text in quotes"),
    ("undefined alias", "an alias (*) that nothing defines", "text that begins with * in quotes"),
    ("find expected ':'", "a line without ':'", "'key: value'"),
    ("end of stream", "a quotation mark that is not closed", "a second one"),
    ("',' or ']'", "a list without a ',' or its ']'", "a list such as [1, 2]"),
    ("',' or '}'", "a mapping without a ',' or its '}'", "a mapping such as {kind: a, seed: 0}"),
    (
        "<block end>",
        "something out of place",
        "keys of one mapping indented alike, text in one pair of quotes",
    ),
    ("entries are not allowed", "a list item after a key", "every '- item' on a line of its own"),
    ("another document", "a second document ('---')", "one"),
    ("escape character", "an unknown '\\' in double quotes", "single quotes around the text"),
)
# pydantic's names of errors, and what would have been right; the error's context fills the braces.
_EXPECTED: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("int_type", "int_from_float"), "a whole number")
    | dict.fromkeys(("list_type", "tuple_type"), "a list")
    | dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), A_MAPPING)
    | {
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "text",
        "is_instance_of": "a {class}",
        "none_required": "null",
        "finite_number": "a finite number",
        "greater_than": "a number > {gt:g}",
        "greater_than_equal": "a number >= {ge:g}",
        "less_than": "a number < {lt:g}",
        "less_than_equal": "a number <= {le:g}",
        "multiple_of": "a multiple of {multiple_of:g}",
        "too_short": "a list of at least {min_length}",
        "too_long": "a list of at most {max_length}",
        "string_too_short": "text of at least {min_length} characters",
        "string_too_long": "text of at most {max_length} characters",
        "string_pattern_mismatch": "text that matches {pattern}",
    }
)


def read_scalar(text: str) -> object:
    """Return what a plain YAML scalar means: null, true, false, a number, or else the text."""
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
    """Return ``value`` with the kind of thing it is, for an error message: ``'a' (text)``."""
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
    """Return plain data as YAML that reads back equal: block style, a short list on one line."""
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
        looks_otherwise = not isinstance(read_scalar(text), str)
        style = '"' if breaks else "'" if looks_otherwise else None
    return yaml.ScalarNode(_TEXT, text, style=style)


def read_value(text: str) -> Any:
    """Return a short YAML text as plain data, by the rules of ``read_yaml``.

    Raises:
        InputError: It is no YAML.
    """
    return load(text, "text")[1]


def mark_text(source: str, mark: yaml.Mark | None) -> str:
    """Return ``file:line:column``, counted from 1."""
    return f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source


def load(text: str, source: str) -> tuple[yaml.Node | None, Any]:
    """Return the tree of nodes of a YAML text and its plain data; both None for an empty text.

    Raises:
        InputError: It is no YAML, a key stands twice or is no text, a value has a tag; located.
    """
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
        return node, None if node is None else _build(node, (), source)
    except yaml.reader.ReaderError as error:
        before = text[: error.position].split("\n")
        place = f"{source}:{len(before)}:{len(before[-1]) + 1}"
        met = Text(f"the control character {error.character:#04x}")
        raise InputError("YAML", got=met, expected="text", location=place) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, source) from None
    except RecursionError:
        met = Text("values nested without end, or an alias (*) of what it stands in")
        raise InputError("YAML", got=met, expected="fewer levels", location=source) from None


def _syntax_error(error: yaml.MarkedYAMLError, source: str) -> InputError:
    problem = f"{error.context} {error.problem}"
    known = [(met, right) for part, met, right in _SYNTAX if part in problem]
    met, right = (known or [("something unreadable", f"valid YAML ({error.problem})")])[0]
    # What is opened and never ends is shown where it opens, not at the end of the file.
    unclosed = re.search(r"end of stream|stream end|find expected", problem)
    mark = error.context_mark if unclosed and error.context_mark else error.problem_mark
    return InputError("YAML", got=Text(met), expected=right, location=mark_text(source, mark))


def _build(node: yaml.Node, path: Place, source: str) -> Any:
    """Return the plain data of a node: keys are text, plain scalars are what they mean."""
    if node.tag not in (_TEXT, _LIST, _MAPPING):
        met, place = Text(f"the tag {node.tag!r}"), mark_text(source, node.start_mark)
        raise InputError(dotted(path), got=met, expected="a value without one", location=place)
    if isinstance(node, yaml.ScalarNode):
        return read_scalar(node.value) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), source) for index, item in enumerate(node.value)]
    marks: dict[str, yaml.Mark] = {}
    value: dict[str, Any] = {}
    for key, item in node.value:
        name = _key(key, marks, path, source)
        marks[name] = key.start_mark
        value[name] = _build(item, (*path, name), source)
    return value


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
    """Return a path as a message names it: ``backbones.0.stem``."""
    return ".".join(str(part) for part in path) or "top level"


def get_path(value: Any, path: Sequence[str | int], default: object = None) -> Any:
    """Return what stands at ``path`` in nested plain data, or ``default``."""
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and str(part).isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return default
    return value


def set_path(data: dict[str, Any], path: Sequence[str | int], value: object) -> Place:
    """Set ``path`` in nested plain data, in place; mappings on the way are made when absent.

    Returns:
        The path with the indices of lists as integers.

    Raises:
        InputError: The path leads through a scalar, or to an index that a list has not.
    """
    here: Any = data
    done: Place = ()
    for part in path:
        step = _step(here, part, done, dotted(path))
        done = (*done, step)
        if len(done) == len(path):
            here[step] = value
        elif isinstance(here, dict) and here.get(str(step)) is None:
            here[step] = {}
        here = here[step]
    return done


def _step(here: object, part: str | int, done: Place, where: str) -> str | int:
    if isinstance(here, dict):
        return str(part)
    if not isinstance(here, list):
        met = Text(f"a place below {dotted(done)}, which is {describe(here)}")
        raise InputError(where, got=met, expected="a mapping there")
    if not str(part).isdecimal() or int(part) >= len(here):
        expected = f"a place in the list {dotted(done)}: a number below {len(here)}"
        raise InputError(where, got=part, expected=expected)
    return int(part)


def resolve(value: object, where: str) -> Place:
    """Split a dotted place along the keys of ``value``, which may hold dots themselves."""
    names: list[str] = []
    if isinstance(value, Mapping):
        names = sorted(value, key=len, reverse=True)
    elif isinstance(value, list):
        names = [str(index) for index in range(len(value))]
    for name in names:
        if where and f"{where}.".startswith(f"{name}."):
            step = name if isinstance(value, Mapping) else int(name)
            return (step, *resolve(get_path(value, (step,)), where[len(name) + 1 :]))
    return tuple(where.split(".")) if where else ()


def find_all(value: object, where: str, above: Place = ()) -> Iterator[Place]:
    """Yield every place in ``value`` that is there and whose dotted path ends in ``where``."""
    path = resolve(value, where)
    if get_path(value, path, default=_ABSENT) is not _ABSENT:
        yield (*above, *path)
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_all(item, where, (*above, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_all(item, where, (*above, index))


@dataclass
class Document:
    """A YAML file as plain data that knows where everything stands.

    Attributes:
        source: The file's name as the user gave it.
        value: Mappings, lists and scalars; changed by :meth:`set`.
        root: The file's own nodes, which hold the places.
        assigned: The paths given by ``--set``, each with the option as it was written.
        switched: The mappings whose ``kind`` was changed by ``--set``.
    """

    source: str
    value: dict[str, Any]
    root: yaml.Node = field(repr=False)
    assigned: dict[Place, str] = field(default_factory=dict)
    switched: set[Place] = field(default_factory=set)

    def locate(self, path: Place, *, key: bool = False) -> str:
        """Return ``file:line:column`` of a value (or its key), or of the nearest thing around it.

        A value given by ``--set`` is at ``--set path=value``, and so is what is missing where
        ``--set`` changed the ``kind``.
        """
        prefixes = [path[:length] for length in range(len(path), -1, -1)]
        for prefix in prefixes:
            if prefix in self.assigned:
                return self.assigned[prefix]
        for prefix in prefixes:
            if prefix != path and (*prefix, "kind") in self.assigned:
                return self.assigned[*prefix, "kind"]
            node = self._find(prefix, key=key and prefix == path)
            if node is not None:
                return mark_text(self.source, node.start_mark)
        return self.source

    def _find(self, path: Place, *, key: bool) -> yaml.Node | None:
        node, name = self.root, self.root
        for part in path:
            pairs: list[tuple[yaml.Node, yaml.Node]] = []
            if isinstance(node, yaml.MappingNode):
                pairs = [(own, item) for own, item in node.value if own.value == part]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                pairs = [(item, item) for item in node.value[part : part + 1]]
            if not pairs:
                return None
            name, node = pairs[0]
        return name if key else node

    def set(self, assignment: str) -> None:
        """Take one ``--set path=value``; below ``space`` the rest of the path is one key.

        After a change of a ``kind``, keys of the file that the new kind lacks are left out by
        ``parse``.

        Raises:
            InputError: No ``=``, an empty path or value, no YAML, or a path that leads nowhere.
        """
        name, equals, text = assignment.partition("=")
        path: Place = tuple(name.strip().split("."))
        if not equals or not all(path):
            example = "path=value, such as search.num_trials=8"
            raise InputError("--set", got=assignment, expected=example)
        if not text.strip():
            raise InputError("--set", got=assignment, expected="a value after the = (or null)")
        try:
            value = read_value(text)
        except InputError as error:
            expected = f"YAML after the =, not {error.got}"
            raise InputError("--set", got=assignment, expected=expected) from None
        if path[0] == "space" and len(path) > 1:
            path = ("space", dotted(path[1:]))
        self._assign(path, value, f"--set {assignment.strip()}")

    def _assign(self, path: Place, value: object, option: str) -> None:
        old = get_path(self.value, path)
        try:
            path = set_path(self.value, path, value)
        except InputError as error:
            raise error.at(option) from None
        if path[-1] == "kind" and old != value:
            self.switched.add(path[:-1])
        for below in [other for other in self.assigned if other[: len(path)] == path]:
            del self.assigned[below]
        self.assigned[path] = option

    def is_left_over(self, path: Place) -> bool:
        """Whether a key of the file stems from a ``kind`` that ``--set`` has replaced."""
        given = any(all(map(eq, other, path)) for other in self.assigned)
        return path[:-1] in self.switched and not given


def read_yaml(path: str | Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Only true and false are booleans (``no`` and ``off`` are text), ``1e-5`` is a number, ``010``
    is ten, ``12:30`` is text; no key may stand twice.

    Raises:
        InputError: There is no such file, it is no YAML, or its top level is no mapping.
    """
    source = str(path)
    return read_yaml_text(_read_text(source), source)


def read_yaml_text(text: str, source: str) -> Document:
    """Return YAML that was read already; ``source`` stands for its file in messages.

    Raises:
        InputError: As :func:`read_yaml`.
    """
    node, value = load(text, source)
    if node is None:
        met = Text("nothing but comments" if text.strip() else "an empty file")
        raise InputError(source, got=met, expected=A_MAPPING)
    if not isinstance(value, dict):
        place = mark_text(source, node.start_mark)
        raise InputError("top level", got=describe(value), expected=A_MAPPING, location=place)
    return Document(source, value, node)


def _read_text(source: str) -> str:
    path = Path(source)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        names = [other.name for other in path.parent.glob("*")]
        near = closest(path.name, names)
        choices = [str(path.with_name(near))] if near else []
        expected = "a file that exists"
        raise InputError("file", got=source, expected=expected, choices=choices) from None
    except IsADirectoryError:
        raise InputError("file", got=Text(f"the folder {source!r}"), expected="a file") from None
    except OSError as error:
        met = Text(f"{source!r} ({error.strerror})")
        raise InputError("file", got=met, expected="a file that can be read") from None
    if b"\0" in data:
        raise InputError("file", got=Text(f"{source!r} (binary)"), expected="YAML text in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().split("\n")
        place = f"{source}:{len(before)}:{len(before[-1]) + 1}"
        met = Text(f"the byte {data[error.start]:#04x}, which is not UTF-8")
        raise InputError("file", got=met, expected="text in UTF-8", location=place) from None


def locate_error(error: InputError, document: Document) -> InputError:
    """Return ``error`` with the place in the file of what its dotted ``where`` names."""
    if error.location:
        return error
    return error.at(document.locate(resolve(document.value, error.where)))


def translated(
    model: type[BaseModel], path: Place, errors: Sequence[ErrorDetails], document: Document
) -> InputError:
    """Say in plain words what one or (of a union) several pydantic errors say of one place."""
    error = errors[0]
    if error["type"] == "extra_forbidden":
        names = sorted(_fields(model, error["loc"][:-1]))
        return InputError(
            dotted(path[:-1]),
            got=path[-1],
            expected=f"one of the keys {', '.join(names)}" if names else "no keys",
            choices=names,
            location=document.locate(path, key=True),
        )
    parts = [_expected(model, one) for one in errors]
    choices = [name for _, names in parts for name in names]
    return InputError(
        dotted(path),
        got=_got(error, choices),
        expected=" or ".join(dict.fromkeys(text for text, _ in parts)),
        choices=choices,
        location=document.locate(path),
    )


def _got(error: ErrorDetails, choices: Sequence[str]) -> object:
    kind, value = error["type"], error["input"]
    if kind in ("missing", "union_tag_not_found"):
        return Text("nothing")
    if kind == "union_tag_invalid":
        return error["ctx"]["tag"]
    of_type = kind.endswith(("_type", "is_instance_of"))
    if isinstance(value, str) and (choices or not of_type):
        return value
    if of_type or isinstance(value, Mapping | list | tuple):
        return describe(value)
    return Text(scalar_text(value))


def _expected(model: type[BaseModel], error: ErrorDetails) -> tuple[str, Sequence[str]]:
    """Return what would have been right, and the names among which a near one is suggested."""
    kind, context, loc = error["type"], error.get("ctx", {}), error["loc"]
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        listing: str = context.get("expected") or context["expected_tags"]
        return _one_of(listing.replace("'", "").replace(" or ", ", ").split(", "))
    if kind == "union_tag_not_found":
        return _one_of(_tags(model, (*loc, *discriminator(error))))
    if kind == "model_attributes_type" and (tags := _tags(model, (*loc, "kind"))):
        tag = closest(error["input"], tags) or tags[0]
        return f"a mapping, such as {{kind: {tag}}}", ()
    if kind == "missing" and isinstance(loc[-1], int):
        return f"a list of at least {loc[-1] + 1}", ()
    if kind == "missing":
        described = getattr(_fields(model, loc[:-1]).get(str(loc[-1])), "description", None) or ""
        sentence = " ".join(described.split()).split(". ")[0].rstrip(".")
        return f"this key ({sentence})" if sentence else "this key", ()
    if kind in ("list_type", "tuple_type") and isinstance(error["input"], str):
        return f"a list, such as [{error['input']}]", ()
    message = _EXPECTED[kind].format(**context) if kind in _EXPECTED else error["msg"]
    for start in ("Value error, ", "Assertion failed, ", "Input should be ", "expected "):
        message = message.removeprefix(start)
    return message, ()


def _one_of(names: Sequence[str]) -> tuple[str, Sequence[str]]:
    return f"one of {', '.join(names)}" if len(names) > 1 else show(read_scalar(names[0])), names


def _tags(model: type[BaseModel], loc: Place) -> list[str]:
    """Return the values of the discriminator at ``loc`` in all the kinds that may stand there."""
    models = _models_at(model, loc[:-1])
    fields = [one.model_fields[str(loc[-1])] for one in models if loc[-1] in one.model_fields]
    return sorted({str(tag) for one in fields for tag in get_args(one.annotation)})


def _fields(model: type[BaseModel], loc: Place) -> dict[str, FieldInfo]:
    return {k: info for one in _models_at(model, loc) for k, info in one.model_fields.items()}


def _models_at(model: type[BaseModel], loc: Place) -> list[type[BaseModel]]:
    """Return the models that may stand at pydantic's ``loc``, which holds the tags of unions."""
    models = [model]
    for part in loc:
        infos = [one.model_fields[str(part)] for one in models if part in one.model_fields]
        tagged = [
            one
            for one in models
            if any(part in get_args(info.annotation) for info in one.model_fields.values())
        ]
        if infos:
            models = [one for info in infos for one in _models(info.annotation)]
        elif tagged:
            models = tagged
    return models


def _models(annotation: object) -> list[type[BaseModel]]:
    """Return the models in a field's annotation."""
    if inner := get_args(annotation):
        return [model for one in inner for model in _models(one)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return []


def discriminator(error: ErrorDetails) -> Place:
    """Return the last part of the path of a wrong or missing ``kind``; pydantic leaves it out."""
    if error["type"] not in ("union_tag_invalid", "union_tag_not_found"):
        return ()
    # A function that tells the kinds apart has the name of no key.
    named: str = error["ctx"]["discriminator"]
    return (named.strip("'") if "'" in named else "kind",)


def parse(model: type[M], document: Document) -> M:
    """Check a document against a strict model; lists do for tuples and text for paths.

    Raises:
        InputError: One thing is wrong.
        InputErrors: Several are; all of them, in the order of the file.
    """
    fixes: dict[Place, Callable[[Any], object] | None] = {}
    while True:
        try:
            return model.model_validate(_fixed(document.value, fixes))
        except InputError as error:
            raise _found(error, document) from None
        except ValidationError as failure:
            errors = failure.errors(include_url=False)
        new = {path: fix for error in errors for path, fix in _fixes(error, document)}
        if new.keys() <= fixes.keys():
            found = _complaints(model, errors, document)
            raise found[0] if len(found) == 1 else InputErrors(found)
        fixes |= new


def _fixed(value: Any, fixes: Mapping[Place, Any], path: Place = ()) -> Any:
    """Return a copy with some values converted; a fix of None leaves the key out."""
    if isinstance(value, dict):
        kept = [key for key in value if fixes.get((*path, key), "") is not None]
        value = {key: _fixed(value[key], fixes, (*path, key)) for key in kept}
    elif isinstance(value, list):
        value = [_fixed(item, fixes, (*path, index)) for index, item in enumerate(value)]
    return fixes[path](value) if path in fixes else value


def _fixes(
    error: ErrorDetails, document: Document
) -> Iterator[tuple[Place, Callable[[Any], object] | None]]:
    """Yield what strict validation does not take from YAML, and the converter (None: drop)."""
    path = _place(document.value, error)
    given = get_path(document.value, path)
    if error["type"] == "tuple_type" and isinstance(given, list):
        yield path, tuple
    elif error["type"] == "is_instance_of" and isinstance(given, str):
        if error["ctx"]["class"] == "Path":
            yield path, Path
    elif error["type"] == "extra_forbidden" and document.is_left_over(path):
        yield path, None


def _place(value: Any, error: ErrorDetails) -> Place:
    """Where in the raw data an error lies: pydantic's place without the tags of unions."""
    names_a_key = error["type"] in ("missing", "extra_forbidden")
    path: Place = ()
    for part in error["loc"][: -1 if names_a_key else None]:
        inner = get_path(value, (part,), default=_place)
        if inner is not _place:
            value, path = inner, (*path, part)
    path += error["loc"][-1:] if names_a_key else ()
    return (*path, *discriminator(error))


def _complaints(
    model: type[BaseModel], errors: Sequence[ErrorDetails], document: Document
) -> list[InputError]:
    together: dict[Place, list[ErrorDetails]] = {}
    for error in errors:
        # pydantic counts the good items alone, so that a wrong one makes its list too short.
        given = get_path(document.value, _place(document.value, error))
        if error["type"] == "too_short" and len(given or ()) >= error["ctx"]["min_length"]:
            continue
        together.setdefault(_place(document.value, error), []).append(error)
    found = [
        complaint
        for path, same in together.items()
        for complaint in _own(path, same[0], document) or [translated(model, path, same, document)]
    ]
    return sorted(found, key=_line)


def _line(error: InputError) -> Place:
    place = re.search(r":(\d+):(\d+)$", error.location)
    return tuple(int(number) for number in place.groups()) if place else ()


def _own(path: Place, error: ErrorDetails, document: Document) -> list[InputError]:
    """Return the input errors that a validator of ours put into its ValueError."""
    cause = error.get("ctx", {}).get("error")
    for inner in (cause, *getattr(cause, "args", ())):
        if isinstance(inner, InputError | InputErrors):
            own = inner.errors if isinstance(inner, InputErrors) else (inner,)
            return [locate_error(_below(path, one), document) for one in own]
    return []


def _found(error: InputError, document: Document) -> InputError:
    """Locate an error that a validator raised as it is, so that pydantic could not say where."""
    where, places = error.where, list(find_all(document.value, error.where))
    if len(places) == 1:
        where = dotted(places[0])
    return locate_error(_moved(error, where), document)


def _below(path: Place, error: InputError) -> InputError:
    """Return the error with its ``where`` from the top: it may be whole, or relative."""
    here, where = dotted(path), error.where
    if not path or f"{where}.".startswith(f"{here}."):
        return error
    ends_so = not where or f".{here}".endswith(f".{where}")
    where = here if ends_so else f"{here}.{where}"
    return _moved(error, where)


def _moved(error: InputError, where: str) -> InputError:
    return InputError(where, got=error.got, expected=error.expected, choices=error.choices)
