"""Files written whole or not at all, and locks."""

import subprocess
import sys
from pathlib import Path

import pytest

from facedet.errors import FacedetError
from facedet.files import expand_home, is_locked, locked, new_folder, replacing

HOLD = """
import sys, time
from pathlib import Path
from facedet.files import locked
with locked(Path(sys.argv[1])) as is_ours:
    print(is_ours, flush=True)
    time.sleep(60)
"""


def test_a_tilde_is_a_home_folder_or_part_of_a_name(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home("~/a.jpg") == Path("/home/me/a.jpg")
    assert expand_home(Path("~nobody of this name.jpg")) == Path("~nobody of this name.jpg")


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("text")
        assert not path.exists()
    assert path.read_text() == "text"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail()
    assert path.read_text() == "old"
    assert [one for one in tmp_path.iterdir() if one.is_file()] == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    write = replacing(tmp_path / "taken" / "file.txt")
    with pytest.raises(FacedetError, match="taken/file.txt cannot be written"), write:
        pass


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "new" / ".lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"True\n"
    assert is_locked(path)
    with locked(path, timeout=0.1) as is_ours:
        assert not is_ours
    process.kill()
    process.wait()
    assert not is_locked(path)
    with locked(path) as is_ours:
        assert is_ours
        assert is_locked(path)
    assert not is_locked(path)
    assert not is_locked(tmp_path / "none" / ".lock")


def test_a_lock_whose_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FacedetError, match="cannot be made"), locked(tmp_path / "file" / "lock"):
        pass


def test_a_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fail():
        with new_folder(tmp_path / "a") as folder:
            (folder / "half").touch()
            assert not (tmp_path / "a").exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with new_folder(type(tmp_path)(".")) as folder:
        (folder / "whole").touch()
    assert (tmp_path / "here" / "whole").exists()
