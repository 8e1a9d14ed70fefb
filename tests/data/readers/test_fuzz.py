"""Files of any bytes: every parser gives a clean result, or one line that names the file.

FACEDET_FUZZ=10000 pytest tests/data/readers/test_fuzz.py     tries so many files for each parser
"""

import io
import json
import os
import re
import zipfile
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_roots import COCO, CSV, ROOTS, VOC, YOLO, YOLO_SETTINGS
from wider_roots import TEXT, text_root

from facedet.data.formats import FORMATS
from facedet.data.readers.afw_pascal import read_afw_ground_truth
from facedet.data.readers.fddb import read_fddb_ground_truth
from facedet.data.readers.wider import read_wider_annotations
from facedet.errors import FacedetError
from facedet.evaluation.detection_files import (
    read_detections,
    read_fddb_detections,
    read_scored_lines,
)
from facedet.structures import Reading

EXAMPLES = int(os.environ.get("FACEDET_FUZZ", "40"))
DETECTIONS = "0--Parade/first.jpg\n2\n10 20 30 40 0.9\n1.5 2.5 3 4 0.25\n"
# What parsers trip over more often than over random bytes.
TOKENS = [
    b"nan", b"-inf", b"1e999", b"-1", b"0", b"99999999999999999999", b"\n", b"\r", b"\0", b"\xff",
    b" ", b",", b";", b'"', b"'", b"{", b"[", b"]", b"}", b"null", b"true", b"<", b"</object>",
    b"&x;", b"<!DOCTYPE a>", b"<object>", b"../", b"/", b"\\", b"\xc2\x85", b"\xe2\x80\xa8", b":",
    b"- ", b"!!", b"&a ", b"*a", b"1_0", b"9" * 5000,
]  # fmt: skip


class Parser(NamedTuple):
    """A file, and who reads it."""

    file: str
    valid: bytes
    make: object  # a folder to the data set, this file among others
    read: object  # the folder to a Reading, or detections by name
    places: str  # what an error says besides the file: a line, or why there is none


def own(form, file, valid, places, split="train"):
    def read(root):
        return FORMATS[form].read(root, split, images="present")

    return Parser(file, valid.encode(), ROOTS[form], read, places)


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0--Parade/first.txt", DETECTIONS)
        archive.writestr("0--Parade/second.txt", "second\n0\n")
    return stream.getvalue()


def packed():
    stream = io.BytesIO()
    rows = np.array([[1, 2, 3, 4, 0.5], [5, 6, 7, 8, 0.25]])
    np.savez(stream, names=np.array(["a/b", "a/c"]), offsets=np.array([0, 1, 2]), rows=rows)
    return stream.getvalue()


def same(root):
    return root


def truth(read):
    return lambda root: Reading(read(root), {})


WHOLE = (
    "cannot be read|lists no picture|lists .* (twice|named)|none of its classes|pictures are|"
    "parts of the"
)
LINE = rf"line \d+|{WHOLE}"
PARSERS = {
    "coco": own(
        "coco", "annotations/instances_train.json", json.dumps(COCO["train"]),
        rf"(images|annotations|categories)(\[\d+\])?[ :]|holds no object|{WHOLE}",
    ),
    "csv": own("csv", "train.csv", CSV["train"], LINE),
    "yolo": own("yolo", "labels/train/a.txt", YOLO["train/a.txt"], LINE),
    "yolo_settings": own(
        "yolo", "data.yaml", YOLO_SETTINGS, rf"(names|train|val|data\.yaml) is|{LINE}"
    ),
    "voc": own(
        "voc", "Annotations/train/a.xml", VOC["train/a"], rf"object \d+|DOCTYPE|the root is|{WHOLE}"
    ),
    "wider_text": Parser(
        "wider_face_split/wider_face_val_bbx_gt.txt", TEXT.encode(), text_root,
        lambda root: read_wider_annotations(root, "val"), LINE,
    ),
    "afw_text": Parser(
        "list.txt", b"img/a.jpg 1 2 30.5 40\nb.png\n\nimg/a.jpg 5 6 7 8 1\nc 1 2 3 4 0\n", same,
        truth(read_afw_ground_truth), LINE,
    ),
    "fddb": Parser(
        "ellipses.txt", b"a/1\n2\n20.5 10 0 30 20 1\n5 4 0.5 9 9 1\na/2\n0\n", same,
        truth(read_fddb_ground_truth), f"half axis|{LINE}",
    ),
    "fddb_detections": Parser(
        "folds.txt", b"a/1\n2\n1 2 3 4 0.9\n5 6 7 8 0.25\na/2\n0\n", same,
        lambda root: read_fddb_detections(root / "folds.txt"), f"half axis|{LINE}",
    ),
    "scored_lines": Parser(
        "found.txt", b"b.jpg 0.5 1 2 4 8\na 0.9 10 20 30.5 40\n\nx/b.jpg 0.25 5 6 7 8\n", same,
        lambda root: read_scored_lines(root / "found.txt"), LINE,
    ),
    "detections": Parser(
        "0--Parade/first.txt", DETECTIONS.encode(), same, read_detections,
        r"line \d+|\d lines|expected the image|cannot be read",
    ),
    "detections_zip": Parser(
        "found.zip", zipped(), same, lambda root: read_detections(root / "found.zip"), ""
    ),
    "detections_npz": Parser(
        "found.npz", packed(), same, lambda root: read_detections(root / "found.npz"), ""
    ),
}  # fmt: skip


@st.composite
def mutated(draw, valid):
    """Bytes that were valid before some were cut, replaced, doubled or put in."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        span = draw(st.integers(0, 12))
        new = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4)))
        kind = draw(st.sampled_from(("put", "replace", "cut", "double", "end")))
        if kind == "put":
            data[at:at] = new
        elif kind == "replace":
            data[at : at + span] = new
        elif kind == "cut":
            del data[at : at + span]
        elif kind == "double":
            data[at:at] = data[at : at + 4 * span]
        else:
            del data[at:]
    return bytes(data)


def check_result(result):
    """Records or detections of the shapes and types that are promised."""
    if isinstance(result, Reading):
        for record in result.records:
            count = len(record.boxes)
            assert record.boxes.shape == (count, 4)
            assert record.boxes.dtype == np.float32
            assert np.isfinite(record.boxes).all()
            assert record.ignore.shape == (count,)
            assert record.ignore.dtype == bool
        assert all(count >= 0 for count in result.counts.values())
    else:
        for rows in result.values():
            assert rows.shape[1:] in ((5,), (6,))  # rectangles or ellipses
            assert np.isfinite(rows).all()


@pytest.mark.parametrize("name", PARSERS)
def test_fuzz(tmp_path, name):
    parser = PARSERS[name]
    parser.make(tmp_path)
    path = tmp_path / parser.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parser.valid)
    check_result(parser.read(tmp_path))

    @settings(max_examples=EXAMPLES)
    @given(st.one_of(st.binary(max_size=300), mutated(parser.valid), mutated(parser.valid)))
    def try_file(data):
        path.write_bytes(data)
        try:
            check_result(parser.read(tmp_path))
        except FacedetError as error:
            text = str(error)
            assert len(text.splitlines()) == 1, text
            assert f"{tmp_path}/" in text, text
            # Settings that are right may still disagree with the labels.
            others = "pictures are missing|/labels" if name == "yolo_settings" else "are missing"
            assert path.name in text or re.search(others, text), text
            assert re.search(parser.places, text), text

    try_file()
