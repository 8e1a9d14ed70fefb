"""The errors that are the user's to mend; the command line prints them as one line."""

import signal


class FacedetError(Exception):
    """Something asked for failed: the message names the file, the value and the wish."""

    exit_code = 1


class UsageError(FacedetError):
    """The request itself is wrong: an unknown key, preset, option or combination."""

    exit_code = 2


class InterruptedTrainingError(FacedetError):
    """A signal ended a training between two steps, with everything saved.

    Args:
        text: what to tell.
        number: of the signal; the exit code is 128 more, as a shell expects.
    """

    def __init__(self, text: str, number: int = signal.SIGINT) -> None:
        super().__init__(text)
        self.exit_code = 128 + number
