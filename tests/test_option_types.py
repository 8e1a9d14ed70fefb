"""Values of options: in their range, or refused with the wish."""

import argparse

import pytest

from facedet.option_types import count, megapixels, pixels, scale, unit


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (unit, "0", 0.0),
        (unit, "1", 1.0),
        (scale, "16", 16.0),
        (count, "1", 1),
        (megapixels, ".5", 0.5),
        (pixels, "0", 0.0),
    ],
)
def test_values(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((unit, text) for text in ("-0.1", "1.1", "nan", "inf", "x", "")),
        *((scale, text) for text in ("0", "-1", "17", "nan", "x")),
        *((count, text) for text in ("0", "-1", "1.5", "1e3", "x")),
        *((pixels, text) for text in ("-1", "nan", "inf", "x")),
        *((megapixels, text) for text in ("0", "-1", "201", "nan", "x")),
    ],
)
def test_refusals_name_the_value(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{text} is not a "):
        kind(text)
