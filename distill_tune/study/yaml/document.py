"""A YAML file as plain data with source positions, and the assignments applied to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq
from typing import Any, Final

import yaml

from distill_tune.errors import InputError, Message, Parameter, Text
from distill_tune.study.yaml.text import MAX_LEVELS, Place, describe, dotted, mark_text, read_value

ANCHORS: Final = "x-"
"""Prefix of top-level keys that only hold anchors for others and have no meaning themselves."""
A_MAPPING: Final = "a mapping (lines of 'key: value')"
_ABSENT: Final = object()
_ASSIGNMENTS: Final = Parameter("assignments")


def get_path(value: Any, path: Sequence[str | int], default: object = None) -> Any:
    """Return the value at ``path`` in nested plain data, or ``default``."""
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and (index := list_index(part, value)) is not None:
            value = value[index]
        else:
            return default
    return value


def list_index(part: str | int, values: Sequence[object]) -> int | None:
    """Return the list index that a part of a path names; None if there is none."""
    name = str(part)
    # Longer numbers are not indices, and int() refuses the longest.
    found = int(name) if name.isdecimal() and len(name) < 10 else len(values)
    return found if found < len(values) else None


def set_path(data: dict[str, Any], path: Sequence[str | int], value: object) -> Place:
    """Set ``path`` in nested plain data, in place; missing mappings on the way are created.

    Returns:
        The path with list indices as integers.

    Raises:
        InputError: The path leads through a scalar, or to an index that is not in the list.
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
    index = list_index(part, here)
    if index is None:
        expected = f"a place in the list {dotted(done)}: a number below {len(here)}"
        raise InputError(where, got=part, expected=expected)
    return index


def resolve(value: object, where: str) -> Place:
    """Split a dotted path along the keys of ``value``, which may contain dots themselves."""
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
    """Yield every existing place in ``value`` whose dotted path ends in ``where``."""
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
    """A YAML file as plain data with source positions.

    Attributes:
        source: The file's name as the user gave it.
        value: Mappings, lists and scalars; changed by :meth:`set`.
        root: The file's nodes, which hold the positions; None if positions are unknown.
        assigned: Paths set by assignments, each with the assignment as it was written.
        switched: Mappings whose ``kind`` was changed by an assignment.
    """

    source: str
    value: dict[str, Any]
    root: yaml.Node | None = field(repr=False)
    assigned: dict[Place, str] = field(default_factory=dict)
    switched: set[Place] = field(default_factory=set)

    def locate(self, path: Place, *, key: bool = False) -> str:
        """Return ``file:line:column`` of a value (or its key), or of the nearest enclosing one.

        The location of an assigned value is ``assignments path=value``. A value that is missing
        because an assignment changed the ``kind`` has the location of that assignment.
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

    def holds_anchors(self, path: Place) -> bool:
        """Return whether a value of the file, or one below it, has an anchor (``&name``)."""
        node = self._find(path, key=False)
        nodes = [] if node is None else [node]
        while nodes:
            node = nodes.pop()
            mark = node.start_mark
            if mark.buffer is not None and mark.buffer[mark.pointer] == "&":
                return True
            nodes += _inner(node)
        return False

    def _find(self, path: Place, *, key: bool) -> yaml.Node | None:
        node = name = self.root
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
        """Apply one assignment ``path=value``; below ``space`` the rest of the path is one key.

        If the assignment changes a ``kind``, ``parse`` drops keys of the file that the new kind
        lacks.

        Raises:
            InputError: There is no ``=``, the path or value is empty, the value is not YAML, or the
                path does not fit the data.
        """
        name, equals, text = assignment.partition("=")
        path: Place = tuple(name.strip().split("."))
        if not equals or not all(path):
            example = "path=value, such as search.num_trials=8"
            raise InputError(_ASSIGNMENTS, got=assignment, expected=example)
        if not text.strip():
            raise InputError(_ASSIGNMENTS, got=assignment, expected="a value after the = (or null)")
        if len(path) > MAX_LEVELS:
            expected = f"a path of at most {MAX_LEVELS} parts"
            raise InputError(_ASSIGNMENTS, got=assignment, expected=expected)
        try:
            value = read_value(text)
        except InputError as error:
            expected = f"YAML after the =, not {error.got}"
            raise InputError(_ASSIGNMENTS, got=assignment, expected=expected) from None
        if path[0] == "space" and len(path) > 1:
            path = ("space", dotted(path[1:]))
        self._assign(path, value, Message(_ASSIGNMENTS, f" {assignment.strip()}"))

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
        """Return whether a key of the file belongs to a ``kind`` that an assignment replaced."""
        given = any(all(map(eq, other, path)) for other in self.assigned)
        return path[:-1] in self.switched and not given


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [item for _, item in node.value]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def locate_error(error: InputError, document: Document) -> InputError:
    """Return ``error`` with the source position of what its dotted ``where`` names."""
    if error.location or isinstance(error.where, Parameter):
        return error
    return error.at(document.locate(resolve(document.value, error.where)))
