"""Videos, cameras and streams as sources: what comes, when, and what is said of bad ones."""

import itertools
import socket
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from facedet.errors import FacedetError
from facedet.inference.sources import videos
from facedet.inference.sources.frames import detect_frames
from facedet.inference.sources.live import newest_frames
from facedet.inference.sources.selection import find_sources
from facedet.inference.sources.videos import VideoSource
from reference.one_face import save_picture
from reference.videos import damage_video, grey_of, save_video, turn_video
from reference.web_server import web_server


def source_of(path):
    (source,) = find_sources([str(path)]).sources
    return source


def play(path):
    """All frames of a source, and what it raises after the last one."""
    return play_source(source_of(path))


def play_source(source):
    said = []
    found = list(detect_frames([source], lambda _: None, said.append))
    return [frame for frame, _ in found], said


def greys(frames):
    return [round(float(frame.rgb.mean()) / 10) * 10 for frame in frames]


def test_frames_come_in_order_with_their_times(tmp_path):
    times = [0, 40, 50, 200, 1000, 1010]  # ms: a variable frame rate
    frames, said = play(save_video(tmp_path / "a.mp4", 6, times=times, sound=True))
    assert said == []
    assert greys(frames) == [grey_of(index) for index in range(6)]
    assert [frame.time for frame in frames] == pytest.approx([one / 1000 for one in times])
    assert [frame.index for frame in frames] == list(range(6))
    assert {frame.total for frame in frames} == {6}
    assert (frames[0].rgb.shape, frames[0].rgb.dtype) == ((48, 64, 3), np.uint8)


