"""Detection files: the forms that are read, the errors that name their place, and the writer."""

import zipfile

import numpy as np
import pytest
import torch

from facedet.errors import FacedetError
from facedet.evaluation.detection_files import EventFiles, read_detections
from facedet.structures import Detections

TEXT = "0_Parade_1\n2\n10 20 30 40 0.9\n1.5 2.5 3 4 0.25\n"
EMPTY = Detections(torch.zeros(0, 4), torch.zeros(0))
ROWS = [[10, 20, 30, 40, 0.9], [1.5, 2.5, 3, 4, 0.25]]


def folder_of(path, text=TEXT, name="0--Parade/0_Parade_1.txt"):
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def zip_of(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
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


def test_folder(tmp_path):
    assert_read(folder_of(tmp_path))
    assert_read(str(tmp_path))


def test_folder_with_a_leading_folder(tmp_path):
    folder_of(tmp_path, name="results/0--Parade/0_Parade_1.txt")
    assert_read(tmp_path)


def test_image_without_detections(tmp_path):
    folder_of(tmp_path, "0_Parade_1\n0\n")
    assert read_detections(tmp_path)["0--Parade/0_Parade_1"].shape == (0, 5)


@pytest.mark.parametrize(
    "first", ["0_Parade_1.jpg", "0--Parade/0_Parade_1", "0--Parade/0_Parade_1.jpg", " 0_Parade_1 "]
)
def test_first_line_may_name_the_image_in_several_ways(tmp_path, first):
    assert_read(folder_of(tmp_path, TEXT.replace("0_Parade_1", first)))


@pytest.mark.parametrize(
    "text", [TEXT.rstrip(), TEXT.replace("\n", "\r\n"), TEXT + "\n\n", TEXT.replace(" ", "  ")]
)
def test_line_ends_and_blanks_do_not_matter(tmp_path, text):
    assert_read(folder_of(tmp_path, text))


def test_names_with_dots_keep_them(tmp_path):
    folder_of(tmp_path, "a.b\n0\n", name="event/a.b.txt")
    folder_of(tmp_path, "c.jpg\n0\n", name="event/c.jpg.txt")
    assert set(read_detections(tmp_path)) == {"event/a.b", "event/c"}


@pytest.mark.parametrize("lead", ["", "results/"])
def test_zip(tmp_path, lead):
    entries = {f"{lead}0--Parade/0_Parade_1.txt": TEXT, "__MACOSX/x/._0_Parade_1.txt": b"\0"}
    assert_read(zip_of(tmp_path / "d.zip", entries))
    assert [path.name for path in tmp_path.iterdir()] == ["d.zip"]


def test_npz_alone_and_in_a_folder(tmp_path):
    assert_read(npz_of(tmp_path / "d.npz"))
    assert_read(tmp_path)
    npz_of(tmp_path / "e.npz")
    with pytest.raises(FacedetError, match="2 .npz files"):
        read_detections(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0_Parade_1.txt: 0 lines"),
        ("0_Parade_1\n", "1 lines"),
        ("0_Parade_2\n0\n", "line 1: '0_Parade_2' names another image"),
        ("0_Parade_1\nmany\n", "line 2: 'many' is no number of boxes"),
        ("0_Parade_1\n-1\n", "line 2: '-1' is no number"),
        ("0_Parade_1\n2\n1 2 3 4 .5\n", "line 2 promises 2 boxes, but 1 lines follow"),
        ("0_Parade_1\n0\n1 2 3 4 .5\n", "line 2: 0 boxes, but 1 lines follow"),
        ("0_Parade_1\n2\n1 2 3 4 .5\n1 2 3 4\n", "line 4: '1 2 3 4' is not 5 finite numbers"),
        ("0_Parade_1\n1\n1 2 3 4 .5 6\n", "line 3: '1 2 3 4 .5 6' is not 5"),
        ("0_Parade_1\n2\n1 2 3 4\n1 2 3 4 5 6\n", "line 3: '1 2 3 4' is not 5"),
        ("0_Parade_1\n2\n1 2 3 4 1\n1 2 nan 4 1\n", "line 4: '1 2 nan 4 1' is not"),
        ("0_Parade_1\n1\n1 2 inf 4 1\n", "line 3: '1 2 inf 4 1' is not"),
        ("0_Parade_1\n1\n1 2 x 4 1\n", "line 3: '1 2 x 4 1' is not"),
        (b"\xff\xfe\n0\n", "cannot be read"),
    ],
)
def test_malformed_text_names_file_and_line(tmp_path, text, message):
    folder_of(tmp_path, text)
    with pytest.raises(FacedetError, match="0_Parade_1.txt") as caught:
        read_detections(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_paths_without_detections(tmp_path):
    with pytest.raises(FacedetError, match="does not exist"):
        read_detections(tmp_path / "nowhere")
    with pytest.raises(FacedetError, match="holds no EVENT/IMAGE.txt and 0 .npz"):
        read_detections(tmp_path)
    (tmp_path / "d.txt").write_text(TEXT)
    with pytest.raises(FacedetError, match="no folder, no zip and no .npz"):
        read_detections(tmp_path / "d.txt")
    with pytest.raises(FacedetError, match="holds no EVENT/IMAGE.txt"):
        read_detections(zip_of(tmp_path / "d.zip", {"readme.md": "nothing"}))


def test_texts_at_different_depths(tmp_path):
    folder_of(tmp_path)
    folder_of(tmp_path, name="a/b/0_Parade_1.txt")
    with pytest.raises(FacedetError, match="a/b/0_Parade_1.txt is not EVENT/IMAGE.txt"):
        read_detections(tmp_path)


def test_one_image_in_two_files(tmp_path):
    folder_of(tmp_path)
    folder_of(tmp_path, name="0--Parade/0_Parade_1.jpg.txt")
    with pytest.raises(FacedetError, match="second file"):
        read_detections(tmp_path)


@pytest.mark.parametrize("name", ["../0_Parade_1.txt", "a/b/c/0_Parade_1.txt", "0_Parade_1.txt"])
def test_zip_entries_outside_the_layout(tmp_path, name):
    with pytest.raises(FacedetError, match="is not EVENT/IMAGE.txt"):
        read_detections(zip_of(tmp_path / "d.zip", {name: TEXT}))


def test_broken_zips(tmp_path):
    path = zip_of(tmp_path / "d.zip", {"0--Parade/0_Parade_1.txt": TEXT})
    content = bytearray(path.read_bytes())
    at = content.index(b"10 20 30")
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(FacedetError, match="Bad CRC"):
        read_detections(path)
    path.write_bytes(content[: at + 4])
    with pytest.raises(FacedetError, match="no zip"):
        read_detections(path)


def test_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0--Parade/0_Parade_1.txt", b" " * (65 * 2**20))
    with pytest.raises(FacedetError, match="unpacks to 68,157,440 bytes"):
        read_detections(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": (0, 1)}, "offsets do not divide 2 rows among 1 names"),
        ({"offsets": (1, 2)}, "offsets do not divide"),
        ({"names": ("a/1", "a/2", "a/3"), "offsets": (0, 2, 1, 2)}, "offsets do not divide"),
        ({"offsets": (0.0, 2.0)}, "offsets do not divide"),
        ({"names": ("a/1", "a/1.jpg"), "offsets": (0, 1, 2)}, "1 names stand there twice"),
        ({"rows": [[1, 2, 3, 4], [1, 2, 3, 4]]}, "not numbers"),
        ({"rows": [ROWS[0], [1, 2, np.nan, 4, 5]]}, "row 1 is not finite"),
        ({"names": np.array(["a/1"], dtype=object)}, "cannot be read"),
        ({"names": (1,)}, "not texts"),
    ],
)
def test_malformed_npz(tmp_path, change, message):
    with pytest.raises(FacedetError, match=r"d\.npz") as caught:
        read_detections(npz_of(tmp_path / "d.npz", **change))
    assert message in str(caught.value)


