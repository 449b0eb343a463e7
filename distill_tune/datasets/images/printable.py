"""Names of files as text for people."""

import os
import unicodedata

from distill_tune.errors import one_line


def printable(name: str) -> str:
    """Return a file's name as text that is the same on every system and can be written anywhere.

    Systems differ in how they compose accents; bytes that are no UTF-8 are spelled out, and so is
    what would break a line or steer a terminal.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return one_line(unicodedata.normalize("NFC", text))
