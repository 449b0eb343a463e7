"""TensorBoard: what is written, and that nothing is doubled or lost by a resume."""

import math
import os
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from distill_tune.records.files.storage import storage_at
from distill_tune.training.tensorboard.event_file import TensorBoardFile
from distill_tune.training.tensorboard.image_grid import image_grid
from distill_tune.training.tensorboard.writer import TensorBoard

PARAMS = {"joint.margin": 0.3, "joint.refresh": 2, "gan.kind": "sngan", "gan.flip": True}


def curves(logdir: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(logdir), {"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def test_metrics_are_grouped_by_stage_each_on_its_own_axis(tmp_path: Path) -> None:
    writer = TensorBoard(str(tmp_path))
    writer.scalars("warmup", 500, {"loss/generator": 1.5})
    writer.scalars("joint", 1, {"loss/generator": 0.5, "val/accuracy": 0.75})
    assert curves(tmp_path) == {
        "warmup/loss/generator": [(500, 1.5)],
        "joint/loss/generator": [(1, 0.5)],
        "joint/val/accuracy": [(1, 0.75)],
    }
    writer.close()


def test_a_layout_shows_how_fit_the_generator_is(tmp_path: Path) -> None:
    TensorBoard(str(tmp_path)).close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout()
    layout.ParseFromString(event.tensor_proto.string_val[0])
    tags = {
        pattern
        for category in layout.category
        if category.title == "is its generator fit"
        for chart in category.chart
        for pattern in chart.multiline.tag
    }
    assert tags == {
        "warmup/synthetic/agreement$",
        "warmup/synthetic/pixel_diversity$",
        "joint/synthetic/agreement$",
    }


def test_after_a_resume_no_step_is_doubled_and_none_is_lost(tmp_path: Path) -> None:
    first = TensorBoard(str(tmp_path))
    first.scalars("warmup", 500, {"loss": 2.0})
    for step in (1, 2, 3):
        first.scalars("joint", step, {"loss": 1.0 / step})
    # Killed here: not closed. The checkpoint was that of epoch 1.
    second = TensorBoard(str(tmp_path))
    for step in (2, 3, 4):
        second.scalars("joint", step, {"loss": 1.0 / step, "late": 1.0})
        second.images("synthetic", step, torch.zeros(2, 1, 8, 8))
    second.images("synthetic", 4, torch.ones(2, 1, 8, 8))
    second.close()
    found = curves(tmp_path)
    assert [step for step, _ in found["joint/loss"]] == [1, 2, 3, 4]
    assert [step for step, _ in found["joint/late"]] == [2, 3, 4]
    assert found["warmup/loss"] == [(500, 2.0)]
    events = EventAccumulator(str(tmp_path), {"images": 0})
    events.Reload()
    assert [image.step for image in events.Images("synthetic")] == [2, 3, 4]


def test_files_of_one_second_and_of_a_clock_ahead_are_read_in_the_order_they_were_written(
    tmp_path: Path,
) -> None:
    names: list[str] = []
    for step in range(12):
        writer = TensorBoard(str(tmp_path))
        writer.scalars("joint", step, {"loss": 1.0})
        writer.close()
        (name,) = {path.name for path in tmp_path.iterdir()} - set(names)
        names.append(name)
        if step == 6:  # The machine that began the next file is an hour ahead.
            ahead = int(name.split(".")[3]) + 3600
            names[-1] = name.replace(name.split(".")[3], str(ahead))
            (tmp_path / name).rename(tmp_path / names[-1])
    assert names == sorted(names)
    assert [step for step, _ in curves(tmp_path)["joint/loss"]] == list(range(12))


def test_a_file_of_another_name_in_a_runs_folder_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    TensorBoardFile(tmp_path).close()
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_steps_in_the_torn_tail_of_a_file_are_written_again(tmp_path: Path, cut: int) -> None:
    first = TensorBoard(str(tmp_path))
    for step in (1, 2, 3):
        first.scalars("joint", step, {"loss": 1.0 / step})
    first.close()
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - cut)
    second = TensorBoard(str(tmp_path))
    for step in (1, 2, 3, 4):
        second.scalars("joint", step, {"loss": 1.0 / step})
    second.close()
    assert [step for step, _ in curves(tmp_path)["joint/loss"]] == [1, 2, 3, 4]


def test_an_empty_event_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host.1.0").touch()
    writer = TensorBoard(str(tmp_path))
    writer.scalars("joint", 1, {"loss": 1.0})
    writer.close()
    assert curves(tmp_path)["joint/loss"] == [(1, 1.0)]


def test_the_metric_of_the_hparams_moves_on_over_a_resume(tmp_path: Path) -> None:
    first = TensorBoard(str(tmp_path))
    first.hparams(PARAMS, {"objective": math.nan})
    assert "trial/objective" not in curves(tmp_path)
    first.hparams(PARAMS, {"objective": 0.1})
    first.hparams(PARAMS, {"objective": 0.1})
    second = TensorBoard(str(tmp_path))
    second.hparams(PARAMS, {"objective": 0.1})
    second.hparams(PARAMS, {"objective": 0.9})
    values = curves(tmp_path)["trial/objective"]
    assert [(step, round(value, 5)) for step, value in values] == [(0, 0.1), (1, 0.9)]
    first.close()
    second.close()


def test_a_run_in_an_object_store_goes_on_after_a_resume(tmp_path: Path) -> None:
    root = f"memory://{tmp_path.name}/tensorboard/resnet50-0000"
    first = TensorBoard(root)
    first.scalars("joint", 1, {"loss": 1.0})
    first.flush()
    first.scalars("joint", 2, {"loss": 0.5})
    # Killed here: epoch 2 was never sent.
    second = TensorBoard(root)
    for step in (1, 2):
        second.scalars("joint", step, {"loss": 1.0 / step})
    second.close()
    second.close()
    storage = storage_at(root)
    for name in storage.names():
        (tmp_path / name).write_bytes(storage.read(name))
    assert len(storage.names()) == 2
    assert curves(tmp_path)["joint/loss"] == [(1, 1.0), (2, 0.5)]


def test_small_images_are_enlarged_into_a_grid() -> None:
    images = torch.stack([torch.full((3, 16, 16), level) for level in (-1.0, 0.0, 1.0, 5.0, -9.0)])
    grid = image_grid(images)
    assert (grid.dtype, tuple(grid.shape)) == (torch.uint8, (3, 2 * 48 + 2, 3 * 48 + 4))
    centres = [
        [int(grid[0, row * 50 + 24, column * 50 + 24]) for column in range(3)] for row in (0, 1)
    ]
    assert centres == [[0, 128, 255], [255, 0, 255]]
    assert grid[:, 48:50].eq(255).all()


def test_enlarging_keeps_every_pixel_sharp() -> None:
    image = torch.tensor([[[[-1.0, 1.0], [1.0, -1.0]]]])
    grid = image_grid(image, min_pixels=5)
    quarter = torch.ones(3, 3, dtype=torch.uint8)
    expected = torch.cat([torch.cat([0 * quarter, 255 * quarter], 1)] * 2)
    expected[3:] = expected[3:].flip(1)
    assert torch.equal(grid[0], expected)


@pytest.mark.parametrize(("size", "height"), [(8, 48), (28, 56), (32, 64), (48, 48), (64, 64)])
def test_an_image_is_at_least_48_pixels_high(size: int, height: int) -> None:
    assert image_grid(torch.zeros(1, 1, size, size)).shape == (1, height, height)


def test_images_that_are_not_numbers_are_grey() -> None:
    assert image_grid(torch.full((1, 1, 48, 48), math.nan)).eq(128).all()
