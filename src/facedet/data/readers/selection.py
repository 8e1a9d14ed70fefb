"""What may be asked of a reader, and what it says where the pictures asked for are not there."""

from collections.abc import Sequence
from pathlib import Path

from facedet.errors import FacedetError, UsageError


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Refuses a misspelt choice, which would otherwise act as the last one."""
    if value not in choices:
        raise UsageError(f"{key}={value} is none of {', '.join(choices)}")


def require_pictures(
    folder: Path,
    names: Sequence[str],
    is_there: Sequence[bool],
    images: str,
    advice: str = "data.images=present",
) -> int:
    """The number of pictures that are not on disk.

    Args:
        folder: of the pictures, for the message.
        names: of all pictures that the annotations list.
        is_there: whether each is on disk.
        images: "all" demands every picture, "present" makes do with one.
        advice: how to ask for "present".

    Raises:
        FacedetError: pictures are missing that are demanded.
    """
    missing = len(names) - sum(is_there)
    if missing and (images == "all" or missing == len(names)):
        rest = "" if missing == len(names) else f"; {advice} uses the rest"
        raise FacedetError(
            f"{folder}: {missing:,} of {len(names):,} pictures are missing, "
            f"the first is {names[list(is_there).index(False)]}{rest}"
        )
    return missing
