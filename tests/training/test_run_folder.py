from pathlib import Path

import pytest

from facedet.errors import FacedetError
from facedet.loggers.sent_steps import RUN_FILE
from facedet.training.run_folder import (
    holds,
    is_further_process,
    own_folder,
    refuse_replacing,
    start_fresh,
)


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_gone(tmp_path):
    """`test_files` has locks of other processes, and of killed ones."""
    said = "another process is training there"
    with own_folder(tmp_path / "run"), pytest.raises(FacedetError, match=said):
        own_folder(tmp_path / "run").__enter__()
    with own_folder(tmp_path / "run"):
        pass


def test_further_processes_share_the_folder_of_the_first(tmp_path, monkeypatch):
    assert not is_further_process()
    with own_folder(tmp_path):
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert is_further_process()
        with own_folder(tmp_path):
            pass
        monkeypatch.setenv("LOCAL_RANK", "0")
        assert not is_further_process()


def test_a_run_is_not_replaced_by_accident(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    refuse_replacing(tmp_path, overwrite=False)
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    (tmp_path / RUN_FILE).write_text("abc")
    with pytest.raises(FacedetError, match="holds a run already: ckpt_path=last resumes it"):
        refuse_replacing(tmp_path, overwrite=False)
    assert (tmp_path / RUN_FILE).exists()
    refuse_replacing(tmp_path, overwrite=True)
    start_fresh(tmp_path, overwrite=True)
    assert not (tmp_path / RUN_FILE).exists()


def test_replacing_a_run_removes_its_files_and_no_others(tmp_path):
    of_run = [
        *(f"checkpoints/{name}.ckpt" for name in ("last", "best", "epoch_000", "step=4")),
        "weights.safetensors", "logs/metrics.csv", "mining.csv", "mining.npy", "hardest.csv",
        "images/step_0000004.jpg", "images/training.jpg", "images/precision_recall.png",
    ]  # fmt: skip
    others = ["train.log", "notes.csv", "images/mine.jpg", "checkpoints/notes.txt", "a/b.ckpt"]
    for name in (*of_run, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    start_fresh(tmp_path, overwrite=False)
    assert all((tmp_path / name).exists() for name in of_run)
    start_fresh(tmp_path, overwrite=True)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == set(others)


def test_weights_that_would_be_replaced_are_no_start(tmp_path):
    for name in ("weights.safetensors", "mine.safetensors"):
        (tmp_path / name).touch()
    refuse_replacing(tmp_path, True, str(tmp_path / "mine.safetensors"))
    refuse_replacing(tmp_path, True, "extd-plain-32")
    with pytest.raises(FacedetError, match=r"is a file of the run that overwrite=true replaces"):
        refuse_replacing(tmp_path, True, str(tmp_path / "weights.safetensors"))


def test_a_file_of_a_run_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, far = tmp_path / "run", tmp_path / "far"
    folder.mkdir()
    far.mkdir()
    (folder / "checkpoints").symlink_to(far)
    Path("linked").symlink_to(folder)
    (far / "last.ckpt").touch()
    (folder / "real.ckpt").touch()
    Path("real.ckpt").symlink_to("run/real.ckpt")
    for written in (Path("run"), folder, Path("linked"), tmp_path / "far" / ".." / "run"):
        assert holds(written, "run/checkpoints/last.ckpt")
        assert holds(written, str(folder / "checkpoints" / "last.ckpt"))
        assert holds(written, "linked/checkpoints/last.ckpt")
        assert holds(written, "real.ckpt")
        assert not holds(written, "run2/checkpoints/last.ckpt")
        assert not holds(written, tmp_path / "last.ckpt")
