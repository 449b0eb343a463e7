"""The exceptions of distill-tune: they name the place, the value given and the expected one."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Self


def closest(word: object, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to ``word``, or None if none is close."""
    matches = difflib.get_close_matches(str(word), sorted(choices), n=1, cutoff=0.6)
    return matches[0] if matches else None


def show(value: object) -> str:
    """Return ``value`` formatted for an error message: short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(text: str) -> str:
    """Return ``text`` with newlines, terminal control codes and unprintable characters escaped."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def abridged(names: Sequence[str], most: int) -> str:
    """Return names separated by commas: the first ``most``, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class Parameter(str):
    """The name of a parameter of a public function, such as ``num_trials``.

    The command line shows the corresponding option instead.
    """

    __slots__ = ()


class Message(str):
    """A text that may contain parameter names.

    Args:
        *pieces: Texts, parameters and other messages, concatenated without separators.
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
    """Base class of all errors that are reported to the user; shown without a traceback.

    Attributes:
        exit_code: Exit status of the command line.
    """

    exit_code = 2

    def __str__(self) -> str:
        return self.spelled(str)

    def spelled(self, spell: Callable[[str], str]) -> str:
        """Return the message with every parameter name replaced by ``spell(name)``."""
        return "".join(
            _spelled(part if isinstance(part, str) else str(part), spell) for part in self.args
        )


class InputError(DistillTuneError):
    """An unusable value given by the user.

    The message reads ``where: got X, expected Y. Did you mean Z?``.

    Args:
        where: Dotted path of the value (``data.root``), or the name of a parameter.
        got: The value itself (shown by ``repr``), or a finished text as :class:`Text`.
        expected: Description of a correct value.
        choices: Valid names; the one closest to ``got`` is suggested.
        location: ``file:line:column`` if known; added by :mod:`distill_tune.study.validation`.
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
        # Keys and file names come from outside and may contain any character.
        return one_line(f"{place}{where}: got {got}, expected {expected}{end}")

    def at(self, location: str) -> "InputError":
        """Return the same error with its location in a file."""
        return InputError(
            self.where,
            got=self.got,
            expected=self.expected,
            choices=self.choices,
            location=location,
        )


class InputErrors(DistillTuneError):  # noqa: N818 - several of them
    """Several input errors found together, one message per line."""

    def __init__(self, errors: Iterable[InputError]) -> None:
        self.errors = tuple(errors)
        super().__init__(*self.errors)

    def spelled(self, spell: Callable[[str], str]) -> str:
        return "\n".join(error.spelled(spell) for error in self.errors)


class Text(str):
    """A description shown verbatim as ``got``, without quotation marks."""

    __slots__ = ()


class StudyError(DistillTuneError):
    """A study directory that is missing, damaged, in use, or unsuitable for the command."""


class StorageError(StudyError):
    """A storage failure during a run; data already written is kept and the run can resume."""

    exit_code = 1


class DiskFullError(StorageError):
    """A full disk; data already written is kept and the run can resume."""


def is_disk_full(error: object) -> bool:
    """Return whether an error of the system, Ray or an object store reports a full disk."""
    message = str(error)
    return "No space left on device" in message or "Disk quota exceeded" in message


class RayError(DistillTuneError):
    """A failure of Ray, or Ray is unusable here; the study's records are kept."""

    exit_code = 1


class RehearsalError(DistillTuneError):
    """A failed rehearsal of a trial; the message gives the reason."""

    exit_code = 1


class FollowError(DistillTuneError):
    """Something could not be sent; the same command sends the rest."""

    exit_code = 1


class SealedTestError(DistillTuneError):
    """An attempt to load the test split by code that must not see it, such as a search."""


class NoTrialSucceededError(DistillTuneError):
    """A finished search in which no trial produced a value."""

    exit_code = 3


class DivergedError(DistillTuneError):
    """A trial that cannot continue; the reason is stored in the study's records.

    Attributes:
        reason: One of the names in ``distill_tune.interfaces.FailureReason``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)

    def spelled(self, spell: Callable[[str], str]) -> str:  # noqa: ARG002 - it names none
        return f"{self.reason}: {self.detail}"
