"""YAML's merge keys: ``<<: *base`` gives a mapping the keys of another where it has none itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import yaml

from distill_tune.errors import InputError, Text

MERGE: Final = "<<"
"""The merge key, if written without quotation marks."""
MAX_MERGED: Final = 100_000
"""Maximum number of keys inspected for one file; a study has dozens."""

_MAPPING: Final = "tag:yaml.org,2002:map"
Pairs = list[tuple[yaml.Node, yaml.Node]]


class Merging:
    """Expansion of merge keys in the nodes themselves.

    A merged value keeps its position in the file.

    Args:
        source: The file's name for messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._num_looked_at = 0
        self._open: set[int] = set()

    def unfold(self, node: yaml.Node, where: str) -> None:
        """Add the merged keys to a mapping; its own keys win, then those of the first mapping.

        Args:
            node: The mapping, changed in place; unchanged if it has no merge key.
            where: Its dotted path, for messages.

        Raises:
            InputError: The merged value is neither a mapping nor a list of mappings, or is endless.
        """
        merged = [item for key, item in node.value if is_merge(key)]
        if not merged:
            return
        if len(merged) > 1:
            expected = f"it once; several mappings are a list ({MERGE}: [*one, *other])"
            raise self._error(merged[1], where, f"the key {MERGE} a second time", expected)
        own: Pairs = [(key, item) for key, item in node.value if not is_merge(key)]
        names = {_name(key) for key, _ in own}
        with self.within(node):
            for other in self._mappings(merged[0], where):
                if id(other) in self._open:
                    met = "an alias (*) of an enclosing value"
                    raise self._error(node, where, met, "another mapping")
                self.unfold(other, where)
                self._count(len(other.value), other, where)
                new = [(key, item) for key, item in other.value if _name(key) not in names]
                names.update(_name(key) for key, _ in new)
                own += new
        node.value = own

    @contextmanager
    def within(self, node: yaml.Node) -> Iterator[None]:
        """Mark a mapping as being read, so that nothing inside it can merge it."""
        self._open.add(id(node))
        yield
        self._open.discard(id(node))

    def _mappings(self, node: yaml.Node, where: str) -> Iterator[yaml.MappingNode]:
        items: Sequence[yaml.Node] = [node]
        if isinstance(node, yaml.SequenceNode):
            items = node.value
        for item in items:
            if not isinstance(item, yaml.MappingNode) or item.tag != _MAPPING:
                expected = f"a mapping, such as {MERGE}: *base, or a list of mappings"
                raise self._error(item, where, f"something else after {MERGE}", expected)
            yield item

    def _count(self, number: int, node: yaml.Node, where: str) -> None:
        self._num_looked_at += number
        if self._num_looked_at > MAX_MERGED:
            raise self._error(node, where, f"more than {MAX_MERGED} merged keys", "fewer")

    def _error(self, node: yaml.Node, where: str, met: str, expected: str) -> InputError:
        mark = node.start_mark
        place = f"{self._source}:{mark.line + 1}:{mark.column + 1}"
        return InputError(where, got=Text(met), expected=expected, location=place)


def is_merge(key: yaml.Node) -> bool:
    """Return whether a key is a merge key; in quotation marks it is ordinary text."""
    return isinstance(key, yaml.ScalarNode) and key.style is None and key.value == MERGE


def _name(key: yaml.Node) -> object:
    """Return an identity for a key; a key that is not text is refused later."""
    return key.value if isinstance(key, yaml.ScalarNode) else id(key)
