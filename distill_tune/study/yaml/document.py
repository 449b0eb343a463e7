"""A YAML file as plain data that knows where everything stands, and the assignments over it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq
from typing import Any, Final

import yaml

from distill_tune.errors import InputError, Message, Parameter, Text
from distill_tune.study.yaml.text import MAX_LEVELS, Place, describe, dotted, mark_text, read_value

ANCHORS: Final = "x-"
"""How keys of the top level begin that hold anchors for the others and mean nothing themselves."""
A_MAPPING: Final = "a mapping (lines of 'key: value')"
_ABSENT: Final = object()
_ASSIGNMENTS: Final = Parameter("assignments")


def get_path(value: Any, path: Sequence[str | int], default: object = None) -> Any:
    """Return what stands at ``path`` in nested plain data, or ``default``."""
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and (index := list_index(part, value)) is not None:
            value = value[index]
        else:
            return default
    return value


def list_index(part: str | int, values: Sequence[object]) -> int | None:
    """Return the place in a list that a part of a path names; None when there is none."""
    name = str(part)
    # Longer numbers name no place, and the longest cannot even be read.
    found = int(name) if name.isdecimal() and len(name) < 10 else len(values)
    return found if found < len(values) else None


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
    index = list_index(part, here)
    if index is None:
        expected = f"a place in the list {dotted(done)}: a number below {len(here)}"
        raise InputError(where, got=part, expected=expected)
    return index


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
        root: The file's own nodes, which hold the places; None where places are unknown.
        assigned: The paths given by assignments, each with the assignment as it was written.
        switched: The mappings whose ``kind`` was changed by an assignment.
    """

    source: str
    value: dict[str, Any]
    root: yaml.Node | None = field(repr=False)
    assigned: dict[Place, str] = field(default_factory=dict)
    switched: set[Place] = field(default_factory=set)

    def locate(self, path: Place, *, key: bool = False) -> str:
        """Return ``file:line:column`` of a value (or its key), or of the nearest thing around it.

        An assigned value is at ``assignments path=value``, and so is what is missing where an
        assignment changed the ``kind``.
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
        """Tell whether a value of the file has an anchor (``&name``), or one below it."""
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
        """Take one assignment ``path=value``; below ``space`` the rest of the path is one key.

        After a change of a ``kind``, keys of the file that the new kind lacks are left out by
        ``parse``.

        Raises:
            InputError: No ``=``, an empty path or value, no YAML, or a path that leads nowhere.
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
        """Whether a key of the file stems from a ``kind`` that an assignment has replaced."""
        given = any(all(map(eq, other, path)) for other in self.assigned)
        return path[:-1] in self.switched and not given


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [item for _, item in node.value]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def locate_error(error: InputError, document: Document) -> InputError:
    """Return ``error`` with the place in the file of what its dotted ``where`` names."""
    if error.location or isinstance(error.where, Parameter):
        return error
    return error.at(document.locate(resolve(document.value, error.where)))
