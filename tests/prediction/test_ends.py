"""`facedet predict` when the disk, the reader or the user puts an end to it: what is kept."""

import errno
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial

import pytest
from PIL import Image

from facedet.api import FaceDetector
from reference.one_face import save_picture
from reference.predictions import result_of, stored
from reference.videos import packets, save_video


def test_a_picture_that_cannot_be_written_fails_alone(cli, weights, photos, tmp_path):
    out = tmp_path / "out"
    (out / "a b_faces.jpg").mkdir(parents=True)
    (out / "a b_2_faces.jpg").symlink_to("/nowhere/at/all.jpg")
    result = cli("predict", photos, "--weights", weights, "--output", out)
    # The folder is stepped aside for; the link's place is free, and is replaced.
    assert result.code == 0
    assert Image.open(out / "a b_2_faces.jpg").size == (64, 48)
    (out / "predictions.json").unlink()
    (out / "predictions.json").mkdir()
    result = cli("predict", photos, "--weights", weights, "--output", out)
    assert result.code == 1
    assert "predictions.json cannot be written" in result.err


@contextmanager
def room_for(size):
    """Files end at this many bytes, as they do on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_nothing_half_written(cli, weights, photos, tmp_path):
    out = tmp_path / "out"
    save_picture(photos / "large.jpg", (400, 400))
    with room_for(20_000):  # the table and the small pictures, not 400 x 400 px of noise
        result = cli("predict", photos, "--weights", weights, "--output", out)
    assert result.code == 1
    assert f"{out / 'large_faces.jpg'} cannot be written: {os.strerror(errno.EFBIG)}" in result.err
    assert "1 failed, 3 done" in result.err
    assert sorted(path.name for path in out.iterdir()) == [
        "a b_faces.jpg",
        "c_faces.jpg",
        "predictions.json",
    ]
    # Its boxes are not lost with its drawing.
    assert len(stored(out)) == 3


def stop_at(monkeypatch, number, error):
    """Makes the detector raise at its call of a number, counted from 1."""
    calls, detect = [], FaceDetector.detect

    def stopping(self, picture):
        calls.append(picture)
        if len(calls) == number:
            raise error
        return detect(self, picture)

    monkeypatch.setattr(FaceDetector, "detect", stopping)


def test_an_interruption_keeps_what_is_done(cli, weights, photos, tmp_path, monkeypatch):
    stop_at(monkeypatch, 2, KeyboardInterrupt)
    out = tmp_path / "out"
    result = cli("predict", photos, "--weights", weights, "--output", out)
    assert result.code == 130
    assert result.err.splitlines()[-1] == "facedet predict: interrupted"
    assert stored(out) == [result_of(photos / "a b.jpg")]


def test_an_interrupted_video_is_whole_up_to_there(cli, weights, tmp_path, monkeypatch):
    path = save_video(tmp_path / "a.mp4", 14, sound=True)
    stop_at(monkeypatch, 9, KeyboardInterrupt)
    result = cli("predict", path, "--weights", weights, "--output", tmp_path / "b.mp4", "--jsonl")
    assert result.code == 130
    assert result.out.count("\n") == 8
    times = [time for time, _ in packets(tmp_path / "b.mp4", "video")]
    assert sorted(times) == pytest.approx([0.04 * index for index in range(8)])
    assert packets(tmp_path / "b.mp4", "audio")[-1][0] <= max(times)
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "b.mp4"]


def test_a_video_for_which_the_disk_is_full_leaves_nothing(cli, weights, tmp_path):
    path = save_video(tmp_path / "a.mp4", 6)
    with room_for(500):
        result = cli("predict", path, "--weights", weights, "-o", tmp_path / "b.mp4", "--jsonl")
    assert result.code == 1

    assert f"{tmp_path / 'b.mp4'} cannot be written: {os.strerror(errno.EFBIG)}" in result.err
    assert result.out.count("\n") == 6  # its boxes are not lost
    assert os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.slow
def test_a_reader_that_leaves_early_and_ctrl_c_in_earnest(weights, tmp_path):
    folder = tmp_path / "many"
    for index in range(60):
        save_picture(folder / f"{index:02}.jpg", (640, 480), index)
    words = [sys.executable, "-m", "facedet.cli", "predict", str(folder), "--weights", str(weights)]
    leaving = subprocess.Popen(
        [*words, "--no-save"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    leaving.stdout.readline()
    leaving.stdout.close()
    leaving.wait(60)
    assert (leaving.returncode, leaving.stderr.read()) == (1, "")
    out = tmp_path / "out"
    stopped = subprocess.Popen(
        [*words, "--output", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell's background jobs, these tests perhaps, hand on that they ignore it.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    stopped.stdout.readline()
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert err.splitlines()[-1] == "facedet predict: interrupted"
    assert 1 <= len(stored(out)) < 60
