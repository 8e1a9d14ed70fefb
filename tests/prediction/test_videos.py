"""`facedet predict` on videos: copies with boxes or hidden faces, crops, lines, and their names."""

import csv
import io
import json
import os
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from facedet.prediction import run
from reference.one_face import SCORE, save_picture
from reference.predictions import FACE, stored
from reference.videos import grey_of, packets, save_video

TIMES = [0, 40, 50, 200]  # ms


@pytest.fixture
def video(tmp_path):
    return save_video(tmp_path / "in" / "film.mp4", 4, times=TIMES, sound=True)


def decode(path):
    with av.open(path) as container:
        return [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]


def check_copy(path, original):
    """The same times, and the same sound, byte by byte."""
    frames = decode(path)
    assert [time for time, _ in frames] == pytest.approx([time for time, _ in decode(original)])
    sound, expected = packets(path, "audio"), packets(original, "audio")
    assert [data for _, data in sound] == [data for _, data in expected]
    assert [time for time, _ in sound] == pytest.approx([time for time, _ in expected])
    return [rgb for _, rgb in frames]


def test_a_copy_with_boxes_and_a_line_per_frame(cli, weights, video, tmp_path):
    out = tmp_path / "out"
    result = cli("predict", video, "--weights", weights, "--output", out)
    assert (result.code, result.out) == (0, f"{video}: 4 frames, 4 faces\n")
    assert result.err == f"4 frames: {out / 'predictions.json'}\n"
    size = {"width": 64, "height": 48}
    assert stored(out) == [
        {"file": str(video), "frame": index, "time": time / 1000, **size, "faces": [FACE]}
        for index, time in enumerate(TIMES)
    ]
    shown = check_copy(out / "film_faces.mp4", video)
    for index, rgb in enumerate(shown):
        green = rgb[0, 32].astype(int)
        assert green[1] - green[0] > 60  # the box's upper side
        assert abs(float(rgb[30:40, 20:40].mean()) - grey_of(index)) < 8
    # The next run over the folder passes over what this one made, and replaces it.
    again = cli("predict", video.parent, out, "--weights", weights, "--output", out)
    assert "passed over: 1 other file, 1 that facedet drew" in again.err
    assert sorted(os.listdir(out)) == ["film_faces.mp4", "predictions.json"]


@pytest.mark.parametrize("way", ["blur", "pixelate"])
def test_an_anonymous_copy(cli, weights, tmp_path, way):
    """The face is the whole picture: nothing is left of the two halves' edge."""
    video = save_video(tmp_path / "a.mp4", 3, left=250, sound=True)
    out = tmp_path / "new" / "b.mp4"
    result = cli("predict", video, f"--{way}", "--weights", weights, "-o", out)
    assert (result.code, result.err, os.listdir(out.parent)) == (0, "", ["b.mp4"])
    for rgb, index in zip(check_copy(out, video), range(3), strict=True):
        left, right = rgb[24, 2].mean(), rgb[24, -3].mean()
        assert left > 200
        assert abs(right - grey_of(index)) < 25
        assert np.abs(np.diff(rgb[24, :, 1].astype(int))).max() < (40 if way == "blur" else 256)


def test_a_picture_that_becomes_a_file(cli, weights, tmp_path):
    photo = save_picture(tmp_path / "a.png")
    result = cli("predict", photo, "--pixelate", "-w", weights, "-o", tmp_path / "b.png", "--json")
    assert (result.code, result.err) == (0, "")
    hidden = np.asarray(Image.open(tmp_path / "b.png"))
    # 64 x 48 px in cells of 8.
    assert all(
        (hidden[y : y + 8, x : x + 8] == hidden[y, x]).all() for y in (0, 40) for x in (0, 56)
    )
    assert len(np.unique(hidden.reshape(-1, 3), axis=0)) <= 48


