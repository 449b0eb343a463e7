"""Checksums on written data, which reveal bytes that a disk lost or changed."""

import json
import re
import zlib

_LINE_END = re.compile(rb', "crc32": (\d+)\}$')


def seal_line(line: bytes) -> bytes:
    """Return a line that holds one non-empty JSON object, with a checksum as its last member."""
    return line[:-1] + b', "crc32": %d}' % zlib.crc32(line)


def unseal_line(line: bytes) -> bytes | None:
    """Return the line as it was before sealing; None if it is damaged or was never sealed."""
    end = _LINE_END.search(line)
    if end is None:
        return None
    content = line[: end.start()] + b"}"
    return content if zlib.crc32(content) == int(end[1]) else None


def seal(content: bytes) -> bytes:
    """Return content preceded by a line that holds its size and checksum."""
    line = json.dumps({"bytes": len(content), "crc32": zlib.crc32(content)})
    return line.encode() + b"\n" + content


def unseal(sealed: bytes) -> bytes:
    """Return the content that was sealed.

    Raises:
        ValueError: The content is incomplete or damaged; the message says how.
    """
    line, _, content = sealed.partition(b"\n")
    found = {"bytes": len(content), "crc32": zlib.crc32(content)}
    try:
        expected = json.loads(line)
    except ValueError:
        expected = "a first line with its checksum"
    if found != expected:
        raise ValueError(f"damaged: got {found}, expected {expected}")
    return content
