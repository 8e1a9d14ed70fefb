"""One small data set by hand in every form: two pictures to train on, one to validate with.

train  a.jpg      40 x 20 px  a face 10, 5 … 20, 15; to be ignored 0, 0 … 4, 8
       sub/b.png  30 x 30 px  nothing
val    c.jpg      20 x 40 px  a face 1.5, 2.5 … 11.5, 22.5
"""

import json
from functools import partial

import numpy as np

from facedet.data.formats import FORMATS
from facedet.data.readers.own import select_faces
from reference.one_face import save_picture
from reference.refused_weights import complaint

TRAIN_BOXES = [[10, 5, 20, 15], [0, 0, 4, 8]]
VAL_BOXES = [[1.5, 2.5, 11.5, 22.5]]

COCO = {
    "train": {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 40, "height": 20},
            {"id": 9, "file_name": "sub/b.png", "width": 30, "height": 30},
        ],
        "annotations": [
            # x, y, w, h: 20 - 10 and 15 - 5.
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 10, 10], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 4, 8], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "Face"}],
    },
    "val": {
        "images": [{"id": 1, "file_name": "c.jpg", "width": 20, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1.5, 2.5, 10, 20]}],
        "categories": [{"id": 3, "name": "Face"}],
    },
}
YOLO = {
    # Centre 15 / 40, 10 / 20, size 10 / 40, 10 / 20; centre 2 / 40, 4 / 20, size 4 / 40, 8 / 20.
    "train/a.txt": "0 0.375 0.5 0.25 0.5\n1 0.05 0.2 0.1 0.4\n",
    # Centre 6.5 / 20, 12.5 / 40, size 10 / 20, 20 / 40.
    "val/c.txt": "0 0.325 0.3125 0.5 0.5\n",
}
YOLO_SETTINGS = "train: images/train\nval: images/val\nnc: 2\nnames: [face, ignore]\n"
CSV = {
    "train": "image,x1,y1,x2,y2,ignore\na.jpg,10,5,20,15,0\na.jpg,0,0,4,8,1\nsub/b.png,,,,,\n",
    "val": "image,x1,y1,x2,y2,ignore\nc.jpg,1.5,2.5,11.5,22.5,0\n",
}
OBJECT = """  <object><name>{name}</name><difficult>{difficult}</difficult>
    <bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>
"""
VOC = {
    "train/a": "<annotation><filename>a.jpg</filename>\n"
    "  <size><width>40</width><height>20</height><depth>3</depth></size>\n"
    + OBJECT.format(10, 5, 20, 15, name="face", difficult=0)
    + OBJECT.format(0, 0, 4, 8, name="face", difficult=1)
    + "</annotation>\n",
    "train/sub/b": "<annotation><filename>b.png</filename></annotation>\n",
    "val/c": "<annotation><filename>c.jpg</filename>\n"
    + OBJECT.format(1.5, 2.5, 11.5, 22.5, name="face", difficult=0)
    + "</annotation>\n",
}


def put(path, text):
    """Writes a text file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def put_pictures(root, train="images/train", val="images/val"):
    save_picture(root / train / "a.jpg", (40, 20), 0)
    save_picture(root / train / "sub" / "b.png", (30, 30), 1)
    save_picture(root / val / "c.jpg", (20, 40), 2)
    return root


def put_form(form, root, place="", pictures=""):
    """Writes the set in a form, its files at other places than usual; "{}" is the split's name."""
    usual = {"coco": "annotations/instances_{}.json", "yolo": "labels/{}", "csv": "{}.csv",
             "voc": "Annotations/{}"}  # fmt: skip
    texts = {"coco": {split: json.dumps(content) for split, content in COCO.items()}, "csv": CSV,
             "yolo": YOLO, "voc": {f"{name}.xml": text for name, text in VOC.items()}}  # fmt: skip
    for name, text in texts[form].items():
        split, _, file = name.partition("/")
        put(root / (place or usual[form]).format(split) / file, text)
    if form == "yolo":
        put(root / "data.yaml", YOLO_SETTINGS)
    pictures = pictures or ("JPEGImages/{}" if form == "voc" else "images/{}")
    return put_pictures(root, pictures.format("train"), pictures.format("val"))


ROOTS = {form: partial(put_form, form) for form in ("coco", "yolo", "voc", "csv")}
coco_root, yolo_root, voc_root, csv_root = ROOTS.values()


def check_listed(listing, split):
    """The listing holds what this module's first lines say, whatever order the form gives."""
    found = {one.file: one for one in select_faces(listing, "face")[0].pictures}
    assert not listing.problems
    if split == "train":
        assert set(found) == {"a.jpg", "sub/b.png"}
        np.testing.assert_allclose(found["a.jpg"].boxes, TRAIN_BOXES, atol=1e-9)
        assert found["a.jpg"].ignore.tolist() == [False, True]
        assert found["sub/b.png"].boxes.shape == (0, 4)
    else:
        assert set(found) == {"c.jpg"}
        np.testing.assert_allclose(found["c.jpg"].boxes, VAL_BOXES, atol=1e-9)
        assert found["c.jpg"].ignore.tolist() == [False]


def check_problem(form, root, file, message, split="train"):
    """A malformed entry is named in one line and left out; a reading is refused with that line."""
    listing = FORMATS[form].list_pictures(root, split)
    assert listing.problems[0] == f"{root / file}{message}"
    assert complaint(FORMATS[form].read, root, split) == listing.problems[0]
    return listing


def check_refused(form, root, message, split="train"):
    """A file that cannot be read at all is an error of one line that begins so."""
    assert complaint(FORMATS[form].list_pictures, root, split).startswith(message)