def test_crops(cli, weights, video, tmp_path):
    photo = save_picture(tmp_path / "a.jpg")
    words = ("--weights", weights, "--no-save", "--crop", tmp_path / "faces", "--crop-margin", 0)
    for _ in range(2):  # the second time over the first one's
        result = cli("predict", video, photo, *words)
        assert (result.code, result.err) == (0, f"5 faces: {tmp_path / 'faces'}\n")
    names = [f"film_{index:06}_01.jpg" for index in range(4)]
    assert sorted(os.listdir(tmp_path / "faces")) == ["a_01.jpg", *names]
    assert Image.open(tmp_path / "faces" / "a_01.jpg").size == (64, 48)
    own = save_picture(tmp_path / "faces" / "a_01.jpg").read_bytes()
    result = cli("predict", photo, *words)
    assert result.code == 1
    assert "a_01.jpg: facedet did not write this; choose another folder" in result.err
    assert (tmp_path / "faces" / "a_01.jpg").read_bytes() == own


def test_lines_as_they_come(cli, weights, video):
    lines = cli("predict", video, "-w", weights, "--jsonl").out.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(4))
    rows = list(csv.DictReader(io.StringIO(cli("predict", video, "-w", weights, "--csv").out)))
    assert [float(row["time"]) for row in rows] == [time / 1000 for time in TIMES]
    assert {float(row["score"]) for row in rows} == {SCORE}
    assert len(cli("predict", video, "-w", weights, "--json").json["images"]) == 4
    assert os.listdir() == []  # nothing is saved where programs read


def test_a_camera_that_stops_leaves_its_video(cli, weights, tmp_path, monkeypatch):
    pictures = iter([np.full((48, 64, 3), 90, np.uint8)] * 3)

    def read():
        picture = next(pictures, None)
        return picture is not None, picture

    camera = SimpleNamespace(isOpened=lambda: True, read=read, release=lambda: None)
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: camera)
    out = tmp_path / "camera.mp4"
    result = cli("predict", "0", "--weights", weights, "-o", out, "--jsonl")
    assert result.code == 1
    assert "camera 0: stopped after 3 frames" in result.err
    entries = [json.loads(line) for line in result.out.splitlines()]
    assert {one["file"] for one in entries} == {"camera 0"}
    assert len(decode(out)) == len(entries) >= 1


def test_progress_counts_frames(cli, weights, video, tmp_path, monkeypatch):
    bars = []

    class Bar(tqdm):
        def __init__(self, **options):
            super().__init__(**{**options, "disable": False})
            bars.append(self)

    monkeypatch.setattr(run, "tqdm", Bar)
    words = ("--weights", weights, "--no-save", "--json")
    # The sound lasts for a second, from which the header's length, and a guess of 25 frames, comes.
    guessed = save_video(tmp_path / "c.mkv", 2, sound=True)
    cli("predict", save_picture(tmp_path / "a.jpg"), guessed, *words)
    cli("predict", video, save_video(tmp_path / "b.h264", 2), *words)
    counts = [(bar.n, bar.total, bar.unit) for bar in bars]
    # A raw stream does not know its length, so nothing is known of the whole.
    assert counts == [(3, 3, "frame"), (6, None, "frame")]


def test_labels_of_frames(cli, weights, video, tmp_path):
    for kind in ("yolo", "coco", "jsonl"):
        words = ("--weights", weights, "-o", tmp_path / kind, "--format", kind, "--no-pictures")
        assert cli("predict", video, *words).code == 0
    names = [f"film_{index:06}" for index in range(4)]
    assert sorted(os.listdir(tmp_path / "yolo" / "labels")) == [f"{name}.txt" for name in names]
    coco = json.loads((tmp_path / "coco" / "predictions.coco.json").read_text())
    assert [one["file_name"] for one in coco["images"]] == [f"{name}.jpg" for name in names]
    assert [one["image_id"] for one in coco["annotations"]] == [1, 2, 3, 4]
    assert (tmp_path / "jsonl" / "predictions.jsonl").read_text().count("\n") == 4


