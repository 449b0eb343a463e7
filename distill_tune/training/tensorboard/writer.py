"""TensorBoard writer: curves, pictures and HParams row of one trial, each written once."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from torch.utils.tensorboard.summary import custom_scalars, image, scalar

from distill_tune.interfaces import Metrics, Stage
from distill_tune.records.files.mirror import Mirror
from distill_tune.records.words.metric_names import ACCURACY, validation_title
from distill_tune.training.tensorboard.event_file import TensorBoardFile
from distill_tune.training.tensorboard.image_grid import image_grid

if TYPE_CHECKING:
    from torch import Tensor

_LAYOUT_TAG = "custom_scalars__config__"

# Title of a category -> title of a chart -> patterns of the tags whose curves it shows. A chart
# covers one stage: each stage counts its own steps, so curves of several would overlap.
_LAYOUT: dict[str, dict[str, list[Any]]] = {
    "is its generator fit": {
        "agreement with the labels over the warm-up (fit from 0.9 on)": [
            "Multiline",
            [r"warmup/synthetic/agreement$"],
        ],
        "diversity within a class over the warm-up (1: as of real ones)": [
            "Multiline",
            [r"warmup/synthetic/pixel_diversity$"],
        ],
        "agreement with the labels in stage 3": ["Multiline", [r"joint/synthetic/agreement$"]],
    },
    "does its GAN help": {
        "diversity of the synthetic images (1: as of real ones)": [
            "Multiline",
            [r"joint/synthetic/diversity$"],
        ],
        "active share of the triplets": ["Multiline", [r"joint/triplet/active_share$"]],
        "synthetic images of their own label": ["Multiline", [r"joint/synthetic/label_agreement$"]],
        "loss of the classifier": ["Multiline", [r"joint/loss/classifier$"]],
    },
}


def _layout(metric: str) -> dict[str, dict[str, list[Any]]]:
    best = {
        validation_title(metric): ["Multiline", [f"joint/{re.escape(metric)}$"]],
        "objective: the best so far": ["Multiline", [r"trial/objective$"]],
    }
    return {"which trial is best": best, **_LAYOUT}


class TensorBoard:
    """Writer of one trial's TensorBoard run; an observer of the trial.

    A run that is reopened after a resume first reads what it holds, and skips every (tag, step)
    that exists: epochs that the trial repeats are not doubled. (torch's own ``purge_step`` would
    hide them in every stage at once, though each stage counts its own steps.) The data of each call
    has left this process when the call returns: a kill loses nothing.

    Args:
        logdir: The trial's own folder; if it is a URI, ``flush`` and ``close`` upload to it.
        metric: The metric that trials are compared by.
    """

    def __init__(self, logdir: str, metric: str = ACCURACY) -> None:
        self._mirror = Mirror(logdir)
        self._written = _WrittenTags.read(self._mirror.folder)
        self._file = TensorBoardFile(self._mirror.folder)
        self._add(_LAYOUT_TAG, 0, custom_scalars(_layout(metric)))

    def scalars(self, stage: Stage, step: int, metrics: Metrics) -> None:
        """Write the metrics under ``<stage>/<metric>``, at a step of the stage's own axis."""
        for name, value in metrics.items():
            self._add_scalar(f"{stage}/{name}", step, value)

    def images(self, name: str, step: int, images: "Tensor", *, columns: int | None = None) -> None:
        """Write a batch ``[n, channels, size, size]``, float in [-1, 1], as one grid."""
        if len(images):
            grid = image_grid(images, columns=columns)
            self._add(name, step, image(name, grid, dataformats="CHW"))

    def picture(self, name: str, step: int, pixels: "Tensor") -> None:
        """Write one picture ``[height, width, 3]``, uint8."""
        self._add(name, step, image(name, pixels, dataformats="HWC"))

    def hparams(
        self, params: Mapping[str, Any], metrics: Metrics, *, step: int | None = None
    ) -> None:
        """Fill the trial's row of the HParams tab: at the start, then at every new value.

        Args:
            params: Param to value; those of the first call are shown, a list as JSON and None as an
                empty cell.
            metrics: Metric to its value so far, written under ``trial/<metric>``. The columns are
                those of the first call, where nan stands for a value to come.
            step: Step at which to write the metrics; an existing value stays. None: after the last
                step, if the value has changed.
        """
        tags = {f"trial/{name}": value for name, value in metrics.items()}
        self._add(metadata.EXPERIMENT_TAG, 0, _experiment(params, tags))
        self._add(metadata.SESSION_START_INFO_TAG, 0, _session_start(params))
        for tag, value in tags.items():
            before, last = self._written.last.get(tag, (-1, math.nan))
            if math.isfinite(value) and (step is not None or _as_float32(value) != last):
                self._add_scalar(tag, before + 1 if step is None else step, value)

    def hparams_end(self, *, succeeded: bool) -> None:
        """Mark the trial's row as ended; the first outcome stays, even after a resume."""
        self._add(metadata.SESSION_END_INFO_TAG, 0, _session_end(succeeded=succeeded))

    def flush(self) -> None:
        """Send what is written to the object store, if the folder lies in one."""
        self._mirror.push()

    def close(self) -> None:
        """Finish the file; nothing can be written afterwards. A second call has no effect."""
        self._file.close()
        self._mirror.close()

    def _add_scalar(self, tag: str, step: int, value: float) -> None:
        self._add(tag, step, scalar(tag, value), value)

    def _add(self, tag: str, step: int, summary: Any, value: float | None = None) -> None:
        if self._written.add(tag, step, value):
            self._file.add(summary, step)


