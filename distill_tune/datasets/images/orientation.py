"""Orientation of photographs, as recorded by the camera."""

from typing import Final

from PIL import ExifTags, Image

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return an image turned upright, or unchanged if its metadata is damaged.

    ``ImageOps.exif_transpose`` rewrites the metadata, and fails on what it cannot write.

    Raises:
        Exception: Whatever Pillow raises for broken pixels.
    """
    image.load()
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - metadata may hold anything; the pixels are read
        turn = None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info  # Such as transparency.
    return turned
