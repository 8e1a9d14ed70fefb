import errno
import json
import os
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedet.data.crowds import dataset as crowds
from facedet.data.crowds.dataset import STAMP, ensure_crowds
from facedet.data.crowds.layout import Place
from facedet.data.crowds.painting import Crowd
from facedet.data.crowds.sources import PHOTOGRAPHS
from facedet.data.readers.wider import read_wider
from facedet.data.readers.wider_annotations import read_annotations
from facedet.errors import FacedetError, UsageError
from reference.refused_weights import complaint

SMALL = {"train_images": 11, "val_images": 6, "size": 192, "progress": False}
TINY = {"train_images": 1, "val_images": 1, "size": 128, "progress": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return ensure_crowds(tmp_path_factory.mktemp("data") / "crowds", **SMALL)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("split", ["train", "val"])
def test_reader_reads_what_was_made(root, split):
    folder = root / "wider_face_split"
    mat = read_annotations(folder / f"wider_face_{split}.mat")
    txt = read_annotations(folder / f"wider_face_{split}_bbx_gt.txt")
    for (file, rows), (same, others) in zip(mat, txt, strict=True):
        assert file == same
        np.testing.assert_array_equal(rows, others)
    reading = read_wider(root, split)
    assert reading.counts["images"] == SMALL[f"{split}_images"]
    assert reading.counts["missing_images"] == reading.counts["zero_size_boxes"] == 0
    assert {record.tags["event"] for record in reading.records} == {
        photograph.event for photograph in PHOTOGRAPHS if photograph.split == split
    }
    for record in reading.records:
        assert cv2.imread(str(record.path)).shape == (192, 192, 3)
        heights = record.boxes[:, 3] - record.boxes[:, 1]
        assert ((heights >= 10) & (heights <= 60)).all()
        easy, medium, hard = record.tags["subsets"].T
        assert hard.all()
        assert np.array_equal(medium, heights >= 18)
        assert not (easy & ~medium).any()
        assert (heights[easy] >= 32).all()
    lists = np.concatenate([record.tags["subsets"] for record in reading.records])
    assert (lists.mean(axis=0) > 0.1).all()


def test_hidden_faces_are_not_easy():
    image = np.zeros((192, 192, 3), dtype=np.uint8)
    # Half-height 2 x 10.5 = 21: both boxes run from 50 - 21 = 29 to 71.
    seen = Place((50.0, 50.0), 2.0, 1.0, 0.0, False, True, 0.0, 0.0, 0.0)
    places = [seen, seen._replace(covered=0.2), seen._replace(is_face=False)]
    record = crowds._record("e/n", Path("n.jpg"), "e", Crowd(image, places))
    assert record.boxes[:, [1, 3]].tolist() == [[29, 71], [29, 71]]
    assert record.tags["subsets"].tolist() == [[True, True, True], [False, True, True]]
    assert record.tags["occlusion"].tolist() == [0, 2]


def test_equal_bytes_for_one_seed_and_other_pictures_for_another(tmp_path):
    first, again, other = (
        contents(ensure_crowds(tmp_path / name, **TINY, seed=seed))
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    )
    assert first == again
    assert other.keys() == first.keys()
    for name, content in first.items():
        assert not name.endswith(".jpg") or other[name] != content


def test_a_picture_does_not_depend_on_the_counts(root, tmp_path):
    fewer = contents(ensure_crowds(tmp_path / "fewer", **{**SMALL, "train_images": 2}))
    pictures = {name: file for name, file in fewer.items() if name.endswith(".jpg")}
    assert len(pictures) == 2 + SMALL["val_images"]
    assert pictures.items() <= contents(root).items()


def test_ensure_makes_once(tmp_path):
    (tmp_path / "deep" / "crowds").mkdir(parents=True)
    root = ensure_crowds(tmp_path / "deep" / "crowds", **TINY)
    stamp = json.loads((root / STAMP).read_text())
    assert stamp["train_images"] == 1
    assert "scikit-image" in stamp
    before = (root / STAMP).stat().st_mtime_ns
    assert ensure_crowds(root, **TINY) == root
    assert (root / STAMP).stat().st_mtime_ns == before
    assert os.listdir(root.parent) == ["crowds"]


def test_other_parameters_are_refused(tmp_path):
    root = ensure_crowds(tmp_path / "crowds", **TINY)
    with pytest.raises(FacedetError, match=r"crowds: was made with seed 0, not 4; remove it"):
        ensure_crowds(root, **{**TINY, "seed": 4})


@pytest.mark.parametrize("stamp", [None, "{", "3"])
def test_foreign_folder_is_refused_and_kept(tmp_path, stamp):
    (tmp_path / "thesis.tex").write_text("x")
    if stamp is not None:
        (tmp_path / STAMP).write_text(stamp)
    with pytest.raises(FacedetError, match="holds something else than crowds"):
        ensure_crowds(tmp_path, **TINY)
    assert (tmp_path / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize(
    ("name", "value"), [("train_images", 0), ("val_images", -1), ("size", 100), ("seed", -1)]
)
def test_impossible_parameters_are_refused(tmp_path, name, value):
    with pytest.raises(UsageError, match=f"{name} of the crowds is {value}"):
        ensure_crowds(tmp_path / "crowds", **{**TINY, name: value})
    assert not os.listdir(tmp_path)


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    words = (tmp_path / "crowds", "No space left on device")
    complaint(partial(ensure_crowds, **TINY), tmp_path / "crowds", words=words)
    assert not os.listdir(tmp_path)


def test_of_two_makers_the_first_wins(tmp_path, monkeypatch):
    root, write = tmp_path / "crowds", crowds.write_wider

    def be_overtaken(*arguments):
        monkeypatch.setattr(crowds, "write_wider", write)
        ensure_crowds(root, **TINY)
        (root / "winner").write_text("x")
        write(*arguments)

    monkeypatch.setattr(crowds, "write_wider", be_overtaken)
    assert ensure_crowds(root, **TINY) == root
    assert (root / "winner").is_file()
    assert os.listdir(tmp_path) == ["crowds"]
