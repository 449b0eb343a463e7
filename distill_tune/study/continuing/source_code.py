"""Digest of the source that trains: other source, other results."""

import functools
import hashlib
from pathlib import Path

import distill_tune

_CODE = ("distill",)


@functools.cache
def code_digest() -> str:
    """Return a digest of the source that computes the stages, and of the version."""
    package = Path(distill_tune.__file__).parent
    digest = hashlib.blake2b(distill_tune.__version__.encode(), digest_size=8)
    for folder in _CODE:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
