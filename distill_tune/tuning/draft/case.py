"""What a study is drafted for, and the sizes, networks and batches that suit it."""

from typing import Any, NamedTuple

from distill_tune.cluster.resources import alive_nodes
from distill_tune.distill.backbones import Backbone
from distill_tune.errors import InputError
from distill_tune.study.validation import Document, parse, read_value
from distill_tune.tuning.draft.images import ImageFacts
from distill_tune.tuning.draft.lengths import LADDER, USUAL, Lengths
from distill_tune.tuning.draft.sources import BACKBONE
from distill_tune.tuning.draft.split_sizes import Splits, splits_of

_SMALLER = (32, 16)
_MOST_AT_ONCE = 16
_TRIAL_BYTES = 10**9
"""Main memory that a trial takes, roughly."""


class Machine(NamedTuple):
    """A machine that runs trials.

    Attributes:
        cores: CPU cores.
        gpus: Number of GPUs.
        memory: Bytes of main memory that are available.
    """

    cores: int
    gpus: int
    memory: int

    def __str__(self) -> str:
        gpus = f"{self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else "no GPU"
        return f"{self.cores} CPU core{'s' * (self.cores > 1)}, {gpus}"

    @property
    def cpus(self) -> int:
        """Cores of a trial: one, unless there are more than the sampler can learn from."""
        if self.gpus:
            return max(1, min(4, self.cores // self.gpus))
        return max(1, self.cores // _MOST_AT_ONCE)

    @property
    def slots(self) -> int:
        """Trials at a time, if memory does not limit them."""
        return self.gpus or self.cores // self.cpus

    @property
    def fitting(self) -> int:
        """Trials that fit into the memory, at least one."""
        return max(1, self.memory // _TRIAL_BYTES)


def this_machine() -> Machine:
    """Return what this machine has for Ray, which must be running."""
    found = alive_nodes()[0]["Resources"]
    return Machine(int(found["CPU"]), int(found.get("GPU", 0)), int(found["memory"]))


class Wish(NamedTuple):
    """What a user asks for; empty and None leave the decision to the draft.

    Attributes:
        backbones: The given fields of each backbone, at least its name.
        minutes: Time that the search may take.
        flips: Whether a mirrored image keeps its meaning.
        is_balanced: Whether all classes count equally, regardless of their number of images.
    """

    backbones: tuple[dict[str, Any], ...] = ()
    minutes: float | None = None
    flips: bool | None = None
    is_balanced: bool | None = None


class Case(NamedTuple):
    """Images of a certain size on a machine, for a user with wishes."""

    facts: ImageFacts
    machine: Machine
    wish: Wish
    size: int

    @property
    def is_gpu(self) -> bool:
        """Whether trials have a GPU."""
        return self.machine.gpus > 0

    @property
    def usual(self) -> Lengths:
        """The lengths that a trial is measured with and that batches suit."""
        return LADDER[0] if self.is_gpu else USUAL

    @property
    def minutes(self) -> float:
        """The time that the search aims at."""
        return self.wish.minutes or (120 if self.is_gpu else 30)

    @property
    def batch(self) -> int:
        """Batch size of the classifier: a power of two; an epoch has ten or more steps."""
        num_train, most, size = sum(self.splits(self.usual).train), 128 if self.is_gpu else 32, 16
        while size < most and 20 * size <= num_train:
            size *= 2
        return max(2, min(size, num_train))

    def splits(self, lengths: Lengths) -> Splits:
        """Return the sizes of the splits; enough validation images to tell trials apart."""
        return splits_of(self.facts, lengths.train_per_class, 2000 if self.is_gpu else 400)

    def backbones(self) -> list[dict[str, Any]]:
        """Return the fields of each backbone: by default the poster's on a GPU, else a small one.

        The first layers of ImageNet reduce the resolution twice: a CPU has a sixteenth of the work.
        """
        found = []
        for given in self.wish.backbones or ({"name": "resnet50" if self.is_gpu else "resnet18"},):
            is_resnet = given["name"].startswith(("resnet", "resnext", "wide_resnet"))
            is_densenet = given["name"].startswith("densenet") and self.size >= 32
            layers: dict[str, Any] = {}
            if not self.is_gpu and (is_resnet or is_densenet):
                enlarged = {"input_size": max(16, self.size)} if self.size < 32 else {}
                layers = {"stem": "imagenet", **enlarged}
            found.append({"name": given["name"], **(layers if len(given) == 1 else given)})
        return found


def given_backbone(text: str) -> dict[str, Any]:
    """Return the fields of a backbone given as a name, or as ``{name: ..., input_size: ...}``.

    Raises:
        InputError: The text is not YAML, there is no such backbone, or a field is invalid.
    """
    try:
        value = read_value(text)
    except InputError as error:
        raise InputError(BACKBONE, got=text, expected=f"YAML, not {error.got}") from None
    fields = value if isinstance(value, dict) else {"name": text}
    parse(Backbone, Document(BACKBONE, fields, None))
    return fields


def image_sizes(facts: ImageFacts, machine: Machine) -> tuple[int, ...]:
    """Return the sizes to try: the best first, then smaller ones in case it is too slow."""
    if "image_size" in facts.fields:
        return (facts.fields["image_size"] or facts.sides[1],)
    first = min(max(4, facts.sides[1]), 64 if machine.gpus else 32)
    return (first, *(size for size in _SMALLER if size < first))
