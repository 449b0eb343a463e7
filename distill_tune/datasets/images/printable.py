"""File names and counts as readable text."""

import os
import unicodedata

from distill_tune.errors import one_line


def printable(name: str) -> str:
    """Return a file name as text that is the same on every system and can be written anywhere.

    Accents are composed, because systems differ in this. Bytes that are not UTF-8 are escaped, as
    are characters that would break a line or control a terminal.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return one_line(unicodedata.normalize("NFC", text))


def counted(number: int, noun: str, place: str = "") -> str:
    """Return a number of things and its verb, such as ``2 images in train are``."""
    where = f" {place}" if place else ""
    return f"{number} {noun}s{where} are" if number > 1 else f"1 {noun}{where} is"
