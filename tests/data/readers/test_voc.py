"""Pascal VOC's XML files: where they are looked for, what they say, and what is wrong with them."""

import pytest
from own_roots import (
    OBJECT,
    VOC,
    check_listed,
    check_problem,
    check_refused,
    put,
    put_pictures,
    voc_root,
)

from facedet.data.readers.voc import Voc, read_voc

voc = Voc()


def test_lists_of_names(tmp_path):
    for name, text in VOC.items():
        put(tmp_path / "Annotations" / f"{name.split('/', maxsplit=1)[1]}.xml", text)
    put_pictures(tmp_path, "JPEGImages", "JPEGImages")
    # Without lists it is one set.
    assert voc.splits(tmp_path) == ["all"]
    assert len(voc.list_pictures(tmp_path, "all").pictures) == 3
    # The lists of single classes have a second column.
    put(tmp_path / "ImageSets" / "Main" / "train.txt", "sub/b -1\na  1\n\n")
    put(tmp_path / "ImageSets" / "Main" / "val.txt", "c\n")
    assert voc.splits(tmp_path) == ["train", "val"]
    for split in ("train", "val"):
        check_listed(voc.list_pictures(tmp_path, split), split)
    files = [one.file for one in voc.list_pictures(tmp_path, "train").pictures]
    assert files == ["sub/b.png", "a.jpg"]
    put(tmp_path / "ImageSets" / "Main" / "train.txt", "a\nz\n")
    path = f"{tmp_path}/Annotations/z.xml"
    message = f" cannot be read as XML: [Errno 2] No such file or directory: '{path}'"
    listing = check_problem("voc", tmp_path, "Annotations/z.xml", message)
    assert [one.file for one in listing.pictures] == ["a.jpg"]
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xff")
    check_refused("voc", tmp_path, f"{tmp_path}/ImageSets/Main/train.txt cannot be read")


def test_names_in_lists(tmp_path):
    for name in ("my photo 01", "b", "c.rf.01", "d"):
        put(tmp_path / "Annotations" / f"{name}.xml", VOC["val/c"])
        put(tmp_path / "JPEGImages" / f"{name}.jpg", "")
    lines = "my photo 01\r\nb.jpg 1\r\nc.rf.01  \r\nJPEGImages/d.jpg\r\n"
    main = put(tmp_path / "ImageSets" / "Main" / "train.txt", "")
    main.write_bytes(lines.encode("utf-8-sig"))
    files = [one.file for one in voc.list_pictures(tmp_path, "train").pictures]
    assert files == ["my photo 01.jpg", "b.jpg", "c.rf.01.jpg", "d.jpg"]


def test_sizes_missing_pictures_and_classes(tmp_path):
    voc_root(tmp_path)
    sizes = {one.file: one.size for one in voc.list_pictures(tmp_path, "train").pictures}
    assert sizes == {"a.jpg": (20, 40), "sub/b.png": None}
    (tmp_path / "JPEGImages" / "train" / "sub" / "b.png").unlink()
    # The file's own word for its picture is used where there is none.
    assert voc.list_pictures(tmp_path, "train").pictures[1].file == "sub/b.png"
    objects = "".join(OBJECT.format(1, 2, 3, 4, name=name, difficult=0) for name in ("Face", "car"))
    text = f'<annotation xmlns="http://x">{objects}</annotation>'
    put(tmp_path / "Annotations" / "val" / "c.xml", text)
    assert voc.list_pictures(tmp_path, "val").classes == ("Face", "car")
    assert read_voc(tmp_path, "val").counts["other_class_boxes"] == 1


ENTITY = '<!DOCTYPE a [<!ENTITY x SYSTEM "/etc/passwd">]><annotation>&x;</annotation>'
BOX = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " cannot be read as XML: no element found: line 1, column 0"),
        ("<a>&#0;</a>",
         " cannot be read as XML: reference to invalid character number: line 1, column 3"),
        ("<html/>", ": the root is 'html', expected annotation"),
        (ENTITY, ": has a document type (DOCTYPE), which is not read"),
        (ENTITY.encode("utf-16"), ": has a document type (DOCTYPE), which is not read"),
        ("<annotation>&x;</annotation>",
         " cannot be read as XML: undefined entity: line 1, column 12"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>',
         " cannot be read as XML: unknown encoding: no-such"),
    ],
)  # fmt: skip
def test_files_of_another_kind(tmp_path, text, message):
    path = voc_root(tmp_path) / "Annotations" / "train" / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    listing = check_problem("voc", tmp_path, "Annotations/train/a.xml", message)
    assert [one.file for one in listing.pictures] == ["sub/b.png"]


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("<name>face</name>", "bndbox is {}, expected four finite numbers"),
        ("<name>face</name><bndbox><xmin>1</xmin></bndbox>",
         "bndbox is {'xmin': '1'}, expected four finite numbers"),
        *((f"<name>face</name>{BOX.format(value)}",
           f"bndbox is {{'xmin': '{value}', 'ymin': '1', 'xmax': '2', 'ymax': '2'}}, expected four "
           "finite numbers") for value in ("one", "nan", "1e9")),
        (BOX.format(1), "has no name, expected its class"),
    ],
)  # fmt: skip
def test_malformed_objects_are_named(tmp_path, inner, message):
    text = f"<annotation><object>{inner}</object></annotation>"
    put(voc_root(tmp_path) / "Annotations" / "train" / "a.xml", text)
    message = f", object 1: {message}"
    listing = check_problem("voc", tmp_path, "Annotations/train/a.xml", message)
    assert len(listing.pictures) == 2
