"""The box coders: numbers by hand and the way there and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facedet.box_coder import FasterRcnnBoxCoder, SsdBoxCoder

ANCHOR = torch.tensor([[0.0, 0.0, 16.0, 16.0]])  # centre (8, 8), sides 16
FACE = torch.tensor([[4.0, 4.0, 20.0, 36.0]])  # centre (12, 20), sides (16, 32)
# (12 - 8) / (0.1 * 16), (20 - 8) / (0.1 * 16), ln(16 / 16) / 0.2, ln(32 / 16) / 0.2
CODE = torch.tensor([[2.5, 7.5, 0.0, math.log(2) / 0.2]])
# Sides 15 - 0 + 1 = 16, centre 0 + 16 / 2 = 8; face: sides 16 and 32, centre (12, 20).
PIXEL_ANCHOR = torch.tensor([[0.0, 0.0, 15.0, 15.0]])
PIXEL_FACE = torch.tensor([[4.0, 4.0, 19.0, 35.0]])
# (12 - 8) / 16, (20 - 8) / 16, ln(16 / 16), ln(32 / 16)
PIXEL_CODE = torch.tensor([[0.25, 0.75, 0.0, math.log(2)]])


def test_by_hand():
    torch.testing.assert_close(SsdBoxCoder().encode(FACE, ANCHOR), CODE)
    torch.testing.assert_close(SsdBoxCoder().decode(CODE, ANCHOR), FACE)
    # Variances divide: (12 - 8) / 16, (20 - 8) / 16, ln 1, ln 2
    coder = SsdBoxCoder(centre_variance=1.0, size_variance=1.0)
    torch.testing.assert_close(coder.encode(FACE, ANCHOR), PIXEL_CODE)
    torch.testing.assert_close(coder.decode(PIXEL_CODE, ANCHOR), FACE)
    # Each side has its own unit; centre (10, 40), sides (20, 80): (11 - 10) / (0.1 * 20) and
    # (44 - 40) / (0.1 * 80).
    anchor = torch.tensor([[0.0, 0.0, 20.0, 80.0]])
    code = SsdBoxCoder().encode(torch.tensor([[1.0, 4.0, 21.0, 84.0]]), anchor)
    torch.testing.assert_close(code, torch.tensor([[0.5, 0.5, 0.0, 0.0]]))


def test_a_zero_code_is_the_anchor_itself_also_outside_the_image():
    anchors = torch.tensor([[-6.0, -6.0, 10.0, 10.0], [600.0, 620.0, 664.0, 684.0]])
    assert torch.equal(SsdBoxCoder().decode(torch.zeros(2, 4), anchors), anchors)


@pytest.mark.parametrize("coder", [SsdBoxCoder(), FasterRcnnBoxCoder()])
def test_nothing(coder):
    nothing = torch.zeros(0, 4)
    assert coder.encode(nothing, nothing).shape == (0, 4)
    assert coder.decode(nothing, nothing).shape == (0, 4)


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
    """Whole pixels add one at the right and the bottom."""
    faces = torch.tensor([face for face, _ in pairs])
    anchors = torch.tensor([anchor for _, anchor in pairs])
    for coder, added in ((SsdBoxCoder(), 0.0), (FasterRcnnBoxCoder(), 1.0)):
        # float32 holds 2,600 px to 0.0002 px; the codes are some hundred anchors long at the most.
        back = coder.decode(coder.encode(faces, anchors), anchors)
        expected = faces + torch.tensor([0.0, 0.0, added, added])
        torch.testing.assert_close(back, expected, rtol=0, atol=0.01)


def test_whole_pixels_by_hand():
    coder = FasterRcnnBoxCoder()
    torch.testing.assert_close(coder.encode(PIXEL_FACE, PIXEL_ANCHOR), PIXEL_CODE)
    # Centre -+ half a side, the last pixel not taken away: x2 and y2 are 20 and 36, not 19 and 35.
    decoded = coder.decode(PIXEL_CODE, PIXEL_ANCHOR)
    torch.testing.assert_close(decoded, torch.tensor([[4.0, 4.0, 20.0, 36.0]]))
    # Sides 20 and 80, centre (10, 40): (11 - 10) / 20 and (44 - 40) / 80.
    anchor = torch.tensor([[0.0, 0.0, 19.0, 79.0]])
    code = coder.encode(torch.tensor([[1.0, 4.0, 20.0, 83.0]]), anchor)
    torch.testing.assert_close(code, torch.tensor([[0.05, 0.05, 0.0, 0.0]]))


@pytest.mark.data
def test_the_release_s_codes(golden):
    stored = np.load(golden / "shf_decode_vote.npz", allow_pickle=False)
    anchors, deltas, decoded, reencoded = (
        torch.from_numpy(stored[key]) for key in ("anchors", "deltas", "decoded", "reencoded")
    )
    coder = FasterRcnnBoxCoder()
    boxes = coder.decode(deltas, anchors)
    torch.testing.assert_close(boxes.float(), decoded, rtol=0, atol=1e-5)
    # The release encodes what it decoded: every side has grown by its pixel.
    torch.testing.assert_close(coder.encode(decoded.double(), anchors), reencoded)
