import copy
import os

import pytest
import torch

from facedet.callbacks.hard_image_mining import KEY as MINING
from facedet.errors import FacedetError, UsageError
from facedet.structures import CHECKPOINT_KEY
from facedet.training.resume import check_resume, find_checkpoint, read_checkpoint

CONFIG = {
    "seed": 0,
    "mining": None,
    "model": {"net": {"backbone": {"width": 32}}},
    "box_coder": {"centre_variance": 0.1},
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.001},
    "data": {"root": "/a", "batch_size": 2, "num_workers": 0},
    "paths": {"output": "x"},
}


def changed(**values):
    config = copy.deepcopy(CONFIG)
    for key, value in values.items():
        node = config
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    return config


def checkpoint(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content or {CHECKPOINT_KEY: {"config": CONFIG, "data": "abc"}}, path)
    return path


def test_the_last_of_this_folder_else_the_newest_run_is_named(tmp_path):
    assert find_checkpoint(None, tmp_path / "a") is None
    assert find_checkpoint("auto", tmp_path / "a") is None
    with pytest.raises(FacedetError, match=r"a has no checkpoints/last\.ckpt$"):
        find_checkpoint("last", tmp_path / "a")
    for age, name in enumerate(("older", "newer")):
        path = checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")
        os.utime(path, (1000 + age, 1000 + age))
    with pytest.raises(FacedetError, match=r"newer resumes the newest run$"):
        find_checkpoint("last", tmp_path / "a")
    assert find_checkpoint("last", tmp_path / "older").endswith("older/checkpoints/last.ckpt")
    assert find_checkpoint("auto", tmp_path / "a") is None  # another run's is not this one's


def test_a_damaged_last_gives_way_to_the_one_before(tmp_path, caplog):
    last = checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    last.write_bytes(last.read_bytes()[:-50])
    other = last.with_name("other.ckpt")
    other.write_bytes(last.read_bytes())
    for given, name in (("last", "last"), (str(other), "other")):
        with pytest.raises(FacedetError, match=rf"{name}\.ckpt: the checkpoint is damaged"):
            find_checkpoint(given, tmp_path)
    checkpoint(tmp_path / "checkpoints" / "previous.ckpt")
    assert find_checkpoint("last", tmp_path).endswith("previous.ckpt")
    assert "is damaged: resuming" in caplog.text


def test_weights_and_other_files_are_no_checkpoints(tmp_path):
    weights = tmp_path / "a.safetensors"
    weights.touch()
    with pytest.raises(FacedetError, match=r"a\.safetensors: holds weights only; weights=FILE"):
        find_checkpoint(str(weights), tmp_path)
    other = checkpoint(tmp_path / "other.ckpt", {"state_dict": {}})
    with pytest.raises(FacedetError, match=r"other\.ckpt: no checkpoint of `facedet train`"):
        read_checkpoint(str(other))


@pytest.mark.parametrize(
    ("now", "data", "said"),
    [
        (changed(model__net__backbone__width=48), "a", r"model\.net\.backbone\.width 32 -> 48"),
        (changed(box_coder__centre_variance=0.2), "a", r"box_coder\.centre_variance 0\.1 -> 0\.2"),
        (changed(optimizer___target_="torch.optim.AdamW"), "a", r"_target_ torch\.optim\.SGD -> t"),
        (changed(mining={"threshold": 0.5}), "a", "holds no difficulty table"),
        (CONFIG, "b", r"trained on other pictures than /a holds \(fingerprint a, now b\)"),
    ],
)
def test_another_network_optimiser_mining_or_data_set_is_refused(now, data, said):
    with pytest.raises(UsageError, match=said):
        check_resume("last.ckpt", {CHECKPOINT_KEY: {"config": CONFIG, "data": "a"}}, now, data)


def test_what_may_change_is_told_but_where_things_lie(caplog):
    now = changed(optimizer__lr=0.01, data__root="/b", paths__output="y", data__num_workers=2)
    # A checkpoint of an earlier version does not say its data.
    check_resume("last.ckpt", {CHECKPOINT_KEY: {"config": CONFIG}}, now, "new")
    assert caplog.messages == ["other settings than before: optimizer.lr 0.001 -> 0.01"]
    caplog.clear()
    mined = changed(mining={"threshold": 0.5})
    content = {CHECKPOINT_KEY: {"config": mined, "data": "a"}, MINING: {}}
    check_resume("last.ckpt", content, mined, "a")
    assert caplog.messages == []
