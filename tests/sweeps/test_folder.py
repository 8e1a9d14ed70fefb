"""The files of a sweep: locks, states, and what a kill or a damaged file leaves."""

import json
import logging
import subprocess
import sys

import pytest

from facedet.errors import FacedetError
from facedet.sweeps.folder import SweepFolder, held, is_held

HOLD = """
import sys, time
from pathlib import Path
from facedet.sweeps.folder import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return SweepFolder(tmp_path / "sweep")


def test_a_new_folder(folder):
    assert folder.hashes() == []
    assert folder.status("abc") == {"state": "new"}
    with pytest.raises(FacedetError, match=r"plan.json: no such plan"):
        folder.plan()
    folder.begin("seeds", ["a=1"], {"varying": ["seed"]})
    assert folder.plan() == {"varying": ["seed"]}
    told = json.loads((folder.path / "sweep.json").read_text())
    assert (told["name"], told["overrides"]) == ("seeds", ["a=1"])
    assert told.keys() == {"name", "overrides", "created", "versions"}


def test_a_second_start_keeps_the_date_and_takes_away_the_stop(folder):
    folder.begin("seeds", [], {})
    path = folder.path / "sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": "then"}))
    (folder.hydra / "stop").touch()
    folder.begin("seeds", ["b=2"], {})
    told = json.loads(path.read_text())
    assert (told["created"], told["overrides"]) == ("then", ["b=2"])
    assert not (folder.hydra / "stop").exists()


def test_another_sweeps_folder_is_refused(folder):
    folder.begin("seeds", [], {})
    with pytest.raises(FacedetError, match="holds the sweep seeds: give another --dir for lr"):
        folder.begin("lr", [], {})


def test_running_without_a_lock_is_interrupted(folder):
    folder.write_status("abc", {"state": "running", "attempt": 2})
    assert folder.status("abc") == {"state": "interrupted", "attempt": 2}
    with held(folder.job("abc") / ".job.lock") as owner:
        assert owner is None
        assert folder.status("abc")["state"] == "running"
    assert folder.hashes() == ["abc"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "asleep"}', "\udcff"])
def test_a_damaged_status(folder, content, caplog):
    path = folder.job("abc") / "status.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert folder.status("abc")["state"] == "interrupted"
    assert path.exists()  # looking alone changes nothing
    with caplog.at_level(logging.WARNING):
        assert folder.status("abc", mend=True)["state"] == "interrupted"
    assert not path.exists()
    assert path.with_name("status.json.damaged").exists()
    assert "status.json is damaged: set aside as status.json.damaged" in caplog.text
    # Not new: what it has trained is gone on with.
    assert folder.status("abc")["state"] == "interrupted"


def test_a_lock_ends_with_its_process(folder):
    path = folder.path / ".lock"
    path.parent.mkdir()
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    told = rf"process {process.pid} on .* is sweeping there"
    with pytest.raises(FacedetError, match=told), folder.own():
        pass
    assert is_held(path)
    process.kill()
    process.wait()
    assert not is_held(path)
    with folder.own():
        assert is_held(path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FacedetError, match="cannot be made"), SweepFolder(tmp_path / "file").own():
        pass


def test_a_full_disk_leaves_the_old_status(folder, monkeypatch, caplog):
    folder.write_status("abc", {"state": "failed"})
    monkeypatch.setattr("json.dumps", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    folder.write_status("abc", {"state": "finished"})
    monkeypatch.undo()
    assert folder.status("abc") == {"state": "failed"}
    assert "status.json cannot be written: full" in caplog.text
