"""Annotations written in WIDER FACE's layout."""

import time
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from wider_roots import TEXT, mat_root

from facedet.data.crowds.wider_writer import write_wider
from facedet.data.readers.wider import read_wider_annotations
from facedet.structures import Record


def test_written_text_is_the_official_form(tmp_path):
    root = mat_root(tmp_path)
    assert (root / "wider_face_split" / "wider_face_val_bbx_gt.txt").read_text() == TEXT.replace(
        # Kept as the box that it was read as.
        "none.jpg\n0\n",
        "none.jpg\n1\n",
    )


def test_a_record_without_faces_becomes_the_official_dummy(tmp_path):
    record = Record("a/b", Path("b.jpg"), np.zeros((0, 4), np.float32), np.zeros(0, bool), {})
    write_wider(tmp_path, "train", [record])
    text = tmp_path / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    assert text.read_text() == "a/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    assert not (tmp_path / "ground_truth").exists()
    for file in (text.with_name("wider_face_train.mat"), text):
        records, counts = read_wider_annotations(tmp_path, "train", faceless="keep")
        assert records[0].boxes.shape == (0, 4)
        assert (counts["faces"], counts["zero_size_boxes"]) == (0, 1)
        file.unlink()  # the .mat is preferred


def test_written_lists_nest_as_official_scripts_index_them(tmp_path):
    folder = mat_root(tmp_path) / "ground_truth"
    hard, face = loadmat(folder / "wider_hard_val.mat"), loadmat(folder / "wider_face_val.mat")
    assert str(face["event_list"][1][0][0]) == "1--Handshaking"
    assert str(face["file_list"][0][0][1][0][0]) == "none"
    boxes = face["face_bbx_list"][0][0][0][0]
    assert boxes.dtype == np.int32
    assert boxes.tolist() == [[10, 20, 30, 40], [5, 6, 0, 8], [-1, 2, 3, 4]]
    assert hard["gt_list"][0][0][0][0].tolist() == [[1], [2], [3]]
    assert hard["gt_list"][0][0][1][0].shape == (0, 1)
    assert face["blur_label_list"][0][0][0][0].tolist() == [[2], [0], [1]]


def test_equal_records_give_equal_bytes(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        # .mat files usually hold the time of writing.
        monkeypatch.setattr(time, "asctime", lambda name=name: name)
        mat_root(tmp_path / name)
    files = sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 6
    for file in files:
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()
