"""The run itself: every frame of every source to every output."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from tqdm import tqdm

from facedet.api import FaceDetector
from facedet.detections import Detections
from facedet.errors import FacedetError
from facedet.inference.sources.frames import Frame, Source, detect_frames
from facedet.inference.sources.pictures import PictureSource
from facedet.prediction.labels import Image
from facedet.prediction.outputs import Output


class Run:
    """Takes frames one at a time, keeps none, and shows how long it will take.

    The outputs get every frame; one that fails misses the rest of that picture or video.
    `failures` gets a line about each thing that went wrong.
    """

    def __init__(
        self, detector: FaceDetector, outputs: Sequence[Output], failures: list[str]
    ) -> None:
        self.detector = detector
        self.outputs = outputs
        self.failures = failures
        self.done = 0  # sources that gave a frame
        self._latest: Frame | None = None  # of the source at work
        self._count = 0  # its frames
        self._muted: set[Output] = set()  # failed in it

    def __call__(self, sources: Sequence[Source]) -> None:
        """Processes all sources; whatever ends it, Ctrl-C too, what is done is kept."""
        are_pictures = all(isinstance(one, PictureSource) for one in sources)
        with (
            ExitStack() as stack,
            tqdm(
                total=len(sources),
                unit="picture" if are_pictures else "frame",
                file=sys.stderr,
                # None: only where there is a terminal.
                disable=True if are_pictures and len(sources) == 1 else None,
            ) as bar,
        ):
            for output in self.outputs:
                stack.callback(self._attempt, output, output.close)
            frames = detect_frames(sources, self.detector.detect, self.failures.append)
            for frame, found in frames:
                if self._latest is None or frame.source is not self._latest.source:
                    self._end_source(bar)
                    self._begin_source(frame, bar)
                self._add(frame, found)
                bar.update()
            self._end_source(bar)

    def _begin_source(self, frame: Frame, bar: "tqdm[Any]") -> None:
        self.done += 1
        self._count = 0
        self._muted = set()
        # The bar began with a frame per source; where one does not know its length, no one does.
        is_known = bar.total is not None and frame.total is not None
        bar.total = bar.total + frame.total - 1 if is_known else None

    def _end_source(self, bar: "tqdm[Any]") -> None:
        if self._latest is not None:
            if bar.total is not None and self._latest.total is not None:
                bar.total += self._count - self._latest.total
            for output in self.outputs:
                self._attempt(output, output.end_source)
        self._latest = None

    def _add(self, frame: Frame, found: Detections) -> None:
        self._latest = frame
        self._count += 1
        image = _labels(frame, found)
        for output in self.outputs:
            if output not in self._muted:
                self._attempt(output, partial(output.add, frame, found, image))

    def _attempt(self, output: Output, action: Callable[[], None]) -> None:
        try:
            action()
        except FacedetError as error:
            self.failures.append(str(error))
            self._muted.add(output)


def _labels(frame: Frame, found: Detections) -> Image:
    when = {} if frame.time is None else {"frame": frame.index, "time": round(frame.time, 6)}
    image = {"file": frame.source.name, **when, **found.to_dict()}
    if note := "; ".join(filter(None, (frame.note, found.note))):
        image["note"] = note
    return image
