"""Videos written frame by frame, with the times and the sound of the one they come from."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.inference.sources.videos import VIDEO_MARK

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

_QUALITY = {"crf": "20", "preset": "veryfast"}
_BT709 = 1  # matrix and primaries, in FFmpeg's lists


class VideoFile:
    """An H.264 video that takes its place when it is closed.

    Frames of another size than the first one's are fitted into it; odd sides grow by a pixel, since
    two pixels share a colour.

    Args:
        path: `.mp4`, `.mov` or `.mkv`.
        size: (height, width) px of the first frame.
        time_base: unit of the frames' times, s.
        sound: the file or URL whose sound is copied, packet by packet; None: no sound.

    Raises:
        FacedetError: it cannot be written; by every method.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], time_base: Fraction, sound: str | None
    ) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.path = path
        self.size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self.time_base = time_base
        self._reformatter = VideoReformatter()
        self._stack = ExitStack()
        with self._failing_once():
            aside = self._stack.enter_context(replacing(path, durable=False))
            self._container = self._stack.enter_context(av.open(str(aside), "w"))
            self._container.metadata["comment"] = VIDEO_MARK
            self._video = self._container.add_stream("libx264", options=_QUALITY)
            self._video.height, self._video.width = self.size
            self._video.pix_fmt = "yuv420p"
            context = self._video.codec_context
            context.time_base = time_base
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            self._sound, self._lost = None, ""
            if sound is not None:
                source = self._stack.enter_context(av.open(sound))
                self._lost = _unfit_sound(source, self._container)
                self._sound = None if self._lost else _Sound(source, self._container)

    def add(self, rgb: np.ndarray, pts: int) -> None:
        """Adds a frame, uint8 [H, W, 3], that is shown at `pts` times the time base."""
        from av import VideoFrame

        with self._failing_once():
            frame = VideoFrame.from_ndarray(_fitted(rgb, self.size), format="rgb24")
            frame = self._reformatter.reformat(frame, format="yuv420p", dst_colorspace=_BT709)
            frame.pts, frame.time_base = pts, self.time_base
            self._container.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.copy(until=float(pts * self.time_base))

    def end(self) -> None:
        """Adds the sound after the last frame, and closes the file.

        Raises:
            FacedetError: also where the sound does not go into the file, which is there without.
        """
        with self._failing_once():
            if self._sound is not None:
                self._sound.copy()
        self.close()
        if self._lost:
            raise FacedetError(f"{self.path}: {self._lost}")

    def close(self) -> None:
        """Puts what there is in its place."""
        with self._failing_once():
            self._container.mux(self._video.encode(None))
            self._stack.close()

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        """Names the file in errors, after which nothing is left of it."""
        from av import FFmpegError

        try:
            yield
        except (FFmpegError, OSError, ValueError, FacedetError) as error:
            with suppress(FFmpegError, OSError, FacedetError):
                self._stack.__exit__(type(error), error, None)
            if isinstance(error, FacedetError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise FacedetError(f"{self.path} cannot be written: {reason}") from error


class _Sound:
    """The packets of all sound of an opened file, copied as their time comes."""

    def __init__(self, source: "InputContainer", output: "OutputContainer") -> None:
        streams = source.streams.audio
        self.outputs = {one.index: output.add_stream_from_template(one) for one in streams}
        self.output = output
        self.packets = source.demux(*streams) if streams else iter(())
        self.held = next(self.packets, None)

    def copy(self, until: float = inf) -> None:
        """Copies the packets up to a time in s; of a damaged file those that can be read."""
        from av import FFmpegError

        while self.held is not None:
            packet = self.held
            if packet.dts is not None:  # the last packet of a stream is empty
                if float(packet.dts * packet.time_base) > until:
                    return
                packet.stream = self.outputs[packet.stream_index]
                self.output.mux(packet)
            try:
                self.held = next(self.packets, None)
            except FFmpegError:
                self.held = None


def _unfit_sound(source: "InputContainer", output: "OutputContainer") -> str:
    """What is to be said where the output's format does not take the sound; "" where it does."""
    for stream in source.streams.audio:
        if (codec := stream.codec.canonical_name) not in output.supported_codecs:
            return f"without sound, since {output.format.name} takes no {codec}; .mkv may take it"
    return ""


def _fitted(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture in a canvas of (height, width) px: the same size, an edge more, or black bars."""
    height, width = rgb.shape[:2]
    down, right = size[0] - height, size[1] - width
    if (down, right) == (0, 0):
        return rgb
    if down in (0, 1) and right in (0, 1):
        return cv2.copyMakeBorder(rgb, 0, down, 0, right, cv2.BORDER_REPLICATE)
    scale = min(size[0] / height, size[1] / width)
    sides = [max(1, round(side * scale)) for side in (width, height)]
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - sides[1]) // 2, (size[1] - sides[0]) // 2
    canvas[top : top + sides[1], left : left + sides[0]] = cv2.resize(rgb, sides)
    return canvas
