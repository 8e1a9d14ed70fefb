"""SSD's box coder: numbers by hand and the way there and back."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facedet.box_coder import SsdBoxCoder

ANCHOR = torch.tensor([[0.0, 0.0, 16.0, 16.0]])  # centre (8, 8), sides 16
FACE = torch.tensor([[4.0, 4.0, 20.0, 36.0]])  # centre (12, 20), sides (16, 32)
# (12 - 8) / (0.1 * 16), (20 - 8) / (0.1 * 16), ln(16 / 16) / 0.2, ln(32 / 16) / 0.2
CODE = torch.tensor([[2.5, 7.5, 0.0, math.log(2) / 0.2]])


def test_encode_by_hand():
    torch.testing.assert_close(SsdBoxCoder().encode(FACE, ANCHOR), CODE)


def test_decode_by_hand():
    torch.testing.assert_close(SsdBoxCoder().decode(CODE, ANCHOR), FACE)


def test_each_side_of_an_anchor_has_its_own_unit():
    # Centre (10, 40), sides (20, 80): (11 - 10) / (0.1 * 20) and (44 - 40) / (0.1 * 80).
    anchor = torch.tensor([[0.0, 0.0, 20.0, 80.0]])
    code = SsdBoxCoder().encode(torch.tensor([[1.0, 4.0, 21.0, 84.0]]), anchor)
    torch.testing.assert_close(code, torch.tensor([[0.5, 0.5, 0.0, 0.0]]))


def test_variances_divide():
    coder = SsdBoxCoder(centre_variance=1.0, size_variance=1.0)
    # (12 - 8) / 16, (20 - 8) / 16, ln 1, ln 2
    expected = torch.tensor([[0.25, 0.75, 0.0, math.log(2)]])
    torch.testing.assert_close(coder.encode(FACE, ANCHOR), expected)
    torch.testing.assert_close(coder.decode(expected, ANCHOR), FACE)


def test_a_zero_code_is_the_anchor_itself_also_outside_the_image():
    anchors = torch.tensor([[-6.0, -6.0, 10.0, 10.0], [600.0, 620.0, 664.0, 684.0]])
    assert torch.equal(SsdBoxCoder().decode(torch.zeros(2, 4), anchors), anchors)


def test_nothing():
    nothing = torch.zeros(0, 4)
    assert SsdBoxCoder().encode(nothing, nothing).shape == (0, 4)
    assert SsdBoxCoder().decode(nothing, nothing).shape == (0, 4)


def test_a_coder_cannot_be_changed():
    # Criterion and postprocess each hold a copy: they must not drift apart.
    with pytest.raises(AttributeError):
        SsdBoxCoder().centre_variance = 0.2


@st.composite
def some_box(draw):
    x, y = draw(st.floats(-50, 2000, width=32)), draw(st.floats(-50, 2000, width=32))
    w, h = draw(st.floats(4, 600, width=32)), draw(st.floats(4, 600, width=32))
    return [x, y, x + w, y + h]


@given(st.lists(st.tuples(some_box(), some_box()), min_size=1, max_size=4))
def test_there_and_back(pairs):
    faces = torch.tensor([face for face, _ in pairs])
    anchors = torch.tensor([anchor for _, anchor in pairs])
    coder = SsdBoxCoder()
    # float32 holds 2,600 px to 0.0002 px; the codes are some hundred anchors long at the most.
    back = coder.decode(coder.encode(faces, anchors), anchors)
    torch.testing.assert_close(back, faces, rtol=0, atol=0.01)
