"""Which passes over a picture, with the factors worked out."""

import math

import pytest

from facedet.errors import UsageError
from facedet.inference.scales import ExtdScales, FixedScales, Mirrored, Pass, ShortSides


def test_fixed_scales():
    assert FixedScales((0.5, 2.0))((10, 10)) == [Pass(0.5), Pass(2.0)]
    assert FixedScales((0.5,), flip=True)((10, 10)) == [Pass(0.5), Pass(0.5, flip=True)]


@pytest.mark.parametrize(
    ("size", "m", "expected"),
    [
        # 2,040,000 / (H * W) = m²; s: shrink, st: the small pass, then the last ones.
        # 300 x 400: m = √17 = 4.12: 2, then 4 (below m), then m.
        ((300, 400), math.sqrt(17), (1.0, 0.5, [2.0, 4.0, math.sqrt(17)])),
        # 300 x 425: m = 4: the doubling stops before m.
        ((300, 425), 4.0, (1.0, 0.5, [2.0, 4.0])),
        # 400 x 500: m = √10.2 = 3.19.
        ((400, 500), math.sqrt(10.2), (1.0, 0.5, [2.0, math.sqrt(10.2)])),
        # 600 x 850: m = 2.
        ((600, 850), 2.0, (1.0, 0.5, [2.0])),
        # 1000 x 1200: m = √1.7 = 1.30.
        ((1000, 1200), math.sqrt(1.7), (1.0, 0.5, [math.sqrt(1.7)])),
    ],
)
def test_extd_scales_of_small_pictures(size, m, expected):
    shrink, small, large = expected
    passes = ExtdScales()(size)
    assert passes[:3] == [Pass(shrink), Pass(shrink, flip=True), Pass(small, larger_than=30)]
    assert [one.scale for one in passes[3:]] == pytest.approx(large)
    assert all(one == Pass(one.scale, smaller_than=100) for one in passes[3:])
    assert max(one.scale for one in passes) == pytest.approx(max(1, m))


@pytest.mark.parametrize(
    ("size", "shrink", "small", "last"),
    [
        # 1200 x 1700: m = 1; (0.5 + 1) / 2.
        ((1200, 1700), 1.0, 0.5, 0.75),
        # 1500 x 2000: m = √0.68 = 0.824621; (0.5 + 0.824621) / 2.
        ((1500, 2000), 0.824621, 0.5, 0.6623106),
        # 3000 x 4000: m = √0.17 = 0.412311, below 0.75: half of it; (0.206155 + 0.412311) / 2.
        ((3000, 4000), 0.412311, 0.2061553, 0.3092329),
    ],
)
def test_extd_scales_of_large_pictures(size, shrink, small, last):
    passes = ExtdScales()(size)
    assert [one.scale for one in passes] == pytest.approx([shrink, shrink, small, last], abs=1e-6)
    assert [one.flip for one in passes] == [False, True, False, False]
    assert [one.larger_than for one in passes] == [0, 0, 30, 30]
    assert all(one.smaller_than == math.inf for one in passes)


def factors(size, **settings):
    return [one.scale for one in ShortSides(flip=False, **settings)(size)]


def test_short_sides_of_a_picture_within_the_limit():
    # 768 x 1024: 800 / 768 = 1.041667 makes the long side 1066.7, below 1200. Each side S is then
    # the short side itself: S / 768.
    expected = [100 / 768, 300 / 768, 600 / 768, 1000 / 768, 1400 / 768]
    assert factors((768, 1024)) == pytest.approx(expected)
    assert factors((1024, 768)) == pytest.approx(expected)


def test_short_sides_of_a_long_thin_picture():
    # 200 x 2000: 800 / 200 = 4 would make the long side 8000, so 1200 / 2000 = 0.6 stands for
    # 800, and S for 0.6 S / 800: 100 to 0.075, that is 15 x 150 px.
    expected = [0.075, 0.225, 0.45, 0.75, 1.05]
    assert factors((200, 2000)) == pytest.approx(expected)


def test_the_limit_is_compared_in_whole_pixels():
    # 100 x 150 at factor 8 is 1200 px long, at 8.003 it is 1200.45: rounded both are within.
    assert factors((100, 150), sides=[800]) == pytest.approx([8.0])
    assert factors((100, 150), sides=[800.3], base=800.3) == pytest.approx([8.003])
    # 2401 px at a factor of 1/2 are 1200.5, which is rounded to the even 1200.
    assert factors((1000, 2401), sides=[500], base=500) == pytest.approx([0.5])
    # At 8.004 it is 1200.6, rounded 1201: above, so 1200 / 150 instead.
    assert factors((100, 150), sides=[800.4], base=800.4) == pytest.approx([8.0])


def test_short_sides_mirrored():
    assert ShortSides(sides=[400, 800])((800, 800)) == [
        Pass(0.5), Pass(0.5, flip=True), Pass(1.0), Pass(1.0, flip=True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "settings", "words"),
    [
        *[
            (
                FixedScales,
                {"scales": scales},
                r"scales=\[.*\]: expected one or more factors above 0",
            )
            for scales in ([], [1.0, 0.0], [-1], [math.nan], [math.inf])
        ],
        (ExtdScales, {"area": -1}, "scales.area=-1: expected"),
        (ShortSides, {"sides": []}, r"scales.sides=\[\]"),
        (ShortSides, {"sides": [100, 0]}, r"scales.sides=\[100, 0\]"),
        (ShortSides, {"sides": [math.inf]}, "above 0"),
        (ShortSides, {"base": 0}, "scales.base=0"),
        (ShortSides, {"long": -1}, "scales.long=-1"),
    ],
)
def test_out_of_range(plan, settings, words):
    with pytest.raises(UsageError, match=words):
        plan(**settings)


def test_every_pass_of_a_plan_mirrored_and_none_twice():
    plain = FixedScales((0.5, 1.0))
    assert Mirrored(plain)((10, 10)) == FixedScales((0.5, 1.0), flip=True)((10, 10))
    assert Mirrored(Mirrored(plain))((10, 10)) == Mirrored(plain)((10, 10))
    once = [Pass(1.0, flip=True)]
    assert Mirrored(lambda size: once)((10, 10)) == once
    # Of EXTD's six passes over a small picture two are one another's mirror image: 4 * 2 + 2.
    passes, mirrored = ExtdScales()((300, 400)), Mirrored(ExtdScales())((300, 400))
    assert len(passes) == 6
    assert len(mirrored) == len(set(mirrored)) == 10
    assert set(passes) < set(mirrored)
