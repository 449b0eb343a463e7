"""A local folder in place of one in an object store, for libraries that need files."""

import tempfile
from pathlib import Path

from distill_tune.records.files.storage import storage_at


class Mirror:
    """A local folder for a path or a URI: the path itself, or a copy that ``push`` uploads.

    Args:
        root: A path or a URI; the files directly in it are fetched.
    """

    def __init__(self, root: str) -> None:
        self._storage = storage_at(root)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._pushed: dict[str, int] = {}
        if self._storage.is_local:
            self.folder = Path(self._storage.path(""))
            return
        self._temporary = tempfile.TemporaryDirectory(prefix="distill-tune-")
        self.folder = Path(self._temporary.name)
        for name in self._storage.names():
            content = self._storage.read(name)
            (self.folder / name).write_bytes(content)
            self._pushed[name] = len(content)

    def push(self) -> None:
        """Upload every file whose size has changed; a path needs no upload."""
        if self._temporary is None:
            return
        for path in sorted(self.folder.iterdir()):
            if self._pushed.get(path.name) != path.stat().st_size:
                content = path.read_bytes()
                self._storage.write(path.name, content)
                self._pushed[path.name] = len(content)

    def close(self) -> None:
        """Upload the remaining changes and remove the copy."""
        self.push()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None
