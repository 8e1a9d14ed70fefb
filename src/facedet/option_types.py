"""Values of options, of commands and of `facedet.load`, checked before anything is loaded."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from facedet.errors import UsageError

# What arguments of `facedet.load` may be, other than None: a test, and words for it.
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "score": (lambda value: 0 <= value <= 1, "0 … 1"),
    "iou": (lambda value: 0 <= value <= 1, "0 … 1"),
    "max_det": (lambda value: value >= 1, "at least 1"),
    "min_size": (lambda value: value >= 0, "0 or more"),
    "pixel_budget": (lambda value: value >= 1, "at least 1"),
    "on_large": (lambda value: value in ("tile", "shrink"), "tile or shrink"),
}


def unit(text: str) -> float:
    """A number in 0 … 1."""
    return _number(text, float, lambda value: 0 <= value <= 1, "a number in 0 … 1")


def scale(text: str) -> float:
    """A factor on the sides of a picture; more than 16 makes nothing visible."""
    return _number(text, float, lambda value: 0 < value <= 16, "a scale above 0 and up to 16")


def count(text: str) -> int:
    """A whole number above 0."""
    return _number(text, int, lambda value: value >= 1, "a whole number above 0")


def pixels(text: str) -> float:
    """A length in pixels."""
    return _number(text, float, lambda value: 0 <= value <= 1e6, "a number of pixels, 0 or more")


def megapixels(text: str) -> float:
    """Millions of pixels, up to what a picture may have."""
    return _number(text, float, lambda value: 0 < value <= 200, "a number above 0 and up to 200")


def folder(text: str) -> Path:
    """A folder's path; an empty one, of an unset variable of a shell, would be the current one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a folder, the name is empty")
    return Path(text)


def _number(text: str, kind: type, is_valid: Callable[[Any], bool], expected: str) -> Any:  # noqa: ANN401
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not is_valid(value):
        raise argparse.ArgumentTypeError(f"{text} is not {expected}")
    return value


def check_ranges(**values: Any) -> None:  # noqa: ANN401
    """Raises `UsageError` where an argument of `facedet.load` is out of its range."""
    for name, value in values.items():
        is_valid, expected = _RANGES[name]
        with suppress(TypeError):  # of a text, say
            if value is None or is_valid(value):
                continue
        raise UsageError(f"{name}={value!r}: expected {expected}")
