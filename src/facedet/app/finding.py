"""Uploaded pictures and videos to their faces, as files to look at and to download.

What a browser sends is found, drawn and labelled as `facedet predict` does it, under the names that
it had there: no path of this machine is in a result or a message.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from facedet.api import FaceDetector, load
from facedet.data.images import read_size
from facedet.detections import Detections
from facedet.errors import FacedetError
from facedet.inference.sources.frames import Frame, Source
from facedet.inference.sources.pictures import PictureSource
from facedet.inference.sources.selection import unique_stems
from facedet.inference.sources.videos import VIDEO_OUTPUTS, VIDEO_SUFFIXES, VideoSource
from facedet.prediction.labels import Image, label_path
from facedet.prediction.outputs import Copies, Labels
from facedet.prediction.run import Run
from facedet.tables import counted
from facedet.weights.zoo import NAMED, locate, usual_score


class Limits(NamedTuple):
    """Of what a browser may send at once."""

    files: int = 200
    megapixels: float = 50  # a picture
    frames: int = 3000  # a video


@dataclass
class Found:
    """What one request found."""

    shown: list[tuple[Path, str]] = field(default_factory=list)  # copies with boxes, captions
    labels: Path | None = None  # predictions.json
    archive: Path | None = None  # a ZIP of it and of the copies
    failures: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """Counts, and what went wrong, a line each."""
        done = [f"{counted(len(self.shown), 'file')} done"] if self.shown else []
        return "\n\n".join([*done, *(f"**Not done**: {line}" for line in self.failures)])


def known_weights(asked: Sequence[str] = ()) -> dict[str, str]:
    """By the name that a menu shows: weights asked for, then those that are shipped or fetched."""
    named = {name: name for name, one in NAMED.items() if one.path().is_file()}
    own = [name for name in asked if name not in named and "://" not in name]
    # A file's name only: its folder is nobody's business.
    shown = dict(zip(own, _unique_names(own), strict=True))
    return {shown.get(name, name): name for name in asked} | named


@lru_cache(maxsize=4)
def open_weights(weights: str, engine: str, score: float | None) -> FaceDetector:
    """A detector; the latest few stay open."""
    return load(weights, engine=engine, score=score)


def default_score(weights: str) -> float:
    """Where the slider stands for weights, which are fetched if need be."""
    locate(weights)
    return usual_score(weights)


def find_in_files(
    detector: FaceDetector,
    paths: Sequence[str | Path],
    folder: Path,
    limits: Limits,
    report: Callable[[str, int], None] = lambda name, count: None,
) -> Found:
    """Finds the faces in uploaded files; one that cannot be read does not stop the rest.

    The last parts of the `paths` are the names of results, for which `folder` is empty. `report`
    takes the name and number of each frame, for a progress bar; what it raises ends the request.

    Raises:
        FacedetError: there are too many files, or none.
    """
    if not paths:
        raise FacedetError("no file was chosen: choose pictures or a video")
    if len(paths) > limits.files:
        raise FacedetError(f"{len(paths)} files are too many at once: up to {limits.files}")
    found = Found()
    sources = [
        source
        for path, name in zip(map(Path, paths), _unique_names(paths), strict=True)
        if (source := _accepted(path, name, limits, found.failures)) is not None
    ]
    if sources:
        stems = unique_stems(sources, folder)
        copies = _Shown(folder, stems, found.shown, report)
        run = Run(detector, [Labels(folder, "json", stems), copies], found.failures)
        run(sources)
        found.labels = label_path(folder, "json")
        found.archive = Path(shutil.make_archive(str(folder), "zip", folder))
    for path in paths:
        found.failures = [line.replace(str(path), Path(path).name) for line in found.failures]
    return found


class _Shown(Copies):
    """Copies with boxes, each with a caption."""

    def __init__(
        self,
        folder: Path,
        stems: dict[str, str],
        shown: list[tuple[Path, str]],
        report: Callable[[str, int], None],
    ) -> None:
        super().__init__("boxes", self._copy_of)
        self.folder, self.stems, self.shown, self.report = folder, stems, shown, report
        self._faces = self._frames = 0
        self._latest: Frame | None = None

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Draws a frame."""
        self.report(frame.source.name, frame.index)
        super().add(frame, found, image)
        self._frames += 1
        self._faces += len(found)
        self._latest = frame

    def end_source(self) -> None:
        """Adds the copy to what is shown."""
        super().end_source()
        if self._latest is not None:
            frame, faces = self._latest, counted(self._faces, "face")
            frames = "" if frame.time is None else f" in {counted(self._frames, 'frame')}"
            self.shown.append((self._copy_of(frame), f"{frame.source.name}: {faces}{frames}"))
        self._latest, self._faces, self._frames = None, 0, 0

    def _copy_of(self, frame: Frame) -> Path:
        # Of the videos that are written browsers play this one.
        suffix = ".jpg" if frame.time is None else VIDEO_OUTPUTS[0]
        return self.folder / f"{self.stems[frame.source.name]}_faces{suffix}"


@dataclass(frozen=True)
class _Video(VideoSource):
    """A video of which the beginning is enough."""

    most: int = 0  # frames

    def frames(self) -> Iterator[Frame]:
        """As of any video, up to the limit; says so after it."""
        for frame in super().frames():
            if frame.index == self.most:
                raise FacedetError(f"{self.name}: only its first {self.most} frames, the limit")
            yield frame


def _unique_names(paths: Sequence[str | Path]) -> list[str]:
    """The files' own names; of equal ones the second has a number."""
    names: list[str] = []
    for path in map(Path, paths):
        name, number = path.name, 2
        while name in names:
            name, number = f"{path.stem} ({number}){path.suffix}", number + 1
        names.append(name)
    return names


def _accepted(path: Path, name: str, limits: Limits, failures: list[str]) -> Source | None:
    """A source within the limits; None: one that is reported."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return _Video(name, Path(name).stem, path, str(path), limits.frames)
    try:
        height, width = read_size(path)
    except FacedetError as error:
        failures.append(str(error))
        return None
    if height * width > limits.megapixels * 1e6:
        failures.append(
            f"{name}: {width} x {height} pixels are {height * width / 1e6:.3g} million, "
            f"up to {limits.megapixels:g} million are allowed"
        )
        return None
    return PictureSource(name, Path(name).stem, path)
