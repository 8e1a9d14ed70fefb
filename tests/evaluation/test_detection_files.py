"""Detection files: the forms that are read, and the errors that name their place."""

import zipfile

import numpy as np
import pytest

from facedet.errors import FacedetError
from facedet.evaluation.detection_files import (
    read_detections,
    read_fddb_detections,
    read_scored_lines,
)
from reference.refused_weights import complaint

TEXT = "0_Parade_1\n2\n10 20 30 40 0.9\n1.5 2.5 3 4 0.25\n"
ROWS = [[10, 20, 30, 40, 0.9], [1.5, 2.5, 3, 4, 0.25]]
RECTANGLES = "a/1\n2\n1 2 3 4 0.9\n5 6 7 8 0.25\na/2\n0\n"
LINES = "b.jpg 0.5 1 2 4 8\na 0.9 10 20 30.5 40\n\nx/b.jpg 0.25 5 6 7 8\n"


def write(path, text=TEXT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def zip_of(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return path


def npz_of(path, names=("0--Parade/0_Parade_1",), offsets=(0, 2), rows=ROWS):
    arrays = {"names": np.array(names), "offsets": np.array(offsets), "rows": np.array(rows)}
    np.savez(path, **arrays)
    return path


def assert_read(path):
    found = read_detections(path)
    assert list(found) == ["0--Parade/0_Parade_1"]
    assert found["0--Parade/0_Parade_1"].dtype == np.float64
    assert found["0--Parade/0_Parade_1"].tolist() == ROWS


@pytest.mark.parametrize("lead", ["", "results/"])
def test_folder_and_zip(tmp_path, lead):
    write(tmp_path / "found" / f"{lead}0--Parade/0_Parade_1.txt")
    assert_read(tmp_path / "found")
    entries = {f"{lead}0--Parade/0_Parade_1.txt": TEXT, "__MACOSX/x/._0_Parade_1.txt": b"\0"}
    assert_read(zip_of(tmp_path / "d.zip", entries))


def test_npz_alone_and_in_a_folder(tmp_path):
    assert_read(npz_of(tmp_path / "d.npz"))
    assert_read(str(tmp_path))
    npz_of(tmp_path / "e.npz")
    with pytest.raises(FacedetError, match="2 .npz files"):
        read_detections(tmp_path)


@pytest.mark.parametrize(
    "text",
    [TEXT.rstrip(), TEXT.replace("\n", "\r\n"), TEXT + "\n\n", TEXT.replace(" ", "  ")]
    + [
        TEXT.replace("0_Parade_1", first)
        for first in ("0_Parade_1.jpg", "0--Parade/0_Parade_1", "a\\0_Parade_1.jpg", " 0_Parade_1 ")
    ],
)
def test_ways_to_write_it(tmp_path, text):
    assert_read(write(tmp_path / "0--Parade" / "0_Parade_1.txt", text).parents[1])


def test_names_with_dots_keep_them(tmp_path):
    write(tmp_path / "event" / "a.b.txt", "a.b\n0\n")
    write(tmp_path / "event" / "c.jpg.txt", "c.jpg\n0\n")
    found = read_detections(tmp_path)
    assert set(found) == {"event/a.b", "event/c"}
    assert found["event/c"].shape == (0, 5)


def test_zips_and_files_that_are_refused(tmp_path):
    path = tmp_path / "d.zip"
    for name in ("../0_Parade_1.txt", "a/b/c/0_Parade_1.txt", "0_Parade_1.txt"):
        with pytest.raises(FacedetError, match="is not EVENT/IMAGE.txt"):
            read_detections(zip_of(path, {name: TEXT}))
    with pytest.raises(FacedetError, match="holds no EVENT/IMAGE.txt"):
        read_detections(zip_of(path, {"readme.md": "nothing"}))
    with pytest.raises(FacedetError, match="unpacks to 68,157,440 bytes"):
        read_detections(zip_of(path, {"0--Parade/0_Parade_1.txt": b" " * (65 * 2**20)}))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0--Parade/0_Parade_1.txt", TEXT)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"10 20 30", b"10 20 31"))
    with pytest.raises(FacedetError, match="Bad CRC"):
        read_detections(path)
    path.write_bytes(content[:60])
    for bad in (path, tmp_path / "nowhere", write(tmp_path / "d.txt")):
        with pytest.raises(FacedetError, match="is no folder, no zip and no .npz"):
            read_detections(bad)


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": (0, 1)},
        {"offsets": (1, 2)},
        {"offsets": (0.0, 2.0)},
        {"names": ("a/1", "a/2", "a/3"), "offsets": (0, 2, 1, 2)},
        {"names": ("a/1", "a/1.jpg"), "offsets": (0, 1, 2)},
        {"rows": [[1, 2, 3, 4], [1, 2, 3, 4]]},
        {"rows": [ROWS[0], [1, 2, np.nan, 4, 5]]},
        {"names": np.array(["a/1"], dtype=object)},
        {"names": (1,)},
    ],
)
def test_malformed_npz(tmp_path, change):
    with pytest.raises(FacedetError, match=r"d\.npz(: expected different names| cannot be read)"):
        read_detections(npz_of(tmp_path / "d.npz", **change))


