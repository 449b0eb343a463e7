"""Images in the event files of a TensorBoard run."""

from collections.abc import Iterator
from pathlib import Path

_MAX_BYTES = 64 << 20


def last_image(folder: Path, tag: str) -> tuple[int, bytes]:
    """Return the step and the PNG of a run's newest image.

    Args:
        folder: The run's folder.
        tag: The image's name.

    Returns:
        ``(0, b"")`` if there is none. Files above 64 MiB are not read.
    """
    found = (0, b"")
    paths = [path for path in sorted(folder.glob("*tfevents*")) if path.is_file()]
    for path in paths:
        if path.stat().st_size <= _MAX_BYTES:
            found = max([found, *_images(path, tag)], key=lambda image: image[0])
    return found


def _images(path: Path, tag: str) -> Iterator[tuple[int, bytes]]:
    from google.protobuf.message import DecodeError
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    try:
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == tag and value.WhichOneof("value") == "image":
                    yield int(event.step), bytes(value.image.encoded_image_string)
    except DecodeError:
        return
