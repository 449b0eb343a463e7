"""Digest of the source that trains: other source, other results."""

import functools
import hashlib
import json
from pathlib import Path

import distill_tune
from distill_tune.plugins import digests

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


def running_code() -> str:
    """Return a digest of the source that trains here: that of the package, and of plugins in use.

    Without plugins it is :func:`code_digest`.
    """
    if not digests():
        return code_digest()
    text = json.dumps([code_digest(), digests()], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
