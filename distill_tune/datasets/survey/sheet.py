"""A contact sheet of a data set: a row of images for each class."""

import numpy as np
from PIL import Image, ImageDraw

from distill_tune.datasets.image_pool import Bytes, Pool
from distill_tune.datasets.images.image_files import to_png

_COLUMNS, _MOST_CLASSES = 10, 50
_SIDE, _GAP, _CAPTION = 64, 4, 14
"""Pixels: side of an image, gap between two, height of a caption."""


def contact_sheet(pool: Pool) -> bytes:
    """Return up to ten images of each of the first fifty classes, as a PNG file.

    Args:
        pool: Images; only those of the training split should be shown.
    """
    width = _GAP + _COLUMNS * (_SIDE + _GAP)
    height = _CAPTION + _SIDE + _GAP
    labels = range(min(len(pool.classes), _MOST_CLASSES))
    sheet = Image.new("RGB", (width, _GAP + height * len(labels)), "white")
    pen = ImageDraw.Draw(sheet)
    counts = pool.counts()
    for label in labels:
        top = _GAP + label * height
        name = pool.classes[label].encode("ascii", "replace").decode()
        pen.text((_GAP, top), f"{name[:60]} ({counts[label]})", fill="black")
        members = np.flatnonzero(pool.labels == label)
        chosen = members[:: -(-len(members) // _COLUMNS) or 1][:_COLUMNS]
        for column, index in enumerate(chosen):
            place = (_GAP + column * (_SIDE + _GAP), top + _CAPTION)
            sheet.paste(_scaled(pool.images[index]), place)
    return to_png(np.asarray(sheet).transpose(2, 0, 1))


def _scaled(pixels: Bytes) -> Image.Image:
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
