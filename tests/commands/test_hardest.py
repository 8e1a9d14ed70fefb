import json

import pytest
import torch

from facedet.callbacks.hard_image_mining import KEY as MINING
from facedet.data.crowds.dataset import make_crowds
from facedet.structures import CHECKPOINT_KEY

CONFIG = {"model": {"net": {}}, "data": {"root": "nowhere"}}


def save(path, names, scores, easy, entries=(), begun=()):
    table = {"scores": torch.tensor(scores), "easy": torch.tensor(easy)}
    begun = {"entries": torch.tensor(entries, dtype=torch.long), "scores": torch.tensor(begun)}
    mining = {"table": table, "names": names, "history": [{}, {}], **begun}
    torch.save({CHECKPOINT_KEY: {"config": CONFIG, "data": ""}, MINING: mining}, path)
    return str(path)


@pytest.fixture
def few(tmp_path):
    nan = float("nan")
    return save(tmp_path / "a.ckpt", ["a", "b", "c", "d"], [0.5, nan, 0.125, 0.875], [0, 0, 0, 1])


def test_the_lowest_scores_first_and_none_that_was_not_visited(cli, few):
    result = cli("hardest", few, "--count", "5")
    assert result.out.splitlines() == [
        "0.1250  c",
        "0.5000  a",
        "0.8750  d",
        "4 training images, 3 visited, 1 easy after 2 epochs",
    ]


def test_the_epoch_that_has_begun_counts(cli, tmp_path):
    # "a" was seen twice since: the worse score counts; "b" for the first time.
    scores = [0.5, float("nan"), 0.25]
    path = save(
        tmp_path / "a.ckpt", ["a", "b", "c"], scores, [0, 0, 0], [0, 1, 0], [0.75, 0.125, 0.875]
    )
    shown = cli("hardest", path).out.splitlines()
    assert shown[:3] == ["0.1250  b", "0.2500  c", "0.7500  a"]


def test_json_is_one_object(cli, few):
    found = json.loads(cli("hardest", few, "--count", "1", "--json").out)
    assert found["hardest"] == [{"name": "c", "score": 0.125}]
    assert (found["images"], found["visited"], found["easy"], found["epochs"]) == (4, 3, 1, 2)


def test_a_sheet_of_pictures_plain_and_mirrored(cli, tmp_path):
    root = make_crowds(tmp_path / "crowds", train_images=2, val_images=1, size=128, progress=False)
    picture = min(root.glob("WIDER_train/images/*/*.jpg"))
    name = f"{picture.parent.name}/{picture.stem}"
    path = save(tmp_path / "a.ckpt", [name, f"{name} (mirrored)"], [0.25, 0.5], [0, 0])
    sheet = tmp_path / "sheet.png"
    result = cli("hardest", path, "--root", str(root), "--sheet", str(sheet))
    assert sheet.stat().st_size > 1000
    assert "2 of 2 pictures" in result.out


def test_a_checkpoint_without_difficulties_is_said(cli, tmp_path):
    torch.save({CHECKPOINT_KEY: {"config": CONFIG, "data": ""}}, tmp_path / "plain.ckpt")
    result = cli("hardest", str(tmp_path / "plain.ckpt"))
    assert result.code == 1
    assert (
        "plain.ckpt holds no difficulties: its training had mining=none, wanted him" in result.err
    )


def test_pictures_that_are_not_there_are_said(cli, few, tmp_path):
    root = make_crowds(tmp_path / "crowds", train_images=1, val_images=1, size=128, progress=False)
    result = cli("hardest", few, "--root", str(root), "--sheet", str(tmp_path / "s.png"))
    assert result.code == 1
    assert "none of the pictures of" in result.err
