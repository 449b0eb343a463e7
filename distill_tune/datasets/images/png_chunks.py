"""PNG files without metadata: texts, histories and profiles, which the pixels do not need.

Pillow rejects a whole file for a text that is too long or for damaged metadata. Damaged
transparency is dropped as well; the pixels remain.
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
"""First bytes of every PNG file."""
_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_TRANSPARENCY: Final = b"tRNS"
_ORIENTATION: Final = b"eXIf"
_TEXTS: Final = frozenset({b"tEXt", b"zTXt"})
_EXIF_AS_TEXT: Final = b"Raw profile type exif\0"
_MOST: Final = 1 << 16
"""Largest size in bytes of a text that is kept because it may hold the orientation."""
_MOST_TRANSPARENT: Final = 256
"""Largest size in bytes of transparency: one for each colour of a palette."""


def without_notes(path: Path) -> io.BytesIO | None:
    """Return a PNG file with only its pixels, transparency and orientation.

    None for a file that is not a PNG, has no pixels, or has nothing to drop: Pillow may read it as
    it is.
    """
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return None
        places = list(_chunks(file))
        names = {name for name, _, _ in places}
        if names <= _PIXELS or b"IDAT" not in names:
            return None
        bare = io.BytesIO()
        bare.write(SIGNATURE)
        is_transparent = False
        for name, start, length in places:
            if name in _PIXELS or _may_be_kept(name, length):
                file.seek(start)
                chunk = file.read(length + 12)
                if name == _TRANSPARENCY and is_transparent:
                    continue
                if name in _PIXELS or _is_whole(chunk):
                    bare.write(chunk)
                    is_transparent |= name == _TRANSPARENCY
    bare.seek(0)
    return bare


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, offset and length; the data is not read."""
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if not name.isalpha():
            return
        start = file.tell() - 8
        yield name, start, length
        if name == b"IEND":
            return
        file.seek(start + length + 12)


def _may_be_kept(name: bytes, length: int) -> bool:
    if name == _TRANSPARENCY:
        return 0 < length <= _MOST_TRANSPARENT
    return name == _ORIENTATION or (name in _TEXTS and length <= _MOST)


def _is_whole(chunk: bytes) -> bool:
    """Return whether a chunk is undamaged and holds transparency or the orientation."""
    name, data, checksum = chunk[4:8], chunk[8:-4], chunk[-4:]
    if zlib.crc32(name + data).to_bytes(4, "big") != checksum:
        return False
    if name in (_ORIENTATION, _TRANSPARENCY):
        return True
    if not data.startswith(_EXIF_AS_TEXT):
        return False
    if name == b"tEXt":
        return True
    packed = data[len(_EXIF_AS_TEXT) + 1 :]
    try:
        return len(zlib.decompressobj().decompress(packed, _MOST)) < _MOST
    except zlib.error:
        return False
