"""AFW and Pascal Faces: revised and original annotations, and complaints."""

import numpy as np
import pytest
from scipy.io import savemat

from facedet.data.readers.afw_pascal import (
    read_afw,
    read_afw_ground_truth,
    read_pascal,
    read_pascal_ground_truth,
)
from facedet.errors import FacedetError, UsageError
from reference.one_face import save_picture
from reference.refused_weights import complaint

READERS = {
    "new_annotations_AFW.mat": (read_afw, read_afw_ground_truth),
    "Annotations_Face_PASCALLayout_large_fixed.mat": (read_pascal, read_pascal_ground_truth),
}
AFW = "new_annotations_AFW.mat"
KEEP = {"zero_size": "keep", "faceless": "keep"}
# x1, y1, x2, y2, a column that is not used, ignore
FACES = [[10, 20, 50, 60, 0, 0], [5, 6, 7, 8, 0, 1]]


def write_mat(path, pictures):
    """The revised layout: a struct array [N, 1] of `imgname` and `objects`."""
    items = np.empty((len(pictures), 1), dtype=[("imgname", object), ("objects", object)])
    for place, (name, objects) in enumerate(pictures):
        items[place, 0] = (name, objects)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"Annotations": items})
    return path


def cells(rows):
    """A cell array of one row per face."""
    nested = np.empty((1, len(rows)), dtype=object)
    for place, row in enumerate(rows):
        nested[0, place] = np.array([row], float)
    return nested


@pytest.mark.parametrize("mat", READERS)
def test_revised_annotations(tmp_path, mat):
    pictures = [("1004.jpg", np.array(FACES, float)), ("2007_1.jpg", np.zeros((0, 6)))]
    write_mat(tmp_path / "annotations" / mat, pictures)
    for name in ("1004.jpg", "2007_1.jpg"):
        save_picture(tmp_path / "images" / name)
    read, read_truth = READERS[mat]
    records, counts = read(tmp_path, "val", images="all", **KEEP)
    assert [record.name for record in records] == ["1004", "2007_1"]
    assert records[0].path == tmp_path / "images" / "1004.jpg"
    assert records[0].boxes.tolist() == [[10, 20, 50, 60], [5, 6, 7, 8]]
    assert records[0].ignore.tolist() == [False, True]
    assert records[1].boxes.shape == (0, 4)
    assert (counts["images"], counts["faces"], counts["missing_images"]) == (2, 1, 0)
    for path in (tmp_path, tmp_path / "annotations" / mat):
        assert [record.name for record in read_truth(path)] == ["1004", "2007_1"]
    with pytest.raises(UsageError, match="has no train pictures"):
        read(tmp_path, "train", images="all", **KEEP)


@pytest.mark.parametrize(
    ("objects", "ignore"),
    [
        (np.array(FACES, float)[:, :4], [False, False]),  # Pascal Faces has rows of four
        (np.array(FACES, float)[:, :5], [False, False]),
        (cells([row[:4] for row in FACES]), [False, False]),
        (cells([FACES[0][:4], FACES[1]]), [False, True]),
        (cells(FACES[1:]), [True]),
        (cells([]), []),
    ],
)
def test_other_shapes_of_objects(tmp_path, objects, ignore):
    (record,) = read_afw_ground_truth(write_mat(tmp_path / AFW, [("a.jpg", objects)]))
    faces = [row[:4] for row in FACES][len(FACES) - len(ignore) :]
    assert record.boxes.tolist() == faces
    assert record.ignore.tolist() == ignore


def test_original_lists(tmp_path):
    text = "img/a.jpg 1 2 30.5 40\nb.png\n\nimg/a.jpg 5 6 7 8 1\nc 1 2 3 4 0\n"
    (tmp_path / "list.txt").write_text(text)
    folder = tmp_path / "testimages"
    save_picture(folder / "a.jpg")
    records = read_afw_ground_truth(tmp_path)
    assert [record.name for record in records] == ["a", "b", "c"]
    assert records[0].boxes.tolist() == [[1, 2, 30.5, 40], [5, 6, 7, 8]]
    assert records[0].ignore.tolist() == [False, True]
    assert len(records[1].boxes) == 0
    assert [record.path for record in records] == [
        folder / "a.jpg",
        folder / "b.png",
        folder / "c.jpg",
    ]
    reading = read_afw(tmp_path, "val", images="present", **KEEP)
    assert reading.counts["missing_images"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no picture"),
        ("a.jpg 1 2 3\n", "line 1: '1 2 3' is not 4 or 5 finite numbers"),
        ("a.jpg 1 2 3 1e39\n", "line 1: '1 2 3 1e39' is not 4 or 5 finite numbers up to 1,000,000"),
        ("x/a.jpg 1 2 3 4\ny/a.jpg 1 2 3 4\n", "lists a twice"),
    ],
)
def test_malformed_lists(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    complaint(read_afw_ground_truth, tmp_path, words=("list.txt", message))
    (tmp_path / "other.txt").write_text("x\n")
    with pytest.raises(FacedetError, match="holds neither new_annotations_AFW.mat nor exactly one"):
        read_afw_ground_truth(tmp_path)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (None, r"no imgname and objects, but \[\]"),
        ([("a.jpg", "text")], r"a\.jpg: its objects are not numbers \[G, 4\]"),
        ([("a.jpg", np.zeros((2, 3)))], r"a\.jpg: its objects are not numbers"),
        ([(np.zeros(2), np.zeros((2, 4)))], "entry 1: its objects"),
        ([("a.jpg", np.full((1, 4), np.nan))], r"a\.jpg: a box is not finite"),
        ([("a.jpg", np.full((1, 4), 1e39))], r"a\.jpg: a box is not .* up to 1,000,000"),
        ([("a.jpg", np.ones((1, 4))), ("x/a.jpg", np.ones((1, 4)))], "lists a twice"),
    ],
)
def test_malformed_mats(tmp_path, pictures, message):
    path = tmp_path / AFW
    if pictures is None:
        savemat(path, {"Annotations": np.eye(2)})
    else:
        write_mat(path, pictures)
    with pytest.raises(FacedetError, match=message):
        read_afw_ground_truth(tmp_path)
