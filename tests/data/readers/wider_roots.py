"""A small data set in WIDER FACE's layout, for the tests of its reader and writer."""

import numpy as np

from facedet.data.crowds.wider_writer import write_wider
from facedet.data.readers.wider import read_wider_annotations

# Columns: x y w h blur expression illumination invalid occlusion pose.
TEXT = """0--Parade/first.jpg
3
10 20 30 40 2 1 0 1 2 1
5 6 0 8 0 0 0 0 0 0
-1 2 3 4 1 0 0 0 0 0
0--Parade/none.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/second.jpg
1
7 8 9 10 0 0 0 0 0 0
"""


def text_root(path, text=TEXT, split="val"):
    folder = path / "wider_face_split"
    folder.mkdir(exist_ok=True)
    (folder / f"wider_face_{split}_bbx_gt.txt").write_text(text)
    return path


KEEP = {"zero_size": "keep", "faceless": "keep"}


def mat_root(path):
    """The set of TEXT, written as .mat, with lists: easy first, medium second, hard three boxes."""
    records = read_wider_annotations(text_root(path), "val", **KEEP).records
    kept = [np.array([[1, 0, 1], [0, 0, 1], [0, 1, 1]]), np.zeros((1, 3)), np.ones((1, 3))]
    for record, flags in zip(records, kept, strict=True):
        record.tags["subsets"] = flags.astype(bool)
    write_wider(path, "val", records)
    return path


def assert_equal(a, b):
    assert len(a) == len(b)
    for first, second in zip(a, b, strict=True):
        assert (first.name, first.path) == (second.name, second.path)
        np.testing.assert_array_equal(first.boxes, second.boxes)
        np.testing.assert_array_equal(first.ignore, second.ignore)
        assert first.tags.keys() == second.tags.keys()
        for key in first.tags:
            np.testing.assert_array_equal(first.tags[key], second.tags[key])
