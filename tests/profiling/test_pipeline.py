"""The measurement of the input pipeline, on a picture made here."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures

from facedet.errors import FacedetError
from facedet.profiling.pipeline import measure_pipeline
from facedet.structures import Record


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(pictures.astronaut()).save(path)
    box = np.array([[170, 60, 275, 200]], dtype=np.float32)
    return Record("a", path, box, np.zeros(1, dtype=bool), {})


def test_measurement(record):
    threads = cv2.getNumThreads(), torch.get_num_threads()
    result = measure_pipeline([record], size=96, images=6, seed=1)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads
    assert (result["images"], result["size"]) == (6, 96)
    quotient = result["images_per_second"] / result["whole_images_per_second"]
    assert result["speedup"] == pytest.approx(quotient)
    spread = [result[f"pair_speedup_{name}"] for name in ("low", "median", "high")]
    assert 0 < spread[0] <= spread[1] <= spread[2]


def test_nothing_to_measure(record):
    for records, images in (([], 5), ([record], 0)):
        with pytest.raises(FacedetError, match="at least 1 of each"):
            measure_pipeline(records, images=images)
