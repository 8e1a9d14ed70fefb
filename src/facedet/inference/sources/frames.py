"""What every source gives: frames, one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from facedet.errors import FacedetError

Found = TypeVar("Found")


@dataclass(frozen=True)
class Source(ABC):
    """A picture, a video, a camera or a stream."""

    name: str  # as messages and results call it
    stem: str  # for the names of files made of it
    path: Path | None  # of a file

    @abstractmethod
    def frames(self) -> "Iterator[Frame]":
        """Its frames; what went wrong is raised after the last good one, as one `FacedetError`."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture, or one frame of a video, upright."""

    rgb: np.ndarray  # [H, W, 3] uint8
    source: Source
    note: str = ""  # what was done beyond plain decoding
    index: int = 0  # of the frame in its source
    pts: int | None = None  # when it is shown, in units of `time_base`; None: of a picture
    time_base: Fraction = Fraction(1)  # s
    total: int | None = 1  # frames in the source, a guess by its header; None: not known

    @property
    def time(self) -> float | None:
        """When it is shown, in seconds; None: of a picture."""
        return None if self.pts is None else float(self.pts * self.time_base)


def detect_frames(
    sources: Iterable[Source],
    detect: Callable[[np.ndarray], Found],
    report: Callable[[str], object],
) -> Iterator[tuple[Frame, Found]]:
    """Every frame of all sources with what was found in it.

    Sources are read one after the other, a frame at a time. `detect` takes RGB uint8 [H, W, 3]; its
    `FacedetError` loses that frame only. What cannot be read or processed is left out, and `report`
    takes a line per source about it.
    """
    for source in sources:
        left_out, reason = 0, ""
        try:
            for frame in source.frames():
                try:
                    found = detect(frame.rgb)
                except FacedetError as error:
                    left_out, reason = left_out + 1, reason or str(error)
                    continue
                yield frame, found
        except FacedetError as error:
            report(str(error))
        if left_out == 1:
            report(f"{source.name}: {reason}")
        elif left_out:
            report(f"{source.name}: {left_out} frames not processed ({reason})")
