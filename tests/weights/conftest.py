"""Weights that the tests of this folder read, as they are and as a file."""

import pytest

from reference.one_face import one_face_weights


@pytest.fixture(scope="session")
def good():
    return one_face_weights()


@pytest.fixture(scope="session")
def path(weights):
    return weights
