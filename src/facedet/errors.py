"""The errors that are the user's to mend; the command line prints them as one line."""


class FacedetError(Exception):
    """Something asked for failed: the message names the file, the value and the wish."""

    exit_code = 1


class UsageError(FacedetError):
    """The request itself is wrong: an unknown key, preset, option or combination."""

    exit_code = 2
