"""Reading pictures: every mode and damage that a file can have, with values worked out by hand."""

import contextlib
import io
import os
import struct
import sys
import warnings
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from facedet.data import images
from facedet.data.images import PICTURE_SUFFIXES, read_image, read_rgb, read_size
from facedet.data.pixels import to_rgb_array
from facedet.errors import FacedetError
from reference.refused_weights import complaint

READERS = [read_image, read_rgb]


def saved(folder, image, name, **options):
    path = folder / name
    image.save(path, **options)
    return path


def photo(width=64, height=48):
    """Smooth colours, which JPEG keeps."""
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 3, y * 4, 200 - x - y], axis=-1).astype(np.uint8)
    return Image.fromarray(rgb)


def png_header(width, height):
    """A PNG that claims a size and holds no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + crc + b"\0\0\0\0IDAT"


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tif"])
def test_files_without_loss_are_read_exactly(tmp_path, name):
    image = photo()
    path = saved(tmp_path, image, name)
    loaded = read_image(path)
    assert loaded.note == ""
    assert loaded.rgb.dtype == np.uint8
    assert loaded.rgb.flags.writeable
    np.testing.assert_array_equal(loaded.rgb, np.asarray(image))
    np.testing.assert_array_equal(read_rgb(str(path)), np.asarray(image))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_quick_jpeg_reading_agrees_with_pillow(tmp_path, mode, options):
    path = saved(tmp_path, photo().convert(mode), "a.jpg", quality=95, **options)
    quick, slow = read_rgb(path).astype(int), read_image(path).rgb.astype(int)
    assert quick.shape == (48, 64, 3)
    # Two builds of one decoder: a level apart at most.
    assert np.abs(quick - slow).max() <= 1


def test_jpeg_takes_the_quick_way_and_only_sound_ones_do(tmp_path, monkeypatch):
    calls = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *a: calls.append(1) or decode(*a))
    read_rgb(saved(tmp_path, photo(), "a.jpg"))
    assert len(calls) == 1
    read_rgb(saved(tmp_path, photo(), "a.png"))
    read_rgb(saved(tmp_path, photo().convert("CMYK"), "b.jpg"))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((tmp_path / "a.jpg").read_bytes()[:-20])
    with pytest.raises(FacedetError, match="cut"):
        read_rgb(cut)
    assert len(calls) == 1


RED, HALF = (255, 0, 0), (255, 127, 127)


def palette():
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


@pytest.mark.parametrize(
    ("image", "name", "pixel", "note"),
    [
        (Image.new("L", (3, 2), 77), "g.png", (77, 77, 77), ""),
        (palette(), "p.png", (10, 20, 30), ""),
        # Red at alpha 128/255 over white: 255, and 0 * 128/255 + 255 * 127/255 = 127.
        (Image.new("RGBA", (4, 4), (*RED, 128)), "a.png", HALF, "transparency shown over white"),
        (Image.new("RGBA", (2, 2), (1, 2, 3, 255)), "o.png", (1, 2, 3), ""),
        (Image.new("LA", (2, 2), (0, 0)), "la.png", (255, 255, 255),
         "transparency shown over white"),
        # No ink is white; full cyan takes all red.
        (Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "a.jpg", (255, 255, 255),
         "converted from CMYK"),
        (Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "a.jpg", (0, 255, 255),
         "converted from CMYK"),
    ],
)  # fmt: skip
def test_modes(tmp_path, image, name, pixel, note):
    path = saved(tmp_path, image, name, quality=100)
    loaded = read_image(path)
    np.testing.assert_allclose(loaded.rgb[0, 0], pixel, atol=3 if name == "a.jpg" else 0)
    assert loaded.note == note
    np.testing.assert_array_equal(read_rgb(path), loaded.rgb)


def test_a_transparent_colour_of_a_palette(tmp_path):
    path = saved(tmp_path, palette(), "p.png", transparency=1)
    assert (read_image(path).rgb == 255).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_scaled(tmp_path, name):
    # 65535 / 257 = 255; 32896 / 257 = 128; 300 / 257 = 1.17, which is 1.
    values = np.array([[0, 300, 32896, 65535]], dtype=np.uint16)
    loaded = read_image(saved(tmp_path, Image.fromarray(values), name))
    assert loaded.rgb[0, :, 0].tolist() == [0, 1, 128, 255]
    assert loaded.note == "16 bits scaled to 8"


def test_floats_and_wide_integers(tmp_path):
    unit = np.array([[0, 0.5, 1]], dtype=np.float32)
    loaded = read_image(saved(tmp_path, Image.fromarray(unit), "f.tif"))
    assert loaded.rgb[0, :, 1].tolist() == [0, 128, 255]  # 127.5 rounds to even
    wide = np.array([[0, 70000]], dtype=np.int32)
    for values in (unit * 300, wide, unit * np.nan):
        path = saved(tmp_path, Image.fromarray(values), "x.tif")
        with pytest.raises(FacedetError, match=r"x\.tif: (float pixels|grey) must"):
            read_image(path)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif"])
def test_first_frame_of_several(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    loaded = read_image(path)
    assert loaded.rgb[4, 4].tolist() == [255, 0, 0]
    assert loaded.note == "first of 3 frames"


# Pillow itself turns TIFFs.
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_ways_of_reading_turn_a_picture_alike(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Orientation 6: the stored raster is turned clockwise by 90 degrees, so its lower left corner
    # comes to the upper left; by the others it comes to these places (x, y).
    stored = np.zeros((48, 64, 3), dtype=np.uint8)
    stored[47, 0] = (200, 100, 50)
    x, y = [(0, -1), (-1, -1), (-1, 0), (0, 0), (-1, 0), (0, 0), (0, -1), (-1, -1)][orientation - 1]
    path = saved(tmp_path, Image.fromarray(stored), name, exif=exif)
    loaded = read_image(path)
    assert loaded.rgb[y, x].tolist() == [200, 100, 50]
    assert loaded.rgb.shape == ((64, 48, 3) if orientation > 4 else (48, 64, 3))
    note = f"turned upright (EXIF orientation {orientation})"
    assert loaded.note == (note if orientation > 1 else "")
    assert read_size(path) == loaded.rgb.shape[:2]
    raw = read_image(path, upright=False)
    np.testing.assert_array_equal(raw.rgb, stored)
    assert raw.note == ""
    assert read_size(path, upright=False) == (48, 64)
    path = saved(tmp_path, photo(64, 48), "a.jpg", exif=exif)
    assert np.abs(read_rgb(path).astype(int) - read_image(path).rgb).max() <= 1
    assert read_rgb(path, upright=False).shape == (48, 64, 3)


def test_the_size_comes_from_the_header(tmp_path):
    path = saved(tmp_path, photo(64, 48), "a.png")
    path.write_bytes(path.read_bytes()[:60])  # cut off in the pixels
    assert read_size(path) == (48, 64)


@pytest.mark.parametrize("reader", [*READERS, read_size])
def test_what_is_no_picture(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, content in (
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture\n" * 20),
        ("forged.png", png_header(100_000, 100_000)),
    ):
        (tmp_path / name).write_bytes(content)
    for name, why in (
        ("", "is a folder, expected a picture file"),
        ("no.jpg", "no such file"),
        ("pipe.jpg", "is not a regular file"),
        ("empty.jpg", "the file is empty (0 bytes)"),
        ("text.jpg", "not a picture of a format that Pillow reads"),
        ("forged.png", "100000 x 100000 pixels are 10000 million, the limit is 200 million"),
    ):
        assert complaint(reader, tmp_path / name) == f"{tmp_path / name}: {why}"


def test_nothing_of_the_process_is_changed_while_pictures_are_read(tmp_path, monkeypatch):
    """Pillow's limit holds for the host's own pictures, and its warnings stay as they are."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    png, jpg = (saved(tmp_path, photo(64, 48), name) for name in ("a.png", "a.jpg"))
    before = list(warnings.filters)
    seen = []
    convert = images.to_rgb
    monkeypatch.setattr(
        images,
        "to_rgb",
        lambda *a: seen.append((Image.MAX_IMAGE_PIXELS, list(warnings.filters))) or convert(*a),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside = list(warnings.filters)
        assert read_image(png).rgb.shape == read_rgb(jpg).shape == (48, 64, 3)
    assert (caught, seen) == ([], [(100, inside)])
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == (100, before)


def test_every_suffix_is_one_of_pillow_s():
    Image.init()
    others = PICTURE_SUFFIXES - Image.registered_extensions().keys()
    assert others <= {".heic", ".heif", ".hif"}


def test_heic_needs_its_plug_in_and_uses_it(tmp_path, monkeypatch):
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(FacedetError, match=r"phone.heic: .* pip install pillow-heif"):
        read_image(path)
    plugin = SimpleNamespace(HeifImageFile=lambda stream: Image.new("RGB", (3, 2), "red"))
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    assert read_image(path).rgb[1, 2].tolist() == [255, 0, 0]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_every_truncation_is_an_error_that_names_the_file(tmp_path, reader, kind):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    data = buffer.getvalue()
    path = tmp_path / "cut"
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(FacedetError, match="cut: "):
            reader(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_damage_is_read_or_refused_but_never_anything_else(tmp_path, kind):
    buffer = io.BytesIO()
    photo().save(buffer, kind)
    rng = np.random.default_rng(1)
    path = tmp_path / "damaged"
    for _ in range(60):
        hurt = bytearray(buffer.getvalue())
        for place in rng.integers(0, len(hurt), 4):
            hurt[place] = int(rng.integers(256))
        path.write_bytes(hurt)
        for reader in (lambda path: read_image(path).rgb, read_rgb):
            with contextlib.suppress(FacedetError):
                rgb = reader(path)
                assert (rgb.dtype, rgb.ndim, rgb.shape[2]) == (np.uint8, 3, 3)


@pytest.mark.parametrize("error", [KeyError("x"), struct.error("y"), SyntaxError("z\nz")])
def test_whatever_a_decoder_raises_names_the_file(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    path = saved(tmp_path, photo(), "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    complaint(read_image, path, words=["a.png: the picture is damaged"])


def test_bytes_after_the_end_of_a_jpeg(tmp_path):
    path = saved(tmp_path, photo(), "a.jpg")
    expected = read_rgb(path)
    path.write_bytes(path.read_bytes() + b"\0\0\0")
    np.testing.assert_array_equal(read_rgb(path), expected)
    path.write_bytes(path.read_bytes() + b"trailer")
    assert np.abs(read_rgb(path).astype(int) - expected).max() <= 1


def test_arrays_in_memory():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgb = to_rgb_array(grey)
    assert rgb.shape == (2, 3, 3)
    assert (rgb == grey[:, :, None]).all()
    assert (to_rgb_array(grey[:, :, None]) == rgb).all()
    view = np.zeros((8, 8, 3), dtype=np.uint8)[::2, ::2]
    assert to_rgb_array(view).flags.c_contiguous
    assert to_rgb_array(Image.new("L", (4, 2), 9)).tolist() == np.full((2, 4, 3), 9).tolist()