def test_sizes_that_are_odd_or_change(cli, weights, tmp_path):
    parts = [save_video(tmp_path / "a.h264", 3), save_video(tmp_path / "b.h264", 3, (40, 80))]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    out = tmp_path / "out"
    assert cli("predict", path, "-w", weights, "-o", out, "--score", 1).code == 0
    shown = [rgb for _, rgb in decode(out / "both_faces.mkv")]
    assert [rgb.shape for rgb in shown] == [(48, 64, 3)] * 6
    # 40 x 80 px become 24 x 48, in the middle.
    columns = shown[3].mean(axis=(0, 2))
    assert columns[:18].max() < 16 < 20 < columns[22:42].min()
    assert columns[46:].max() < 16
    gif = tmp_path / "c.jpg"
    save_picture(gif, (63, 47))
    with av.open(tmp_path / "odd.mkv", "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "yuvj444p"
        frame = av.VideoFrame.from_image(Image.open(gif))
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    assert cli("predict", tmp_path / "odd.mkv", "-w", weights, "-o", out, "--score", 1).code == 0
    (_, copy), (_, plain) = decode(out / "odd_faces.mkv")[0], decode(tmp_path / "odd.mkv")[0]
    assert copy.shape == (48, 64, 3)
    assert np.abs(copy[:47, :63].astype(int) - plain).mean() < 20  # noise, but not resized


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "film.mp4"], 1, "--output film.mp4: is the input; choose another name"),
        (["-o", "link.mp4"], 1, "--output link.mp4: is the input; choose another name"),
        (["-o", "b.jpg"], 2, "--output b.jpg: expected a video, .mp4, .mov, .mkv"),
        (["-o", "b.avi"], 2, "--output b.avi: expected a video, .mp4, .mov, .mkv"),
        (["photo.png", "-o", "b.mp4"], 2, "a file holds one picture or video, these are 2"),
        (["-o", "b.mp4", "--format", "csv"], 2, "--format and --no-pictures need a folder"),
        (["-o", "b.mp4", "--no-pictures"], 2, "--format and --no-pictures need a folder"),
        (["--blur", "--no-pictures"], 2, "not allowed with argument"),
        (["--blur", "--pixelate"], 2, "not allowed with argument"),
        (["--blur", "--no-save"], 2, "--no-save writes nothing: omit"),
        (["--json", "--jsonl"], 2, "not allowed with argument"),
        (["--crop", "photo.png"], 1, "--crop photo.png: cannot be made (File exists)"),
        (["--crop", "c", "--crop-margin", "2"], 2, "--crop-margin"),
    ],
)
def test_complaints(cli, weights, video, monkeypatch, words, code, said):
    monkeypatch.chdir(video.parent)
    save_picture(video.parent / "photo.png")
    (video.parent / "link.mp4").hardlink_to(video)
    before = video.read_bytes()
    cli("predict", "film.mp4", "-w", weights, *words).check_error(code, said)
    assert video.read_bytes() == before


def test_a_bad_video_among_good_ones(cli, weights, video, tmp_path):
    cut = video.parent / "cut.mkv"
    whole = save_video(tmp_path / "whole.mkv", 40, sound=True).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    (video.parent / "text.mp4").write_text("no video")
    result = cli("predict", video.parent, "--weights", weights, "-o", tmp_path / "out", "--jsonl")
    assert result.code == 1
    lines = result.err.splitlines()
    assert lines[-1] == "facedet predict: 2 failed, 2 done"
    assert f"{cut}: ends after " in lines[-3]
    assert f"{video.parent / 'text.mp4'}: cannot be opened as a video (" in lines[-2]
    copies = sorted(path.name for path in (tmp_path / "out").glob("*.m*"))
    assert copies == ["cut_faces.mkv", "film_faces.mp4"]
    done = result.out.count(str(cut))
    assert 4 < done < 40
    assert len(decode(tmp_path / "out" / "cut_faces.mkv")) == done


def test_sound_that_does_not_fit_is_said(cli, weights, tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("wavpack", rate=44_100, layout="mono")
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        tone.sample_rate = 44_100
        for stream, one in ((video, frame), (audio, tone)):
            container.mux(stream.encode(one) + stream.encode(None))
    words = ("predict", path, "--weights", weights, "-o")
    result = cli(*words, tmp_path / "b.mp4")
    assert result.code == 1
    said = f"{tmp_path / 'b.mp4'}: without sound, since mp4 takes no wavpack; .mkv may take it"
    assert said in result.err
    assert len(decode(tmp_path / "b.mp4")) == 1
    assert cli(*words, tmp_path / "b.mkv").code == 0
    assert len(packets(tmp_path / "b.mkv", "audio")) == len(packets(path, "audio")) > 0
