"""A stand-in for a detector that finds bright spots, exactly, in whole pixels."""

import cv2
import numpy as np
import torch
from torch import nn

from facedet.inference.postprocess import NmsMerge
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import FixedScales
from facedet.structures import Detections


class Echo(nn.Module):
    """Hands the images on as predictions, and remembers the shape of each batch."""

    def __init__(self):
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.batches = []

    def forward(self, images):
        self.batches.append(tuple(images.shape))
        return images


def find_bright(images):
    """Each bright spot of each image [B, 3, H, W] is a face; a larger one has a better score."""
    return [find_in_one(image) for image in images]


def find_in_one(image):
    bright = (image[0].numpy() >= 128).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    left, top, width, height, area = (stats[1:, column] for column in range(5))
    boxes = np.stack([left, top, left + width, top + height], axis=1)
    order = np.argsort(-area, kind="stable")
    scores = 1 - 1 / (1 + area[order])
    return Detections(
        torch.from_numpy(boxes[order].astype(np.float32)),
        torch.from_numpy(scores.astype(np.float32)),
    )


def always(*rows):
    """A postprocess that finds these boxes in every image, in the pixels of the network."""

    def postprocess(images):
        found = Detections(torch.tensor(rows).reshape(-1, 4), torch.linspace(0.9, 0.5, len(rows)))
        return [found for _ in images]

    return postprocess


def picture(height, width, *boxes):
    """A black picture [H, W, 3] with a white box for each (x1, y1, x2, y2)."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


def pyramid(scales=(1.0,), flip=False, merge=None, passes=None, **budget):
    """A pyramid over the stand-in; `passes` replaces `scales` and `flip`."""
    planner = FixedScales(scales, flip) if passes is None else lambda size: passes
    return Pyramid(Echo(), find_bright, planner, merge or NmsMerge(), **budget)


def check_boxes(found, *rows, tolerance=0.0):
    """The detections are these boxes in this order, to `tolerance` pixels."""
    expected = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    torch.testing.assert_close(found.boxes, expected, rtol=0, atol=tolerance)
