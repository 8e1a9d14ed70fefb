"""Small videos, made by PyAV: a grey level per frame, a tone, and what may be wrong with them."""

from fractions import Fraction

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)


def grey_of(index):
    """The level of a frame; far enough from the next for a lossy codec."""
    return 30 + 20 * (index % 10)


def save_video(path, frames=10, size=(64, 48), times=None, sound=False, options=None, left=None):
    """Writes a video of (width, height) px; its frames come every 40 ms, or at `times` (ms).

    Args:
        path: its suffix says the container.
        frames: how many.
        size: px.
        times: of the frames, ms.
        sound: with a second of AAC.
        options: of the container.
        left: the grey level of the left half of all frames; None: as the right one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w", options=options or {}) as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "10"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = MILLISECOND
        audio = container.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for index in range(frames):
            rgb = np.full((size[1], size[0], 3), grey_of(index), np.uint8)
            if left is not None:
                rgb[:, : size[0] // 2] = left
            frame = av.VideoFrame.from_ndarray(rgb)
            frame.pts = times[index] if times else 40 * index
            frame.time_base = MILLISECOND
            container.mux(video.encode(frame))
        for index in range(47 if audio else 0):
            tone = av.AudioFrame.from_ndarray(np.full((1, 1024), 0.1, np.float32), "fltp", "mono")
            tone.sample_rate, tone.pts = 48_000, 1024 * index
            container.mux(audio.encode(tone))
        for stream in (video, audio):
            container.mux(stream.encode(None) if stream else [])
    return path


def turn_video(path, matrix):
    """Writes a display matrix, the upper left 2 x 2 numbers, into an MP4 file of one video."""
    data = bytearray(path.read_bytes())
    # After the box's name: version and flags, 2 dates, number, length (24 bytes), 16 more.
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 65_536) for value in matrix)
    numbers = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], dtype=">i4").tobytes()
    data[start : start + 36] = numbers
    path.write_bytes(data)
    return path


def damage_video(path, packet):
    """Overwrites a packet of a video in a container of whole packets (MP4)."""
    with av.open(path) as container:
        found = [one for one in container.demux(video=0) if one.size]
        position, size = found[packet].pos, found[packet].size
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    return path


def packets(path, kind):
    """(time in s, bytes) of the packets of a stream, `video` or `audio`."""
    with av.open(path) as container:
        return [
            (float(one.pts * one.time_base), bytes(one))
            for one in container.demux(**{kind: 0})
            if one.size
        ]
