"""Where a run writes and prints: a folder of results, or the one file that `--output` names."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from facedet.data.images import PICTURE_SUFFIXES
from facedet.errors import FacedetError, UsageError
from facedet.inference.sources.frames import Frame, Source
from facedet.inference.sources.pictures import PictureSource
from facedet.inference.sources.selection import unique_stems
from facedet.inference.sources.videos import VIDEO_OUTPUTS, VIDEO_SUFFIXES
from facedet.prediction.outputs import Copies, Crops, Labels, Lines, Output, Printed

# By what becomes of the faces, the end of a copy's name.
_ENDINGS = {"boxes": "faces", "blur": "blurred", "pixelate": "pixelated"}
_PICTURE_OUTPUTS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# Whoever names such a file wants no folder of that name.
_NO_FOLDERS = PICTURE_SUFFIXES | {".json", ".jsonl", ".csv", ".txt", ".xml"}


@dataclass
class Destination:
    """What a run writes and prints.

    Args:
        output: a folder, or the name of one picture or video; None: a folder of this moment.
        save: predictions and copies are written; None: unless results are printed for programs and
            nothing is said about files.
        format: of the predictions; None: JSON.
        copies: `boxes`, `blur` or `pixelate`; `none`: no copies.
        crops: folder of a picture per face; None: no crops.
        margin: of the crops, as `Detections.crop` takes it.
        printed: `json`, `jsonl` or `csv`; None: lines for people.
    """

    output: Path | None
    save: bool | None
    format: str | None
    copies: str
    crops: Path | None
    margin: float
    printed: str | None
    _fresh: Path | None = field(default=None, init=False)  # a folder that was made for this run
    _outputs: list[Output] = field(default_factory=list, init=False)

    def check(self, sources: Sequence[Source]) -> None:
        """Raises where the output can be none of these sources'.

        Raises:
            UsageError: files are asked for and forbidden, or one file of several sources, or of a
                kind that is not written.
            FacedetError: the file is the source.
        """
        if self._is_asked() and self.save is False:
            raise UsageError(
                "--no-save writes nothing: omit --output, --format, --blur and --pixelate"
            )
        path = self.output
        if path is None or path.is_dir():
            return
        if not self._is_file():
            if path.suffix.lower() in _NO_FOLDERS:
                raise UsageError(
                    f"--output {path}: expected a folder, a video or "
                    f"{', '.join(_PICTURE_OUTPUTS)}; --json, --jsonl and --csv print predictions"
                )
            return
        if not sources:
            return
        if self.format or self.copies == "none":
            raise UsageError(f"--output {path}: --format and --no-pictures need a folder")
        if len(sources) != 1:
            raise UsageError(
                f"--output {path}: a file holds one picture or video, these are {len(sources)}; "
                "choose a folder"
            )
        source = sources[0].path
        is_picture = isinstance(sources[0], PictureSource)
        # What a URL leads to is known when its first frame comes.
        if source is not None or not is_picture:
            _check_suffix(path, is_picture)
        if source is not None and path.exists() and os.path.samefile(path, source):
            raise FacedetError(f"--output {path}: is the input; choose another name")

    def open(self, sources: Sequence[Source], say: Callable[[str], None]) -> list[Output]:
        """The outputs, ready for frames of the sources; folders are made.

        `say` takes a line where nothing can be saved.

        Raises:
            FacedetError: a folder that was asked for cannot be made.
        """
        outputs: list[Output] = []
        if self.crops is not None and sources:  # before a folder of this moment is made
            _make(self.crops, "--crop")
        file = self.output if self._is_file() else None
        folder = None
        is_saved = self._is_asked() or not self.printed if self.save is None else self.save
        if is_saved and file is None and sources:
            folder = self._make_folder(say)
        if file is not None:
            _make(file.parent, "--output")
        ending = _ENDINGS.get(self.copies, "faces")
        stems = unique_stems(sources, folder or self.crops or Path(), ending)
        if folder is not None:
            outputs.append(Labels(folder, self.format or "json", stems))
        if self.copies != "none" and (folder or file) is not None:

            def path_of(frame: Frame) -> Path:
                if file is not None:
                    _check_suffix(file, is_picture=frame.time is None)
                    return file
                name = f"{stems[frame.source.name]}_{ending}{_suffix(frame)}"
                return Path(folder or "", name)

            outputs.append(Copies(self.copies, path_of))
        if self.crops is not None and sources:
            outputs.append(Crops(self.crops, self.margin, stems))
        # Last: what is printed is stored, should the next thing be Ctrl-C.
        outputs.append(Printed(self.printed) if self.printed else Lines())
        self._outputs = outputs
        return outputs

    def close(self, done: int) -> list[str]:
        """What was written, a line each; where no source is `done`, removes the empty folder."""
        if done:
            return [line for output in self._outputs if (line := output.summary())]
        if self._fresh is not None:
            shutil.rmtree(self._fresh, ignore_errors=True)
        return []

    def _is_asked(self) -> bool:
        return bool(self.output or self.format) or self.copies in ("blur", "pixelate")

    def _is_file(self) -> bool:
        if self.output is None or self.output.is_dir():
            return False
        return self.output.suffix.lower() in (*_PICTURE_OUTPUTS, *VIDEO_SUFFIXES)

    def _make_folder(self, say: Callable[[str], None]) -> Path | None:
        if self.output is not None:
            return _make(self.output, "--output")
        folder = Path("outputs", "predict", f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
        try:
            self._fresh = _make(folder, "--output")
        except FacedetError as error:
            if self.save or self._is_asked():
                raise
            say(f"nothing is saved: {str(error).removeprefix('--output ')}")
        return self._fresh


def _make(folder: Path, option: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FacedetError(f"{option} {folder}: cannot be made ({error.strerror})") from error
    return folder


def _check_suffix(path: Path, is_picture: bool) -> None:
    allowed = _PICTURE_OUTPUTS if is_picture else VIDEO_OUTPUTS
    if path.suffix.lower() not in allowed:
        kind = "picture" if is_picture else "video"
        raise UsageError(f"--output {path}: expected a {kind}, {', '.join(allowed)}")


def _suffix(frame: Frame) -> str:
    """Of the copy of a picture, or of the video that the frame begins.

    A video keeps its container where H.264 goes into it; Matroska takes the sound of all others.
    """
    if frame.time is None:
        return ".jpg"
    path = frame.source.path
    own = ".mp4" if path is None else path.suffix.lower().replace(".m4v", ".mp4")
    return own if own in VIDEO_OUTPUTS else ".mkv"
