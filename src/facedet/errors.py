"""The errors that the user can fix; the command line prints them as one line."""

import difflib
import signal
from collections.abc import Collection


class FacedetError(Exception):
    """Something asked for failed: the message names the file, the value and what was expected."""

    exit_code = 1


class UsageError(FacedetError):
    """The request itself is wrong: an unknown key, preset, option or combination."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its name where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def one_line(error: BaseException) -> str:
    """An error's whole text without line breaks, or its name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def named_line(error: BaseException) -> str:
    """The name of an error and the first line of its text, for what says little by itself."""
    return " ".join([type(error).__name__, *str(error).splitlines()[:1]])


def nearest(word: str, known: Collection[str]) -> str:
    """`; the nearest is …`, of the known words; "" where none is alike."""
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; the nearest is {matches[0]}" if matches else ""


class InterruptedTrainingError(FacedetError):
    """A signal ended a training between two steps, with everything saved.

    The exit code is 128 more than the signal's number, as a shell expects. `remedy` says how to
    resume the training; "": not at all.
    """

    def __init__(self, what: str, number: int = signal.SIGINT, remedy: str = "") -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what, self.number = what, number
        self.exit_code = 128 + number
