"""What becomes of the results of a run: labels, copies with boxes or hidden faces, crops, lines."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from facedet.detections import Detections
from facedet.errors import FacedetError
from facedet.inference.sources.frames import Frame
from facedet.plots import is_drawn, save_picture
from facedet.prediction.labels import Image, image_stem, label_path, text_writer, writing_labels
from facedet.prediction.video_file import VideoFile
from facedet.tables import counted

_QUALITY = 92  # of JPEGs
_PRINTED_FACES = 20  # of one picture


class Output:
    """One kind of results; every method may raise a `FacedetError`, which the others survive."""

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Takes a frame; `image` is what the labels say about it."""

    def end_source(self) -> None:
        """The frames of a source have all been there."""

    def close(self) -> None:
        """The run is over, perhaps before its end: keeps what is done."""

    def summary(self) -> str:
        """A line about what was written; "": nothing to be said."""
        return ""


class Labels(Output):
    """A file of predictions, or one per picture."""

    def __init__(self, folder: Path, kind: str, stems: Mapping[str, str]) -> None:
        self.path = label_path(folder, kind)
        self.counts = {"picture": 0, "frame": 0}
        self._is_written = False
        self._stack = ExitStack()
        self._add = self._stack.enter_context(writing_labels(folder, kind, stems))

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Adds the faces to the file."""
        try:
            self._add(image)
        except OSError as error:  # the disk is full: nothing more goes in, and nothing is left
            self._add = lambda _: None
            self._stack.__exit__(type(error), error, error.__traceback__)
        self.counts["picture" if frame.time is None else "frame"] += 1

    def close(self) -> None:
        """Puts the file in its place."""
        self._stack.close()
        self._is_written = True

    def summary(self) -> str:
        """`2 pictures and 40 frames: out/predictions.json`."""
        if not self._is_written:
            return ""
        words = [counted(number, what) for what, number in self.counts.items() if number]
        return f"{' and '.join(words) or '0 pictures'}: {self.path}"


class Copies(Output):
    """Copies of pictures and videos, with boxes drawn or faces hidden.

    Args:
        way: `boxes`, `blur` or `pixelate`.
        path_of: a frame to the path of its picture or video.
    """

    def __init__(self, way: str, path_of: Callable[[Frame], Path]) -> None:
        self.way = way
        self.path_of = path_of
        self._video: VideoFile | None = None

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Writes a picture, or adds a frame to a video."""
        rgb = found.drawn() if self.way == "boxes" else found.hidden(self.way)  # type: ignore[arg-type]
        if frame.pts is None:
            save_picture(self.path_of(frame), rgb, quality=_QUALITY)
            return
        if self._video is None:
            source = frame.source
            sound = source.path or (source.name if frame.total is not None else None)
            self._video = VideoFile(
                self.path_of(frame), rgb.shape[:2], frame.time_base, sound and str(sound)
            )
        try:
            self._video.add(rgb, frame.pts)
        except FacedetError:
            self._video = None  # nothing is left of it
            raise

    def end_source(self) -> None:
        """Ends a video with the rest of its sound."""
        if self._video is not None:
            video, self._video = self._video, None
            video.end()

    def close(self) -> None:
        """Ends a video where it is."""
        if self._video is not None:
            self._video.close()


class Crops(Output):
    """A picture per face."""

    def __init__(self, folder: Path, margin: float, stems: Mapping[str, str]) -> None:
        self.folder = folder
        self.margin = margin
        self.stems = stems
        self.count = 0

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Writes `STEM_01.jpg`, of a video `STEM_000012_01.jpg`, best face first."""
        for number, rgb in enumerate(found.crop(self.margin), start=1):
            path = self.folder / f"{image_stem(image, self.stems)}_{number:02}.jpg"
            if path.exists() and not is_drawn(path):
                raise FacedetError(f"{path}: facedet did not write this; choose another folder")
            save_picture(path, rgb, durable=False)
            self.count += 1

    def summary(self) -> str:
        """`12 faces: crops`."""
        return f"{counted(self.count, 'face')}: {self.folder}"


class Printed(Output):
    """Faces as `json`, `jsonl` or `csv` on standard output, as they come."""

    def __init__(self, kind: str) -> None:
        self._stack = ExitStack()
        self._add = self._stack.enter_context(text_writer(_Stdout(), kind, between=", "))

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Prints the faces of a frame."""
        self._add(image)

    def close(self) -> None:
        """Prints the end of the JSON object."""
        self._stack.close()


class Lines(Output):
    """Faces for people to read: a line per face of a picture, a line per video."""

    def __init__(self) -> None:
        self._video = ""  # whose frames are counted
        self._frames = self._faces = 0

    def add(self, frame: Frame, found: Detections, image: Image) -> None:
        """Prints the faces of a picture, counts those of a video."""
        if frame.time is None:
            _Stdout().write(_picture_lines(image) + "\n")
        else:
            self._video = frame.source.name
            self._frames += 1
            self._faces += len(found)

    def end_source(self) -> None:
        """Prints the line of a video."""
        if self._video:
            counts = f"{counted(self._frames, 'frame')}, {counted(self._faces, 'face')}"
            _Stdout().write(f"{self._video}: {counts}\n")
        self._video, self._frames, self._faces = "", 0, 0

    def close(self) -> None:
        """Prints the line of a video that was interrupted."""
        self.end_source()


class _Stdout:
    """Standard output below a progress bar, on its way at once to whoever reads it."""

    def write(self, text: str) -> None:
        tqdm.write(text, file=sys.stdout, end="")
        sys.stdout.flush()


def _picture_lines(image: Image) -> str:
    """`photo.jpg: 1 face` and a line per face, `  0.98  178 50 to 268 175`."""
    faces = image["faces"]
    note = f"  [{image['note']}]" if "note" in image else ""
    lines = [f"{image['file']}: {counted(len(faces), 'face')}{note}"]
    for face in faces[:_PRINTED_FACES]:
        x1, y1, x2, y2 = face["box"]
        lines.append(f"  {face['score']:.2f}  {x1:.0f} {y1:.0f} to {x2:.0f} {y2:.0f}")
    if len(faces) > _PRINTED_FACES:
        lines.append(f"  and {len(faces) - _PRINTED_FACES} more")
    return "\n".join(lines)
