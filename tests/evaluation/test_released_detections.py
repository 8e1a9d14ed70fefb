"""The whole inference path on real pictures, against stored detections of the release."""

import numpy as np
import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.data.images import read_rgb
from facedet.inference.postprocess import NmsMerge, NmsPostprocess
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import FixedScales
from facedet.models.folding import fold

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def stored(golden):
    """By name: rows x1, y1, x2, y2, score of the released EXTD-32, one pass, original size."""
    with np.load(golden / "extd32_wider_val.npz") as file:
        names, offsets, rows = (file[key] for key in ("names", "offsets", "rows"))
    return {
        str(name): rows[start:end]
        for name, start, end in zip(names, offsets[:-1], offsets[1:], strict=True)
    }


def test_boxes_and_scores_of_the_smallest_pictures(shared, stored, released_net):
    coder = SsdBoxCoder()
    net = fold(released_net(32))
    pyramid = Pyramid(net, NmsPostprocess(coder, score=0.05), FixedScales(), NmsMerge())
    folder = shared / "data" / "wider" / "WIDER_val" / "images"
    paths = {name: folder / f"{name}.jpg" for name in stored}
    smallest = sorted(stored, key=lambda name: paths[name].stat().st_size)[:3]
    for name in smallest:
        found, expected = pyramid(read_rgb(paths[name])), torch.from_numpy(stored[name])
        assert len(found.boxes) == len(expected)
        # Among equal scores the order is open; a score of its own belongs to one box.
        confident = expected[:, 4] > 0.2
        assert confident.any()
        assert (
            found.boxes[: len(expected)][confident] - expected[confident, :4]
        ).abs().max() < 0.05
        assert (found.scores[confident] - expected[confident, 4]).abs().max() < 1e-4
