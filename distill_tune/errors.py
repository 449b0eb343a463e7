"""Our exceptions: where it went wrong, what was got, what was expected."""

import difflib
from collections.abc import Callable, Iterable
from typing import Self


def closest(word: object, choices: Iterable[str]) -> str | None:
    """Return the choice most like ``word``, or None when nothing is near."""
    matches = difflib.get_close_matches(str(word), sorted(choices), n=1, cutoff=0.6)
    return matches[0] if matches else None


def show(value: object) -> str:
    """Return ``value`` as an error message shows it: short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(text: str) -> str:
    """Return ``text`` with what would break the line, steer a terminal or fail to print escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


class Parameter(str):
    """The name of a parameter of a public function, such as ``num_trials``.

    The command line shows its own option instead.
    """

    __slots__ = ()


class Message(str):
    """A text that names parameters.

    Args:
        *pieces: Texts, parameters and other messages, joined as they are.
    """

    __slots__ = ("pieces",)
    pieces: tuple[str, ...]

    def __new__(cls, *pieces: str) -> Self:
        message = super().__new__(cls, "".join(pieces))
        message.pieces = tuple(part for piece in pieces for part in _pieces(piece))
        return message


def _pieces(text: str) -> tuple[str, ...]:
    return text.pieces if isinstance(text, Message) else (text,)


def _spelled(text: str, spell: Callable[[str], str]) -> str:
    return "".join(spell(one) if isinstance(one, Parameter) else one for one in _pieces(text))


class DistillTuneError(Exception):
    """Anything that a user can cause or has to hear of; shown without a traceback.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code = 2

    def __str__(self) -> str:
        return self.spelled(str)

    def spelled(self, spell: Callable[[str], str]) -> str:
        """Return the message with ``spell(name)`` for every parameter that it names."""
        return "".join(
            _spelled(part if isinstance(part, str) else str(part), spell) for part in self.args
        )


class InputError(DistillTuneError):
    """A value that a user gave is not usable.

    The message reads ``where: got X, expected Y. Did you mean Z?``.

    Args:
        where: Dotted path of the value (``data.root``), or the name of a parameter.
        got: The value itself (shown by ``repr``), or a ready text in :class:`Text`.
        expected: What would have been right, in words.
        choices: Names among which a near one is suggested.
        location: ``file:line:column`` when known; added by :mod:`distill_tune.study.validation`.
    """

    def __init__(
        self,
        where: str,
        *,
        got: object,
        expected: str,
        choices: Iterable[str] = (),
        location: str = "",
    ) -> None:
        self.where, self.got, self.expected = where, got, expected
        self.choices = tuple(choices)
        self.location = location
        super().__init__(where, got, expected)

    def spelled(self, spell: Callable[[str], str]) -> str:
        got = self.got if isinstance(self.got, Text) else show(self.got)
        suggestion = closest(self.got, self.choices)
        end = f". Did you mean {suggestion!r}?" if suggestion else ""
        where, expected, place = (
            _spelled(text, spell) for text in (self.where, self.expected, self.location)
        )
        place = f"{place}: " if place else ""
        # Keys and file names are the user's, or a stranger's: they may hold any sign at all.
        return one_line(f"{place}{where}: got {got}, expected {expected}{end}")

    def at(self, location: str) -> "InputError":
        """Return the same error with its place in a file."""
        return InputError(
            self.where,
            got=self.got,
            expected=self.expected,
            choices=self.choices,
            location=location,
        )


class InputErrors(DistillTuneError):  # noqa: N818 - several of them
    """Several input errors found together, one message a line."""

    def __init__(self, errors: Iterable[InputError]) -> None:
        self.errors = tuple(errors)
        super().__init__(*self.errors)

    def spelled(self, spell: Callable[[str], str]) -> str:
        return "\n".join(error.spelled(spell) for error in self.errors)


class Text(str):
    """A description used for ``got`` as it stands, without quotation marks."""

    __slots__ = ()


class StudyError(DistillTuneError):
    """A study directory is missing, damaged, in use, or not what the command needs."""


class StorageError(StudyError):
    """A study's storage failed while it ran; what was written is kept, and there is a way on."""

    exit_code = 1


class DiskFullError(StorageError):
    """There is no room for what has to be written; nothing is lost, and there is a way on."""


def is_disk_full(error: object) -> bool:
    """Tell whether an error says so, whoever raised it: the system, Ray or an object store."""
    said = str(error)
    return "No space left on device" in said or "Disk quota exceeded" in said


class RayError(DistillTuneError):
    """Ray failed, or cannot be used here; what a study has on record stays."""

    exit_code = 1


class RehearsalError(DistillTuneError):
    """A trial cannot even be tried out; the message says why."""

    exit_code = 1


class SealedTestError(DistillTuneError):
    """Something asked for the test split that must not see it, such as a search."""


class NoTrialSucceededError(DistillTuneError):
    """The search is over and not one trial gave a value."""

    exit_code = 3


class DivergedError(DistillTuneError):
    """A trial cannot go on; its reason goes into the study's records.

    Attributes:
        reason: One of the names in ``distill_tune.interfaces.FailureReason``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)

    def spelled(self, spell: Callable[[str], str]) -> str:  # noqa: ARG002 - it names none
        return f"{self.reason}: {self.detail}"
