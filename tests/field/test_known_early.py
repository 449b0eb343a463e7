"""What can be known of a data set before its images are read is said before a search."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill_tune.datasets import ImageSource
from distill_tune.datasets.torchvision_files import layout
from distill_tune.errors import InputError
from tests.field.images import noise, source, write_files

X = noise(42, 255).astype(np.uint8)
Y = np.arange(42) % 3
TRAIN = {"x_train": X, "y_train": Y}


def npz(folder: Path, **arrays: Any) -> ImageSource:
    np.savez(folder / "a.npz", **arrays)
    return source(kind="npz", root=str(folder / "a.npz"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_test": Y * 0 - 1}, "got classes in test that train does not have: '-1', expected"),
        ({"y_test": Y * 0 - 1}, "without x_test and y_test in the file, test images are drawn"),
        ({"y_test": Y + 1}, "got classes in test that train does not have: '3', expected"),
        ({"y_test": Y[:-1]}, "got x_test of shape (42, 8, 8) and y_test of (41,)"),
        ({"y_test": Y.astype(object)}, "y_test=numpy.asarray(y_test).astype(str)"),
        ({"y_test": Y / 2}, "got y_test of type float64, expected integers or text"),
        ({"x_test": X.astype(object)}, "got x_test of type object, expected one array of numbers"),
        ({"x_test": X.astype(str)}, "got x_test of type <U3, expected numbers"),
        ({"x_test": X[:, :4]}, "data.image_size: got test images of 4 pixels, train images of 8"),
        ({"x_test": X.reshape(42, -1)}, "got x_test of shape (42, 64), expected [n, h, w]"),
        ({"x_test": X[:0], "y_test": Y[:0]}, "got no image in test, expected images"),
        ({"x_test": X - 300.0}, "data.value_range: got x_train and x_test with values in"),
        ({"y_test": Y - 1, "classes": ["a", "b", "c"]}, "labels in y_test that classes does not"),
    ],
)
def test_the_test_part_of_an_npz_is_checked_at_once(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    train = {"x_train": X.astype(float)} if "value_range" in message else {}
    data = npz(tmp_path, **{**TRAIN, "x_test": X, "y_test": Y, **train, **arrays})
    with pytest.raises(InputError) as caught:
        data.load()
    assert message in str(caught.value)


def test_arrays_that_nothing_reads_are_named(tmp_path: Path) -> None:
    data = npz(tmp_path, **TRAIN, x_extra=X, y_extra=Y, camera=np.array("a")).load()
    assert [text.partition(" (")[0] for text in data.warnings] == ["not read: x_extra, y_extra"]


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (Y, [2, 0, 1], "012"),
        (Y + 1, [1, 2, 3], "123"),
        (Y + 1, [3, 2, 1], "123"),
        (Y * 10, [0, 10, 20], ("0", "10", "20")),
        (Y, [10, 20, 30], ("10", "20", "30")),
        (Y, [0, 1, 2], "012"),
        (Y.astype(np.uint8), np.array([2, 0, 1], dtype=np.int16), "012"),
        (Y + 1, ["1", "2", "3"], "123"),
        (Y, ["c", "a", "b"], "cab"),
        (Y.astype(str), [2, 0, 1], "012"),
    ],
)
def test_numbers_in_classes_are_the_labels_where_they_can_be(
    labels: Any, classes: Any, expected: Any, tmp_path: Path
) -> None:
    data = npz(tmp_path, x=X, y=labels, classes=classes).load()
    own = {X[index].tobytes(): expected[Y[index]] for index in range(42)}
    for image, label in zip(data.train.images, data.train.labels, strict=True):
        assert data.classes[label] == own[image.numpy().tobytes()]
    assert data.classes == tuple(str(name) for name in classes)


def test_the_labels_of_all_parts_tell_what_numbers_in_classes_are(tmp_path: Path) -> None:
    few = {"x_val": X, "y_val": Y % 2 + 1}
    arrays = {**TRAIN, **few, "classes": [1, 2, 3]}
    pool = npz(tmp_path, **arrays).read("val")
    assert {pool.classes[label] for label in pool.labels} == {
        "2",
        "3",
    }  # Positions: train has the label 0, which is no class.


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (Y, ["2", "0", "1"], "got classes '2', '0', '1' and labels that are both, expected numb"),
        (Y + 1, ["a", "b", "c"], "does not have: 3, expected names in classes, or positions in it"),
        (Y, np.array(["a", "b", "c"], dtype=object), "got classes of type object, expected text"),
        (np.array(["a", "b", "c"], dtype=object)[Y], None, "y=numpy.asarray(y).astype(str)"),
        (Y.astype(float), None, "got y of type float64, expected integers or text: y.astype(int)"),
    ],
)
def test_labels_that_cannot_be_told_get_the_line_that_helps(
    labels: Any, classes: Any, message: str, tmp_path: Path
) -> None:
    extra = {} if classes is None else {"classes": classes}
    with pytest.raises(InputError) as caught:
        npz(tmp_path, x=X, y=labels, **extra).load()
    assert message in str(caught.value)


def test_a_pickle_in_the_file_is_not_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "opened",))

    labels = np.empty(42, dtype=object)
    labels[:] = [Bomb() for _ in range(42)]
    data = npz(tmp_path, x=X, y=labels)
    for read in (data.load, lambda: data.read("train")):
        with pytest.raises(InputError, match="got y of type object"):
            read()
    assert not (tmp_path / "opened").exists()


def test_a_test_folder_without_images_is_told_at_once(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        write_files(tmp_path / "train" / name, X[:10])
        (tmp_path / "test" / name).mkdir(parents=True)
    data = source(kind="folder", root=str(tmp_path), image_size=8)
    with pytest.raises(InputError, match=r"data\.root: got no image in test"):
        data.load()


def test_test_files_of_torchvision_that_are_missing_are_told_at_once(tmp_path: Path) -> None:
    root, place = tmp_path, layout("mnist", "train")
    for name in place.files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"...")
    data = source(kind="mnist", root=str(root), download=False)
    (told,) = data.check_parts()
    assert told.startswith(f"test images are missing in {root}: MNIST/raw/t10k-images-idx3-ubyte")
    for name in layout("mnist", "test").files:
        (root / name).write_bytes(b"...")
    assert data.check_parts() == ()
