import pytest
import torch

from facedet.callbacks import checkpoint_io
from facedet.callbacks.checkpoint_io import DurableCheckpointIO, is_whole
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
