from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from facedet.callbacks import checkpoint_io
from facedet.callbacks.checkpoint_io import DurableCheckpointIO, MovableCheckpoint, is_whole
from facedet.errors import FacedetError


def test_a_checkpoint_is_written_and_read_back(tmp_path):
    path = tmp_path / "new folder" / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"a": torch.arange(4)}, path)
    assert is_whole(path)
    read = DurableCheckpointIO().load_checkpoint(path, weights_only=True)
    assert read["a"].tolist() == [0, 1, 2, 3]
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_one_flipped_bit_and_a_cut_off_end_are_seen(tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"a": torch.zeros(1000)}, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not is_whole(path)
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    assert not is_whole(path)
    assert not is_whole(tmp_path / "none.ckpt")


def test_the_file_before_stays_where_the_new_one_is_not_whole(tmp_path, monkeypatch):
    path = tmp_path / "checkpoints" / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"step": 1}, path)
    monkeypatch.setattr(checkpoint_io, "is_whole", lambda _: False)
    with pytest.raises(FacedetError, match=r"last\.ckpt was not written as it should be"):
        DurableCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert len(list(path.parent.iterdir())) == 1


def moved(folder, resumed, files):
    """A callback in `folder`, which has `files`, after a state of the folder /before."""
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    state = {
        "dirpath": "/before", "best_k_models": {"/before/a.ckpt": 2.0, "/before/b.ckpt": 3.0},
        "best_model_score": 3.0, "best_model_path": "/before/b.ckpt",
        "kth_best_model_path": "/before/a.ckpt", "kth_value": 2.0, "last_model_path": "",
    }  # fmt: skip
    callback = MovableCheckpoint(str(folder), monitor="x", mode="max", save_top_k=2)
    callback.on_load_checkpoint(SimpleNamespace(ckpt_path=str(resumed)), None, {})
    callback.load_state_dict(state)
    return callback


def test_the_best_of_a_moved_folder_are_the_files_that_are_there(tmp_path):
    folder = tmp_path / "run"
    callback = moved(folder, folder / "last.ckpt", ["a.ckpt"])
    assert callback.best_k_models == {str(folder / "a.ckpt"): 2.0}
    assert callback.kth_best_model_path == str(folder / "a.ckpt")
    assert callback.best_model_path == callback.last_model_path == ""


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_another_runs_best_is_not_that_of_a_file_of_its_name(tmp_path):
    callback = moved(tmp_path / "run", tmp_path / "last.ckpt", ["a.ckpt", "b.ckpt"])
    assert callback.best_k_models == {}


def test_the_state_has_the_key_of_earlier_checkpoints(tmp_path):
    keys = {
        kind(str(tmp_path), monitor="x").state_key for kind in (ModelCheckpoint, MovableCheckpoint)
    }
    assert len(keys) == 1
