"""Videos and streams, decoded by PyAV (FFmpeg)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facedet.errors import FacedetError
from facedet.inference.sources.frames import Frame, Source
from facedet.inference.sources.live import newest_frames
from facedet.tables import counted

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".wmv", ".flv", ".3gp", ".ogv", ".vob", ".mxf", ".h264", ".264", ".h265", ".hevc", ".mjpg",
    ".mjpeg", ".m3u8",
))  # fmt: skip
STREAM_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "udp://", "srt://")
# Formats of http(s) without an end: the pictures of a camera, and playlists.
_LIVE_FORMATS = ("mpjpeg", "hls")
# Formats whose header knows how long the video is; of others FFmpeg guesses.
_SURE_FORMATS = ("mov", "matroska", "avi")
VIDEO_OUTPUTS = (".mp4", ".mov", ".mkv")  # what facedet writes
VIDEO_MARK = "drawn by facedet"  # in the metadata
_TIMEOUT = 10.0  # s without an answer of a server
_WAITS = (1, 2, 4, 8, 16)  # s before each attempt to reconnect


@dataclass(frozen=True)
class VideoSource(Source):
    """A video file, the URL of one, or a stream."""

    url: str = ""  # where `name` leaves out its password

    @property
    def address(self) -> str:
        """What is opened."""
        return self.url or self.name

    def frames(self) -> Iterator[Frame]:
        """The frames in the order of their time, turned as the display matrix asks.

        Of a stream it is the newest frame each time, with the time of its arrival: who is slower
        than the stream misses frames, but does not fall behind.

        Raises:
            FacedetError: after the last good frame: it is no video, has no frames, ends early or
                has broken frames; or a stream stopped and did not come back.
        """
        if not self.name.startswith(STREAM_SCHEMES):
            with _opened(self) as container:
                is_endless = container.duration is None and container.format.name in _LIVE_FORMATS
                if self.path is not None or not is_endless:
                    yield from self._video(container)
                    return
        yield from newest_frames(self, self._stream())

    def _video(self, container: "InputContainer") -> Iterator[Frame]:
        stream = _picture_stream(container, self.name)
        total = _expected_frames(container, stream)
        decoding = _Decoding(container, stream)
        time_base = stream.time_base or Fraction(1, 90_000)
        step = max(1, round(1 / ((stream.average_rate or 25) * time_base)))
        index, pts = -1, None
        for index, frame in enumerate(decoding.frames()):
            if pts is None:
                pts = frame.pts or 0
            else:
                # A raw stream has no times, and no format could hold a time that stands still.
                pts = pts + step if frame.pts is None else max(pts + 1, frame.pts)
            rgb = decoding.rgb(frame)
            note = "damaged in the video" if frame.is_corrupt else ""
            yield Frame(rgb, self, note, index, pts, time_base, total)
        if wrong := decoding.complaints(index + 1):
            raise FacedetError(f"{self.name}: {'; '.join(wrong)}")

    def _stream(self) -> Iterator[np.ndarray]:
        """The pictures of a stream; connects again, after growing pauses, where it stops."""
        count, attempts = 0, 0
        while True:
            try:
                with _opened(self) as container:
                    decoding = _Decoding(container, _picture_stream(container, self.name))
                    for frame in decoding.frames():
                        count, attempts = count + 1, 0
                        yield decoding.rgb(frame)
                    reason = decoding.end or "it ended"
            except FacedetError as error:
                reason = str(error).removeprefix(f"{self.name}: ")
            if not count:
                raise FacedetError(f"{self.name}: {reason}")
            if attempts == len(_WAITS):
                raise FacedetError(
                    f"{self.name}: stopped after {count} frames and did not come back in "
                    f"{attempts} attempts ({reason})"
                )
            time.sleep(_WAITS[attempts])
            attempts += 1


class _Decoding:
    """The pictures of an opened video, and what went wrong on the way."""

    def __init__(self, container: "InputContainer", stream: "VideoStream") -> None:
        from av.video.reformatter import VideoReformatter

        self.container = container
        self.stream = stream
        self.reformatter = VideoReformatter()  # one for all frames: it keeps its tables
        self.broken = 0
        self.last = 0.0  # s: the end of the latest packet, sound or picture
        self.end = ""  # why reading stopped early

    def frames(self) -> "Iterator[VideoFrame]":
        from av import FFmpegError

        self.stream.thread_type = "AUTO"
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.end = f"damaged or cut off ({_reason(error)})"
                return
            if packet is None:
                return
            if packet.pts is not None:
                ends = (packet.pts + (packet.duration or 0)) * packet.time_base
                self.last = max(self.last, float(ends))
            if packet.stream_index != self.stream.index:
                continue
            try:
                decoded: list[Any] = packet.decode()
            except FFmpegError:
                self.broken += 1
                continue
            yield from decoded

    def rgb(self, frame: "VideoFrame") -> np.ndarray:
        """Upright uint8 [H, W, 3]."""
        rgb = self.reformatter.reformat(frame, format="rgb24").to_ndarray()
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        return rgb if matrix is None else _turned(rgb, np.frombuffer(matrix, np.int32))

    def complaints(self, count: int) -> list[str]:
        """What is wrong with the video of which `count` frames came."""
        wrong = [f"{self.broken} broken frames left out"] if self.broken else []
        if self.end:
            wrong.append(f"{self.end} after {count} frames")
        elif not count:
            wrong.append("there are no frames in it: cut off?")
        elif self.container.duration and self.container.format.name.startswith(_SURE_FORMATS):
            # Matroska's duration is the time of the end, whenever the first frame comes.
            is_end = self.container.format.name.startswith("matroska")
            start = 0 if is_end else self.container.start_time or 0
            expected = (start + self.container.duration) / 1e6
            if self.last + max(0.5, 0.02 * expected) < expected:
                wrong.append(
                    f"ends after {self.last:.1f} s and {count} frames, its header says "
                    f"{expected:.1f} s: cut off?"
                )
        return wrong


@contextmanager
def _opened(source: VideoSource) -> "Iterator[InputContainer]":
    try:
        import av
    except ImportError as error:
        raise FacedetError(
            f"{source.name}: videos need PyAV: pip install 'facedet-lightning[video]'"
        ) from error
    try:
        # Over TCP no packet is lost, but some cameras and servers only speak UDP.
        options = {"rtsp_flags": "prefer_tcp"} if source.name.startswith("rtsp") else {}
        timeout = None if source.path else _TIMEOUT
        container = av.open(source.address, options=options, timeout=timeout)
    except av.FFmpegError as error:
        reason = f"cannot be opened as a video ({_reason(error)})"
        raise FacedetError(f"{source.name}: {reason}") from error
    with container:
        yield container


def is_drawn_video(path: Path) -> bool:
    """Whether facedet wrote a video; False where PyAV is missing."""
    try:
        with _opened(VideoSource(str(path), path.stem, path)) as container:
            return VIDEO_MARK in container.metadata.values()
    except FacedetError:
        return False


def _picture_stream(container: "InputContainer", name: str) -> "VideoStream":
    """The first stream of pictures that is no cover of a piece of music."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    sounds = counted(len(container.streams.audio), "stream")
    raise FacedetError(f"{name}: has no pictures, {sounds} of sound")


def _expected_frames(container: "InputContainer", stream: "VideoStream") -> int | None:
    if stream.frames:
        return stream.frames
    if container.duration and stream.average_rate:
        return round(container.duration / 1e6 * float(stream.average_rate))
    return None


def _turned(rgb: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The picture as its display matrix, nine fixed-point numbers, asks: quarter turns, mirrors.

    A pixel (p, q) is shown at (a p + c q, b p + d q), of which the signs are enough.
    """
    a, b, c, d = np.sign(matrix[[0, 1, 3, 4]])
    if a == 0:
        rgb, a, d = rgb.swapaxes(0, 1), c, b
    return np.ascontiguousarray(rgb[:: d or 1, :: a or 1])


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
