"""FDDB's annotations: layouts, boxes around ellipses, and complaints."""

import numpy as np
import pytest
from own_roots import put

from facedet.data.readers.fddb import bounding_boxes, read_fddb, read_fddb_ground_truth
from facedet.errors import FacedetError, UsageError
from reference.one_face import save_picture
from reference.refused_weights import complaint

FIRST = "2002/08/11/big/img_591\n1\n20.5 10.0 0.0 30.0 20.0  1\n"
SECOND = "2002/08/26/big/img_265\n2\n5 4 1.5707963267948966 40 30  1\n6 3 0 9 8 1\n"
NAMES = ["2002/08/11/big/img_591", "2002/08/26/big/img_265"]
KEEP = {"zero_size": "keep", "faceless": "keep"}


@pytest.fixture
def root(tmp_path):
    """Two folds of one picture each, of 64 x 48 px."""
    put(tmp_path / "FDDB-folds" / "FDDB-fold-01-ellipseList.txt", FIRST)
    put(tmp_path / "FDDB-folds" / "FDDB-fold-02-ellipseList.txt", SECOND)
    put(tmp_path / "FDDB-folds" / "FDDB-fold-01.txt", f"{NAMES[0]}\n")
    for name in NAMES:
        save_picture(tmp_path / "originalPics" / f"{name}.jpg")
    return tmp_path


def test_folds_are_read_together(root):
    records, counts = read_fddb(root, "val", images="all", **KEEP)
    assert [record.name for record in records] == NAMES
    assert records[0].path == root / "originalPics" / f"{NAMES[0]}.jpg"
    assert [record.tags["size"] for record in records] == [(48, 64)] * 2
    np.testing.assert_allclose(records[0].tags["ellipses"], [[20.5, 10, 0, 30, 20]])
    # Half axes 20.5 and 10 about (30, 20); then 5 and 4, turned by a quarter, about (40, 30).
    np.testing.assert_allclose(records[0].boxes, [[9.5, 10, 50.5, 30]])
    np.testing.assert_allclose(records[1].boxes, [[36, 25, 44, 35], [3, 5, 15, 11]], atol=1e-5)
    assert not records[1].ignore.any()
    assert counts == {
        "images": 2, "faces": 3, "ignored_boxes": 0, "zero_size_boxes": 0,
        "faceless_images": 0, "missing_images": 0,
    }  # fmt: skip


def test_one_file_for_all_folds_and_no_pictures(tmp_path):
    path = put(tmp_path / "ellipses.txt", FIRST + SECOND)
    for place in (path, tmp_path, str(tmp_path)):
        records = read_fddb_ground_truth(place)
        assert [record.name for record in records] == NAMES
        assert [record.tags["size"] for record in records] == [None, None]
    # Pictures may lie beside the ellipses.
    save_picture(tmp_path / f"{NAMES[0]}.jpg", (30, 20))
    assert read_fddb_ground_truth(tmp_path)[0].tags["size"] == (20, 30)


def test_missing_and_broken_pictures(root):
    # A name that no file can have is that of a missing picture.
    put(root / "FDDB-folds" / "FDDB-fold-03-ellipseList.txt", f"{'9' * 300}\n0\n")
    assert read_fddb_ground_truth(root)[2].tags["size"] is None
    with pytest.raises(FacedetError, match=r"1 of 3 pictures are missing, the first is .*=present"):
        read_fddb(root, "val", images="all", **KEEP)
    reading = read_fddb(root, "val", images="present", **KEEP)
    assert [record.name for record in reading.records] == NAMES
    assert (reading.counts["images"], reading.counts["missing_images"]) == (2, 1)
    (root / "originalPics" / f"{NAMES[1]}.jpg").write_text("no picture")
    with pytest.raises(FacedetError, match=r"img_265\.jpg: not a picture"):
        read_fddb(root, "val", images="present", **KEEP)
    with pytest.raises(UsageError, match="FDDB has no train pictures"):
        read_fddb(root, "train", images="all", **KEEP)


def test_faces_without_area_and_pictures_without_faces(tmp_path):
    text = "a/1\n2\n0 0 0 9 9 1\n5 4 0 9 9 1\na/2\n0\na/3\n1\n0 0 0 5 5 1\n"
    put(tmp_path / "ellipses.txt", text)
    for name in ("a/1", "a/2", "a/3"):
        save_picture(tmp_path / f"{name}.jpg")
    kept = read_fddb(tmp_path, "val", images="all", **KEEP)
    assert [len(record.boxes) for record in kept.records] == [2, 0, 1]
    cut = read_fddb(tmp_path, "val", images="all")
    assert [record.name for record in cut.records] == ["a/1"]
    assert cut.records[0].tags["ellipses"].tolist() == [[5, 4, 0, 9, 9]]
    assert cut.records[0].tags["size"] == (48, 64)
    assert (cut.counts["zero_size_boxes"], cut.counts["faceless_images"]) == (2, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no picture"),
        ("a/1\n", "line 2: '' is no number"),
        ("a/1\n1\n5 4 0 9 9\n", "line 3: '5 4 0 9 9' is not 6 finite numbers"),
        ("a/1\n1\n5 4 0 9 1e39 1\n", "line 3: '5 4 0 9 1e39 1' is not 6 finite numbers up to 1"),
        ("a/1\n0\n5 4 0 9 9 1\n", "line 3: '5 4 0 9 9 1' is no picture"),
        ("a/1\n0\na/1\n0\n", "line 3: a/1 is there a second time"),
        ("a/1\n2\n5 4 0 9 9 1\n-5 4 0 9 9 1\n", "line 1: ellipse 2 has a half axis below 0"),
    ],
)
def test_malformed_ellipses(tmp_path, text, message):
    path = put(tmp_path / "ellipses.txt", text)
    complaint(read_fddb_ground_truth, path, words=("ellipses.txt", message))


def test_no_ellipses_at_all(tmp_path):
    with pytest.raises(FacedetError, match="holds neither FDDB-fold"):
        read_fddb_ground_truth(tmp_path)


def test_boxes_touch_the_ellipse_and_no_more():
    # Points of the ellipse, by its angle to the centre, reach the box and stay inside.
    ellipse = np.array([[20.0, 7.0, 0.7, 50.0, 40.0]])
    turn = np.linspace(0, 2 * np.pi, 100_000)
    along, across = 20 * np.cos(turn), 7 * np.sin(turn)
    x = 50 + along * np.cos(0.7) - across * np.sin(0.7)
    y = 40 + along * np.sin(0.7) + across * np.cos(0.7)
    np.testing.assert_allclose(
        bounding_boxes(ellipse), [[x.min(), y.min(), x.max(), y.max()]], atol=1e-6
    )
