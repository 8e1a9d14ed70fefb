import numpy as np
import pytest
from PIL import Image

from facedet.data.aspect import read_wide
from facedet.errors import FacedetError


def picture(path, width, height, **options):
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path, **options)
    return path


def test_square_pictures_are_wide(tmp_path):
    sizes = [(40, 30), (30, 40), (30, 30), (31, 32)]
    paths = [picture(tmp_path / f"{n}.png", *size) for n, size in enumerate(sizes)]
    assert read_wide(paths).tolist() == [True, False, True, False]
    assert read_wide([]).shape == (0,)


def test_the_raster_counts_not_how_it_is_to_be_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter when shown
    path = picture(tmp_path / "turned.jpg", 40, 30, exif=exif)
    assert read_wide([path]).tolist() == [True]


def test_only_the_header_is_read(tmp_path):
    path = picture(tmp_path / "a.png", 64, 48)
    path.write_bytes(path.read_bytes()[:60])  # cut off in the pixels
    assert read_wide([path]).tolist() == [True]


@pytest.mark.parametrize(("content", "told"), [(None, "No such file"), (b"text", "not a picture")])
def test_unreadable_pictures_are_named(tmp_path, content, told):
    path = tmp_path / "b.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FacedetError, match=rf"b\.jpg: .*{told}") as caught:
        read_wide([path])
    assert str(caught.value).count("b.jpg") == 1
