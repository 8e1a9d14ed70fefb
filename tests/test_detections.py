"""What `detect` returns: counted, looped over, drawn, cut out and handed on."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import facedet
from facedet.detections import Detections, Face
from facedet.errors import FacedetError, UsageError
from reference.one_face import save_picture

BOXES = [[10.0, 20.0, 30.25, 44.0], [0.0, 0.0, 5.0, 6.0]]


@pytest.fixture
def found():
    rgb = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    return Detections(torch.tensor(BOXES), torch.tensor([0.97654, 0.5]), "a note", (48, 64), rgb)


@pytest.fixture
def none():
    return Detections(torch.zeros(0, 4), torch.zeros(0), size=(48, 64))


def test_length_faces_and_text(found, none):
    assert len(found) == 2
    assert bool(found)
    first, second = found
    assert first == found[0] == Face((10.0, 20.0, 30.25, 44.0), pytest.approx(0.97654))
    box, score = second
    assert (box, score) == ((0.0, 0.0, 5.0, 6.0), 0.5)
    assert found[-1] == second
    with pytest.raises(IndexError):
        found[2]
    said = "2 faces in 64 x 48: 0.98 at (10, 20, 30, 44); 0.50 at (0, 0, 5, 6) [a note]"
    assert repr(found) == f"Detections({said})"
    assert (len(none), list(none), bool(none)) == (0, [], False)
    assert repr(none) == "Detections(no faces in 64 x 48)"
    assert repr(found[:1]) == "Detections(1 face in 64 x 48: 0.98 at (10, 20, 30, 44) [a note])"
    assert found[:1].picture is found.picture
    assert [*found[::-1]] == [second, first]
    assert (len(found[5:]), found[5:].boxes.shape, len(none[:3])) == (0, (0, 4), 0)


def test_as_plain_values(found, none):
    faces = [{"box": BOXES[0], "score": 0.9765}, {"box": BOXES[1], "score": 0.5}]
    assert found.to_dict() == {"width": 64, "height": 48, "faces": faces, "note": "a note"}
    assert none.to_dict() == {"width": 64, "height": 48, "faces": []}


def test_drawn_on_a_copy(found):
    before = found.picture.copy()
    drawn = found.draw()
    assert drawn.size == (64, 48)
    assert (np.asarray(drawn) != before).any()
    assert np.array_equal(found.picture, before)
    shown = Image.open(io.BytesIO(found._repr_png_()))
    assert np.array_equal(np.asarray(shown), np.asarray(drawn))


def test_cut_out(found):
    first, second = found.crop()
    assert np.array_equal(first, found.picture[20:44, 10:30])
    assert np.array_equal(second, found.picture[0:6, 0:5])
    # A quarter of 20.25 x 24 px more on each side: 4.9 … 35.3 by 14 … 50, which ends at 48.
    assert np.array_equal(found.crop(margin=0.25)[0], found.picture[14:48, 4:35])
    border = Detections(torch.tensor([[63.9, 47.9, 64.0, 48.0]]), torch.ones(1), "", (48, 64))
    assert [one.shape for one in replace(border, picture=found.picture).crop()] == [(1, 1, 3)]


def test_hidden_faces_keep_the_means_of_cells(found):
    """Without a margin: rows 20 to 43 and columns 10 to 30, in 3 x 3 cells of 8 x 7 px."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    found, before = replace(found, picture=noise), noise.copy()
    hidden = found.hidden("pixelate", margin=0)
    assert np.array_equal(found.picture, before)
    cell = hidden[20:28, 10:17]
    assert (cell == cell[0, 0]).all()
    expected = before[20:28, 10:17].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(cell[0, 0], expected, atol=0.51)
    assert (hidden[28, 10] != cell[0, 0]).any()
    # The second face, of 5 x 6 px, is one cell; nothing else has changed.
    assert (hidden[:6, :5] == hidden[0, 0]).all()
    outside = np.ones((48, 64), bool)
    outside[20:44, 10:31] = outside[:6, :5] = False
    assert np.array_equal(hidden[outside], before[outside])
    blurred = found.hidden("blur", margin=0)
    assert np.array_equal(blurred[outside], before[outside])
    assert (blurred[20:44, 10:31] != before[20:44, 10:31]).any()
    # A quarter more on each side: 4 … 36 by 14 … 50, to the border.
    wider = found.hidden("pixelate", margin=0.25)
    assert (wider[14:16, 4:6] == wider[14, 4]).all()
    with pytest.raises(UsageError, match="way='melt': expected blur or pixelate"):
        found.hidden("melt")


def test_of_an_unknown_picture(none):
    assert none._repr_png_() is None
    for action in (none.draw, none.crop, none.hidden):
        with pytest.raises(UsageError, match="do not know their picture"):
            action()


def test_a_file_is_read_again(weights, tmp_path):
    path = save_picture(tmp_path / "a.png")
    found = facedet.load(weights).detect(path)
    assert found.picture == path
    assert np.array_equal(found.crop()[0], np.asarray(Image.open(path)))
    path.unlink()
    with pytest.raises(FacedetError, match="a.png: no such file"):
        found.draw()


def test_for_supervision(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UsageError, match="pip install supervision"):
        found.to_supervision()
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=dict))
    given = found.to_supervision()
    assert given["xyxy"].tolist() == BOXES
    assert given["confidence"].dtype == np.float32
    assert given["class_id"].tolist() == [0, 0]