# Left half 0, right half 200 as stored; where the dark half is to be seen.
@pytest.mark.parametrize(
    ("matrix", "dark"),
    [
        ((1, 0, 0, 1), "left"),
        ((0, 1, -1, 0), "top"),  # a quarter turn clockwise: a phone held upright
        ((-1, 0, 0, -1), "right"),
        ((0, -1, 1, 0), "bottom"),
        ((-1, 0, 0, 1), "right"),  # mirrored
        ((0, 1, 1, 0), "top"),  # transposed
    ],
)
def test_the_display_matrix_is_followed(tmp_path, matrix, dark):
    path = turn_video(save_video(tmp_path / "a.mp4", 1, left=0), matrix)
    rgb = play(path)[0][0].rgb.astype(int)
    height, width = (64, 48) if dark in ("top", "bottom") else (48, 64)
    assert rgb.shape == (height, width, 3)
    halves = {
        "left": rgb[:, : width // 2],
        "right": rgb[:, width // 2 :],
        "top": rgb[: height // 2],
        "bottom": rgb[height // 2 :],
    }
    assert min(halves, key=lambda side: halves[side].mean()) == dark


def test_a_size_that_changes_and_a_stream_without_times(tmp_path):
    parts = [save_video(tmp_path / "a.h264", 5), save_video(tmp_path / "b.h264", 5, (96, 80))]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, said = play(path)
    assert said == []
    assert [frame.rgb.shape[:2] for frame in frames] == [(48, 64)] * 5 + [(80, 96)] * 5
    assert np.allclose(np.diff([frame.time for frame in frames]), 0.04)
    assert frames[0].total is None


def bad_videos(folder):
    """Videos with something wrong, the frames that still come, and a part of what is said."""
    options = {"movflags": "faststart"}
    whole = save_video(folder / "whole.mp4", 60, options=options, sound=True).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    other = save_video(folder / "whole.mkv", 60, sound=True).read_bytes()
    (folder / "cut.mkv").write_bytes(other[: len(other) // 2])
    (folder / "tail.mp4").write_bytes(save_video(folder / "w.mp4").read_bytes()[:500])
    (folder / "text.mp4").write_text("no video at all")
    (folder / "empty.mp4").touch()
    save_video(folder / "none.mkv", 0, sound=True)
    damage_video(save_video(folder / "broken.mp4", 30), 12)
    return {
        "cut.mp4": (range(5, 60), "cut"),
        "cut.mkv": (range(5, 60), "cut off?"),
        "tail.mp4": ([0], "cannot be opened as a video (Invalid data"),
        "text.mp4": ([0], "cannot be opened as a video (Invalid data"),
        "empty.mp4": ([0], "cannot be opened as a video"),
        "none.mkv": ([0], "there are no frames in it"),
        "broken.mp4": (range(10, 30), "broken frames left out"),
        "gone.mp4": ([0], "No such file"),
    }


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_video_whose_times_begin_late_is_whole(tmp_path, suffix):
    path = save_video(tmp_path / f"a.{suffix}", 25, times=[30_000 + 40 * one for one in range(25)])
    frames, said = play(path)
    assert (len(frames), said) == (25, [])


def test_bad_videos_say_one_line_after_their_good_frames(tmp_path):
    for name, (counts, words) in bad_videos(tmp_path).items():
        path = tmp_path / name
        frames, said = play_source(VideoSource(str(path), path.stem, path))
        assert len(frames) in counts, (name, len(frames), said)
        assert len(said) == 1, name
        assert said[0].startswith(f"{path}: "), name
        assert words in said[0], said
        assert "\n" not in said[0]


def test_a_wrong_frame_count_is_no_error(tmp_path):
    path = save_video(tmp_path / "a.mp4", 10)
    data = bytearray(path.read_bytes())
    data[(start := data.index(b"stts") + 4 + 4 + 4) : start + 4] = (99).to_bytes(4, "big")
    path.write_bytes(data)
    frames, said = play(path)
    assert (len(frames), said) == (10, [])


def test_frames_that_fail_are_left_out_and_counted(tmp_path):
    def odd(rgb):
        if round(rgb.mean() / 10) * 10 in (50, 90):
            raise FacedetError("too grey")
        return rgb.shape

    said = []
    sources = find_sources(
        [str(save_video(tmp_path / "a.mp4", 5)), str(save_picture(tmp_path / "b.png"))]
    )
    found = list(detect_frames(sources.sources, odd, said.append))
    assert len(found) == 4
    assert said == [f"{tmp_path / 'a.mp4'}: 2 frames not processed (too grey)"]


def test_without_pyav_the_message_says_what_to_install(tmp_path, monkeypatch):
    path = save_video(tmp_path / "a.mp4", 1)
    monkeypatch.setitem(sys.modules, "av", None)
    expected = f"{path}: videos need PyAV: pip install 'facedet-lightning[video]'"
    assert play(path) == ([], [expected])


def multipart(pictures):
    """What an IP camera sends: JPEGs, one after the other."""
    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    return b"".join(head % len(one) + one + b"\r\n" for one in pictures)


def test_a_stream_that_stops_is_tried_again_with_growing_pauses(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    jpeg = save_picture(tmp_path / "a.jpg").read_bytes()
    waits = []
    with web_server() as server:
        kind = "multipart/x-mixed-replace; boundary=frame"
        url = server.serve("camera", multipart([jpeg] * 3), kind=kind)

        def sleep(seconds):
            waits.append(seconds)
            if len(waits) == 2:
                server.answers.clear()

        monkeypatch.setattr(videos, "time", SimpleNamespace(sleep=sleep))
        frames, said = play(url)
    assert waits == [1, 1, 2, 4, 8, 16]  # twice it came back
    assert frames[-1].rgb.shape == (48, 64, 3)
    assert frames[-1].index == 5
    (line,) = said
    assert line.startswith(f"{url}: stopped after 6 frames and did not come back in 5 attempts (")
    assert "Not Found" in line


def test_a_video_of_a_web_server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    body = save_video(tmp_path / "a.mp4", 4).read_bytes()
    with web_server() as server:
        for url in (server.serve("a.mp4", body), server.serve("film", body, kind="video/mp4")):
            frames, said = play(url)
            assert (len(frames), said) == (4, []), url
            assert frames[-1].time == pytest.approx(0.12)
        (line,) = play(server.url("gone.mp4"))[1]
        assert line.startswith(f"{server.url('gone.mp4')}: cannot be opened as a video (")


def test_a_stream_that_is_not_there():
    frames, (line,) = play("rtsp://me:secret@127.0.0.1:9/live")
    assert frames == []
    expected = "rtsp://127.0.0.1:9/live: cannot be opened as a video (Connection refused)"
    assert line == expected


def rtsp_server(listener, transports):
    """Answers one client as a server that only speaks UDP; notes the transports it asks for."""
    answers = {
        "OPTIONS": "200 OK\r\nPublic: DESCRIBE, SETUP, PLAY",
        "DESCRIBE": "200 OK\r\nContent-Type: application/sdp\r\nContent-Length: 58",
    }
    body = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n".ljust(58)
    connection, _ = listener.accept()
    with connection, connection.makefile("rw", newline="") as stream:
        for line in stream:
            if line.startswith("Transport: "):
                transports.append(line.split(";")[0].split()[1])
            if line.startswith("CSeq: "):
                number = line.split()[1]
            if line.split(" ")[0] in ("OPTIONS", "DESCRIBE", "SETUP"):
                method = line.split(" ")[0]
            if line == "\r\n":
                end = "461 Unsupported Transport" if len(transports) < 2 else "454 No Session"
                head = f"RTSP/1.0 {answers.get(method, end)}\r\nCSeq: {number}\r\n\r\n"
                stream.write(head + body * (method == "DESCRIBE"))
                stream.flush()


def test_an_rtsp_server_without_tcp_is_asked_for_udp():
    transports = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=rtsp_server, args=(listener, transports), daemon=True)
        server.start()
        frames, (line,) = play(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/live")
        server.join(5)
    assert frames == []
    assert "cannot be opened as a video" in line
    assert transports == ["RTP/AVP/TCP", "RTP/AVP/UDP"]


def test_words_for_cameras_and_streams(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find_sources(["0", "0", "rtsp://me:secret@10.0.0.1:554/live", "http://host/a.mp4?t=1"])
    names = ["camera 0", "rtsp://10.0.0.1:554/live", "http://host/a.mp4?t=1"]
    assert [one.name for one in found.sources] == names
    assert [one.stem for one in found.sources] == ["camera0", "live", "a"]
    assert found.sources[1].address == "rtsp://me:secret@10.0.0.1:554/live"
    (tmp_path / "0").mkdir()
    save_video(tmp_path / "0" / "b.mp4")
    save_picture(tmp_path / "0" / "a.jpg")
    (tmp_path / "0" / "code.ts").write_text("let a = 1")
    found = find_sources(["0"])
    assert [one.name for one in found.sources] == ["0/a.jpg", "0/b.mp4"]
    assert found.others == 1


class Camera:
    """Stands in for OpenCV's."""

    def __init__(self, pictures):
        self.pictures = iter(pictures)
        self.is_open = True

    def isOpened(self):  # noqa: N802
        return self.is_open

    def read(self):
        picture = next(self.pictures, None)
        return picture is not None, picture

    def release(self):
        self.is_open = False


def test_a_camera(monkeypatch):
    bgr = np.zeros((4, 6, 3), np.uint8)
    bgr[..., 0] = 255  # blue
    camera = Camera([bgr, bgr])
    monkeypatch.setattr(cv2, "VideoCapture", {3: camera}.get)
    frames, said = play("3")
    assert said == ["camera 3: stopped after 2 frames"]
    assert frames[-1].index == 1  # the newest one came in any case
    assert frames[-1].rgb[0, 0].tolist() == [0, 0, 255]
    assert (frames[-1].total, frames[-1].time >= 0) == (None, True)
    assert not camera.is_open


def test_a_camera_that_is_not_there():
    assert play(99) == ([], ["camera 99: there is none, or another program uses it"])


def test_a_slow_reader_gets_the_newest_picture():
    made = []

    def pictures():
        for index in range(30):
            time.sleep(0.01)
            made.append(index)
            yield np.full((2, 2, 3), index, np.uint8)

    frames = newest_frames(source_of(0), pictures())
    first = next(frames)
    time.sleep(0.1)
    second = next(frames)
    assert first.index + 3 < second.index
    assert second.rgb[0, 0, 0] == second.index
    rest = list(frames)
    assert rest[-1].index == 29
    indices = [frame.index for frame in (first, second, *rest)]
    assert indices == sorted(set(indices))


def test_whoever_stops_reading_frees_the_camera(monkeypatch):
    camera = Camera(np.zeros((2, 2, 3), np.uint8) for _ in itertools.count())
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: camera)
    frames = source_of(0).frames()
    next(frames)
    frames.close()
    assert not camera.is_open
    assert "camera 0" not in [thread.name for thread in threading.enumerate()]
