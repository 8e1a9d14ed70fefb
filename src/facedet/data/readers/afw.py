"""AFW in the annotations of Mathias et al. (2014): 205 pictures, 473 faces."""

from pathlib import Path

from facedet.data.readers.afw_pascal import read_annotations, read_test_set
from facedet.structures import Reading, Record

_MAT = "new_annotations_AFW.mat"


def read_afw(
    root: str | Path,
    split: str,
    *,
    images: str,
    zero_size: str,
    faceless: str,
) -> Reading:
    """Reads the pictures of AFW that are on disk.

    Args:
        root: holds new_annotations_AFW.mat or a list in text, and the
            pictures, see `face_eval.read_annotations`.
        split: "val": all of them are for testing.
        images: "all" demands every picture, "present" uses those on disk.
        zero_size: "drop" or "keep" the faces whose box has no area.
        faceless: "drop" or "keep" the pictures without a face.

    Raises:
        FacedetError: a picture or file is missing, or the annotations are malformed.
        UsageError: an argument is none of its choices.
    """
    return read_test_set(
        root, _MAT, "AFW", split, images=images, zero_size=zero_size, faceless=faceless
    )


def read_afw_ground_truth(path: str | Path) -> list[Record]:
    """Reads every listed picture, whether or not it is there; see `read_annotations`."""
    return read_annotations(path, _MAT)