def test_npz_that_claims_more_than_there_is_room_for(tmp_path):
    path = npz_of(tmp_path / "d.npz")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    # The header keeps its length; 10**15 rows of five float64 are 40 petabytes.
    claim = f"({10**15}, 5), }}".encode()
    entries["rows.npy"] = entries["rows.npy"].replace(b"(2, 5), }              ", claim.ljust(23))
    with pytest.raises(FacedetError, match=r"d\.npz cannot be read .* Unable to allocate"):
        read_detections(zip_of(path, entries))


@pytest.mark.parametrize(
    "data",
    [
        RECTANGLES.encode(),
        b"\xef\xbb\xbf" + RECTANGLES.encode(),
        RECTANGLES.encode("utf-16"),
        RECTANGLES.replace("\n", " \t\r\n").encode(),
    ],
    ids=["plain", "utf-8 mark", "utf-16", "trailing blanks and CRLF"],
)
def test_rectangles_of_fddb_in_a_file_a_folder_and_a_zip(tmp_path, data):
    file = write(tmp_path / "one" / "out.txt", data)
    packed = zip_of(tmp_path / "out.zip", {"folds/out.txt": data})
    for path in (file, tmp_path / "one", packed):
        found = read_fddb_detections(path)
        assert found["a/1"].tolist() == [[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.25]]
        assert found["a/2"].shape == (0, 5)


def test_ellipses_have_a_column_more_and_folds_are_joined(tmp_path):
    write(tmp_path / "fold-01-out.txt", "a/0\n0\na/1\n1\n5 4 0.5 9 8 0.9\n")
    write(tmp_path / "fold-02-out.txt", "a/b.1.jpg\n0\n")
    found = read_fddb_detections(tmp_path)
    assert found["a/1"].tolist() == [[5, 4, 0.5, 9, 8, 0.9]]
    assert (list(found), found["a/0"].shape) == (["a/0", "a/1", "a/b.1"], (0, 6))


def test_scored_lines(tmp_path):
    file = write(tmp_path / "out" / "det.txt", LINES)
    packed = zip_of(tmp_path / "out.zip", {"det.txt": LINES})
    for path in (file, file.parent, packed, str(packed)):
        found = read_scored_lines(path)
        # x, y, w, h, score with w = x2 - x1.
        assert found["a"].tolist() == [[10, 20, 20.5, 20, 0.9]]
        assert found["b"].tolist() == [[1, 2, 3, 6, 0.5], [5, 6, 2, 2, 0.25]]
    assert read_scored_lines(write(tmp_path / "none.txt", "\n")) == {}


REFUSED = [
    *(
        (read_detections, {"0--Parade/0_Parade_1.txt": text}, f"0_Parade_1.txt{message}")
        for text, message in (
            ("", ": expected the image's name, a count, and a line per box"),
            ("0_Parade_2\n0\n", ", line 1: '0_Parade_2' names another image"),
            ("0_Parade_1\n-1\n", ", line 2: '-1' is no number"),
            ("0_Parade_1\n0\n1 2 3 4 .5\n", ", line 3: '1 2 3 4 .5' names another image"),
            ("0_Parade_1\n2\n1 2 3 4 .5\n1 2 3 4\n", ", line 4: '1 2 3 4' is not 5 finite"),
            ("0_Parade_1\n2\n1 2 3 4 1\n1 2 nan 4 1\n", ", line 4: '1 2 nan 4 1' is not"),
            (b"\xff\xfe\n0\n", " cannot be read"),
        )
    ),
    (read_detections, {"readme.md": ""}, "holds no EVENT/IMAGE.txt and 0 .npz"),
    (
        read_detections,
        {"0--Parade/0_Parade_1.txt": TEXT, "a/b/0_Parade_1.txt": TEXT},
        "b/0_Parade_1.txt is not EVENT/IMAGE",
    ),
    (
        read_detections,
        {"0--Parade/0_Parade_1.txt": TEXT, "0--Parade/0_Parade_1.jpg.txt": TEXT},
        "has a second file",
    ),
    *(
        (read_fddb_detections, {"out.txt": text}, message)
        for text, message in (
            ("a/1\n1\n1 2 3 4\n", "line 3: '1 2 3 4' is not 5 finite numbers"),
            (RECTANGLES + "a/3\n1\n5 4 0.5 9 8 0.9\n", "line 9: '5 4 0.5 9 8 0.9' is not 5"),
            ("a/1\n1\n5 -4 0.5 9 8 0.9\n", "out.txt, line 1: ellipse 1 has a half axis below 0"),
        )
    ),
    *(
        (read_scored_lines, {"out.txt": text}, message)
        for text, message in (
            ("b 0.5 1 2 4 8\na 0.5 1 2 3\n", "out.txt, line 2: "),
            ("a 0.5 1 2 3 4 5\n", "is not 5 finite numbers"),
            ("a nan 1 2 3 4\n", "is not 5 finite numbers"),
            ("a\n", "is not 5 finite numbers"),
        )
    ),
    *(
        (read, {"readme.md": ""}, "holds no .txt of detections")
        for read in (read_fddb_detections, read_scored_lines)
    ),
]


@pytest.mark.parametrize(("read", "files", "message"), REFUSED)
def test_complaints(tmp_path, read, files, message):
    for name, text in files.items():
        write(tmp_path / name, text)
    complaint(read, tmp_path, words=[message])
    if read is not read_detections:
        with pytest.raises(FacedetError, match="nowhere cannot be read"):
            read(tmp_path / "nowhere")