class _WrittenTags:
    """Tags and steps that a run holds.

    Attributes:
        steps: Every (tag, step).
        last: Tag of a scalar to its last step and value, in float32 as TensorBoard keeps it.
    """

    def __init__(self) -> None:
        self.steps: set[tuple[str, int]] = set()
        self.last: dict[str, tuple[int, float]] = {}

    @classmethod
    def read(cls, logdir: Path) -> "_WrittenTags":
        """Read a run's event files; one that was truncated by a kill is read up to its break."""
        written = cls()
        for path in sorted(logdir.glob("*tfevents*")):
            for event in LegacyEventFileLoader(str(path)).Load():
                for value in event.summary.value:
                    is_scalar = value.WhichOneof("value") == "simple_value"
                    number = value.simple_value if is_scalar else None
                    written.add(value.tag, event.step, number)
        return written

    def add(self, tag: str, step: int, value: float | None = None) -> bool:
        """Record something to be written; return False if it exists already."""
        if (tag, step) in self.steps:
            return False
        self.steps.add((tag, step))
        if value is not None and step >= self.last.get(tag, (step, 0.0))[0]:
            self.last[tag] = (step, _as_float32(value))
        return True


def _as_float32(value: float) -> float:
    return torch.tensor(value, dtype=torch.float32).item()


def _experiment(params: Mapping[str, Any], metric_tags: Mapping[str, float]) -> Any:
    """Return the summary that names the columns of the HParams tab.

    TensorBoard reads the metrics' values from the last step of the scalars with these tags, so the
    row is up to date while the trial runs.
    """
    # ``differs``: the params are sampled, and TensorBoard shows those that differ first.
    experiment = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(name=name, type=_column_type(_shown(value)), differs=True)
            for name, value in params.items()
        ],
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metric_tags],
    )
    return _hparams_summary(metadata.EXPERIMENT_TAG, experiment=experiment)


def _column_type(shown: bool | float | str | None) -> int:
    kinds: dict[type, int] = {
        bool: api_pb2.DATA_TYPE_BOOL,
        float: api_pb2.DATA_TYPE_FLOAT64,
        str: api_pb2.DATA_TYPE_STRING,
    }
    unset: int = api_pb2.DATA_TYPE_UNSET
    return kinds.get(type(shown), unset)


def _session_start(params: Mapping[str, Any]) -> Any:
    info = plugin_data_pb2.SessionStartInfo()
    for name, value in params.items():
        shown = _shown(value)
        if shown is None:
            # Left empty: text among numbers would break TensorBoard's sorting of the column.
            continue
        if isinstance(shown, bool):
            info.hparams[name].bool_value = shown
        elif isinstance(shown, float):
            info.hparams[name].number_value = shown
        else:
            info.hparams[name].string_value = shown
    return _hparams_summary(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def _session_end(*, succeeded: bool) -> Any:
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=status)
    return _hparams_summary(metadata.SESSION_END_INFO_TAG, session_end_info=info)


def _shown(value: Any) -> bool | float | str | None:
    if value is None or isinstance(value, bool | str):
        return value
    return float(value) if isinstance(value, int | float) else json.dumps(value, default=str)


def _hparams_summary(tag: str, **content: Any) -> Any:
    data = plugin_data_pb2.HParamsPluginData(**content)
    value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))
    return Summary(value=[value])
