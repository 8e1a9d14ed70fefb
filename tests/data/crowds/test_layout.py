import numpy as np
import pytest

from facedet.data.crowds.layout import MAX_COVERED, MAX_FACES, MIN_FACES, Place, find_places


def place(angle: float) -> Place:
    return Place(
        centre=(50.4, 40.5),
        scale=2.0,
        squeeze=1.0,
        angle=angle,
        is_mirrored=False,
        is_face=True,
        covered=0.0,
        blur=0.0,
        slope=0.0,
    )


def test_box_is_the_rounded_extent_of_the_oval():
    # Half-sizes 2 x (8.4, 10.5) = (16.8, 21): 50.4 -/+ 16.8 = 33.6, 67.2; 40.5 -/+ 21 = 19.5, 61.5.
    # Python rounds halves to even: 19.5 to 20, 61.5 to 62.
    assert place(0).box() == (34, 20, 67, 62)
    # A quarter turn swaps them: 50.4 -/+ 21 = 29.4, 71.4; 40.5 -/+ 16.8 = 23.7, 57.3.
    assert place(90).box() == (29, 24, 71, 57)


@pytest.mark.parametrize("index", range(20))
def test_places_keep_their_bounds(index):
    places = find_places(320, np.random.default_rng([3, index]))
    faces = [place for place in places if place.is_face]
    assert MIN_FACES <= len(faces) <= MAX_FACES
    assert abs(len(faces) - len(places) / 2) <= 1
    for x1, y1, x2, y2 in (place.box() for place in places):
        assert 0 <= x1 < x2 <= 320
        assert 0 <= y1 < y2 <= 320
        assert 10 <= y2 - y1 <= 60


def test_covered_is_the_share_under_larger_patches():
    y, x = np.mgrid[:320, :320] + 0.5

    def oval(place, half, centre_y):
        turn = np.deg2rad(place.angle)
        dx, dy = x - place.centre[0], y - place.centre[1] - centre_y * place.scale
        u = (dx * np.cos(turn) + dy * np.sin(turn)) / (half[0] * place.scale * place.squeeze)
        v = (dy * np.cos(turn) - dx * np.sin(turn)) / (half[1] * place.scale)
        return u * u + v * v <= 1

    hidden = 0
    for index in range(6):
        taken = np.zeros((320, 320), dtype=bool)
        for place in find_places(320, np.random.default_rng([4, index])):
            share = taken[oval(place, (8.4, 10.5), 0)].mean()
            assert place.covered == pytest.approx(share, abs=0.08)
            assert place.covered <= MAX_COVERED
            hidden += place.covered > 0.1
            # The pasted oval's half-sizes (9.7, 11.7) and a tenth more; it sits 0.4 higher.
            taken |= oval(place, (10.67, 12.87), -0.4)
    assert hidden > 5
