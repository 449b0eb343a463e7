"""Checksums on written data, which reveal bytes that a disk lost or changed."""

import json
import re
import zlib

_LINE_END = re.compile(rb', "crc32": (\d+)\}$')


def add_line_checksum(line: bytes) -> bytes:
    """Return a line that holds one non-empty JSON object, with a checksum as its last member."""
    return line[:-1] + b', "crc32": %d}' % zlib.crc32(line)


def strip_line_checksum(line: bytes) -> bytes | None:
    """Return a line without its checksum; None if it is damaged or has no checksum."""
    end = _LINE_END.search(line)
    if end is None:
        return None
    content = line[: end.start()] + b"}"
    return content if zlib.crc32(content) == int(end[1]) else None


def add_checksum(content: bytes) -> bytes:
    """Return content preceded by a line that holds its size and checksum."""
    line = json.dumps({"bytes": len(content), "crc32": zlib.crc32(content)})
    return line.encode() + b"\n" + content


def strip_checksum(checksummed: bytes) -> bytes:
    """Return the content that follows the line with its checksum.

    Raises:
        ValueError: The content is incomplete or damaged; the message says how.
    """
    line, _, content = checksummed.partition(b"\n")
    found = {"bytes": len(content), "crc32": zlib.crc32(content)}
    try:
        expected = json.loads(line)
    except ValueError:
        expected = "a first line with its checksum"
    if found != expected:
        raise ValueError(f"damaged: got {found}, expected {expected}")
    return content
