"""What is found out about pictures: damage, orientation, and which are alike."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from facedet.data import picture_checks
from facedet.data.picture_checks import (
    NEAR,
    PictureFacts,
    examine,
    examine_all,
    fingerprint,
    fitting_reading,
    signs_of,
)
from reference.one_face import save_picture

# Orientation 6, as cameras write it that are held upright.
TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def scene(seed, size=(120, 160)):
    """A smooth picture [H, W, 3] of light and shade, as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC))


def recompressed(rgb, quality):
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_sound_and_damaged_pictures(tmp_path):
    path = save_picture(tmp_path / "a.jpg", (80, 60), exif=TURNED)
    facts = examine(path)
    assert (facts.problem, facts.size, facts.orientation) == ("", (80, 60), 6)
    assert facts.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(facts.fingerprint) == 16
    broken = TURNED[:20] + b"\xff" * 12
    assert examine(save_picture(tmp_path / "b.jpg", (40, 30), exif=broken)).orientation == 1
    for suffix in (".jpg", ".png"):
        path = save_picture(tmp_path / f"a{suffix}", (80, 80))
        path.write_bytes(path.read_bytes()[:-2000])
        assert "truncated" in examine(path).problem
    path.write_bytes(b"no picture")
    assert examine(path).problem == "not a picture of a format that Pillow reads"


def test_the_fingerprint_by_hand():
    # Columns of 10 px, each 20 grey levels lighter than the one to its left: 8 x 8 steps to the
    # right, none downwards.
    ramp = np.repeat(np.arange(9, dtype=np.uint8) * 20, 10)
    picture = np.broadcast_to(ramp[None, :, None], (90, 90, 3)).copy()
    assert fingerprint(picture) == b"\xff" * 8 + b"\0" * 8
    assert fingerprint(picture[:, ::-1].copy()) == b"\0" * 16
    assert fingerprint(picture.transpose(1, 0, 2).copy()) == b"\0" * 8 + b"\xff" * 8
    # Steps of one grey level are noise, and a picture without contrast is like nothing.
    assert fingerprint(np.full((90, 90, 3), 200, np.uint8)) == b""
    assert fingerprint((picture // 40).astype(np.uint8)) == b""
    noisy = np.array([0, 1, 2, 3, 4, 5, 6, 7, 100], np.uint8).repeat(10)
    noisy = np.broadcast_to(noisy[None, :, None], (90, 90, 3)).copy()
    assert fingerprint(noisy) == b"\x01" * 8 + b"\0" * 8
    signs = signs_of([b"\x80" + b"\0" * 15, b""])
    assert signs.shape == (2, 128)
    assert signs[0].tolist() == [1.0] + [-1.0] * 127
    assert not signs[1].any()


def test_fingerprints_survive_what_copies_go_through():
    for seed in range(3):
        rgb = scene(seed)
        small = np.asarray(Image.fromarray(rgb).resize((64, 48), Image.Resampling.BILINEAR))
        brighter = np.clip(rgb * 1.1 + 6, 0, 255).astype(np.uint8)
        pictures = [rgb, recompressed(rgb, 40), small, brighter, *map(scene, range(5, 10))]
        signs = signs_of(list(map(fingerprint, pictures)))
        bits = (signs != signs[0]).sum(axis=1)
        assert (bits[1:4] <= NEAR).all()
        assert (bits[4:] > 2 * NEAR).all()


def test_several_processes_say_the_same(tmp_path, monkeypatch):
    paths = [save_picture(tmp_path / f"{seed}.png", (20, 16), seed) for seed in range(6)]
    paths.append(tmp_path / "missing.png")
    one = examine_all(paths, workers=1)
    monkeypatch.setattr(picture_checks, "_FEW", 0)
    assert examine_all(paths, workers=2) == one
    assert [bool(facts.problem) for facts in one] == [False] * 6 + [True]


@pytest.mark.parametrize(
    ("box", "size", "is_relative", "fits"),
    [
        # Of 80 px of height and 60 of width, turned upright; 60 of height and 80 of width, stored.
        ((10, 10, 30, 35), (80, 60), False, "turned upright"),
        ((10, 10, 30, 35), (60, 80), False, "as stored"),
        ((10, 10, 30, 75), None, False, "turned upright"),
        ((10, 10, 75, 35), None, False, "as stored"),
        ((10, 10, 30, 35), None, False, ""),
        ((10, 10, 90, 95), None, False, ""),
        # 25 / 20 = 1.25; stored it would be 25 / 80 * 60 by 20 / 60 * 80, or 0.70.
        ((10, 10, 30, 35), None, True, "turned upright"),
        # 40 / 18 = 2.22; stored 40 / 80 * 60 by 18 / 60 * 80, or 1.25.
        ((10, 10, 28, 50), None, True, "as stored"),
        ((10, 10, 10, 50), None, True, ""),
    ],
)
def test_which_reading_of_a_turned_picture_fits(box, size, is_relative, fits):
    boxes = np.array([box], np.float64)
    for orientation in (6, 8):
        facts = PictureFacts("", (80, 60), orientation)
        assert fitting_reading(facts, boxes, size, is_relative) == fits
    # Upside down, both readings are equally large.
    assert fitting_reading(facts._replace(orientation=3), boxes, size, is_relative) == ""
    assert fitting_reading(facts, boxes[:0], None, is_relative) == ""