def test_npz_that_claims_more_than_there_is_room_for(tmp_path):
    path = npz_of(tmp_path / "d.npz")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    # The header keeps its length; 10**15 rows of five float64 are 40 petabytes.
    assert b"(2, 5), }              " in entries["rows.npy"]
    claim = f"({10**15}, 5), }}".encode()
    entries["rows.npy"] = entries["rows.npy"].replace(b"(2, 5), }              ", claim.ljust(23))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(FacedetError, match=r"d\.npz cannot be read .* Unable to allocate"):
        read_detections(path)


def test_npz_that_is_none(tmp_path):
    path = tmp_path / "d.npz"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(FacedetError, match="cannot be read"):
        read_detections(path)
    np.savez(path, names=np.array(["a/1"]))
    with pytest.raises(FacedetError, match="offsets"):
        read_detections(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(FacedetError, match="cannot be read"):
        read_detections(path)


def test_written_in_the_released_form(tmp_path):
    boxes = torch.tensor([[0.0, 0.0, 9.0, 4.0], [1.26, 2.0, 11.0, 22.0]])
    detections = Detections(boxes, torch.tensor([0.12345, 0.98765]))
    EventFiles(tmp_path).add("0--Parade/0_Parade_1", detections)
    path = tmp_path / "0--Parade" / "0_Parade_1.txt"
    # w = 11 - 1.26 + 1 = 10.74, h = 22 - 2 + 1 = 21; best first.
    assert path.read_text() == "0_Parade_1\n2\n1.3 2.0 10.7 21.0 0.988\n0.0 0.0 10.0 5.0 0.123\n"
    assert [file.name for file in path.parent.iterdir()] == ["0_Parade_1.txt"]


def test_written_in_whole_pixels(tmp_path):
    boxes = torch.tensor([[10.9, 20.5, 30.2, 41.0], [-0.7, 3.0, 5.99, 8.5]])
    detections = Detections(boxes, torch.tensor([0.75, 0.5]))
    writer = EventFiles(tmp_path, plus_one=0, decimals=0, score_decimals=2, truncate=True)
    writer.add("a/1", detections)
    # int(30.2) - int(10.9) = 30 - 10, not round(19.3); int(-0.7) is 0.
    text = (tmp_path / "a" / "1.txt").read_text()
    assert text == "1\n2\n10 20 20 21 0.75\n0 3 5 5 0.50\n"


def test_written_and_read(tmp_path):
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand((20, 4), generator=generator).double() * 100
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.rand(20, generator=generator).double().sort(descending=True).values
    writer = EventFiles(tmp_path, plus_one=0, decimals=9, score_decimals=12)
    writer.add("a/1", Detections(boxes, scores))
    writer.add("a/2", EMPTY)
    found = read_detections(tmp_path)
    assert found["a/2"].shape == (0, 5)
    np.testing.assert_allclose(found["a/1"][:, :2], boxes[:, :2], atol=1e-9)
    np.testing.assert_allclose(found["a/1"][:, 2:4], boxes[:, 2:] - boxes[:, :2], atol=1e-9)
    np.testing.assert_allclose(found["a/1"][:, 4], scores, atol=1e-12)
    assert writer.has("a/1")
    assert not writer.has("a/3")


def test_writing_where_nothing_can_be_written(tmp_path):
    (tmp_path / "a").write_text("a file in the folder's place")
    with pytest.raises(FacedetError, match="cannot be written"):
        EventFiles(tmp_path).add("a/1", EMPTY)
    for name in ("../1", "/etc/1"):
        with pytest.raises(FacedetError, match="no image name"):
            EventFiles(tmp_path).add(name, EMPTY)
