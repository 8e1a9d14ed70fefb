"""What the tests of the augmentations share."""

import numpy as np
import pytest
from skimage import data as pictures


@pytest.fixture(scope="session")
def picture():
    """A photograph, 400 x 512."""
    return np.ascontiguousarray(pictures.astronaut()[:400])
