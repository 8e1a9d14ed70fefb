"""Pictures as the network wants them: RGB `uint8 [H, W, 3]`, from files and from memory.

`read_image` takes whatever people hand in and says how it was read; `read_rgb` is the quick way to
a data set's own files. Annotations belong to the raster as it is stored, so `read_rgb` never turns
a picture upright.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from facedet.errors import FacedetError

PIXEL_LIMIT = 200_000_000  # decoded, 600 MB: no camera makes more, and a forged header may claim it
_EXIF_ORIENTATION = 0x0112
_JPEG_END = b"\xff\xd9"


class LoadedImage(NamedTuple):
    """A decoded picture and how it came to be."""

    rgb: np.ndarray  # [H, W, 3] uint8
    note: str  # what was done beyond plain decoding, "" for nothing


def read_image(
    path: str | Path, upright: bool = True, pixel_limit: int = PIXEL_LIMIT
) -> LoadedImage:
    """Decodes any picture that Pillow knows.

    16-bit grey is scaled to 8 bits, transparency is shown over white, of an animation the first
    frame is taken; `note` tells of each.

    Args:
        path: the file.
        upright: turn the picture as its EXIF orientation asks.
        pixel_limit: refuse pictures of more pixels, from the header, before decoding.

    Raises:
        FacedetError: the file is missing, empty, a folder, no picture, damaged or too large.
    """
    path = _regular_file(path)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise FacedetError(f"{path}: cannot be opened ({error.strerror})") from error
    with stream, _own_pixel_limit():
        image = _open(path, stream, pixel_limit)
        try:
            return _convert(image, upright)
        except FacedetError as error:
            raise FacedetError(f"{path}: {error}") from error
        # Pillow's decoders raise almost anything on damaged files, struct.error and KeyError too.
        except Exception as error:
            raise FacedetError(f"{path}: the picture is damaged ({_one_line(error)})") from error


def read_rgb(path: str | Path, pixel_limit: int = PIXEL_LIMIT) -> np.ndarray:
    """Decodes a file of a data set to RGB uint8 [H, W, 3], in the raster the boxes belong to.

    A sound RGB or grey JPEG goes through OpenCV, about a third faster than Pillow; everything else
    is left to `read_image`.

    Args:
        path: the file.
        pixel_limit: refuse pictures of more pixels, from the header, before decoding.

    Raises:
        FacedetError: as `read_image`.
    """
    path = _regular_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FacedetError(f"{path}: cannot be opened ({error.strerror})") from error
    with _own_pixel_limit():
        header = _open(path, io.BytesIO(data), pixel_limit)
    plain = header.format == "JPEG" and header.mode in ("RGB", "L")
    # Before version 5 OpenCV fills what a truncated file lacks with grey and only warns.
    if plain and data.rstrip(b"\0").endswith(_JPEG_END):
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
        except cv2.error:  # beyond OpenCV's own limits
            bgr = None
        if bgr is not None:
            return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)
    return read_image(path, upright=False, pixel_limit=pixel_limit).rgb


def to_rgb_array(image: np.ndarray | Image.Image) -> np.ndarray:
    """A picture in memory as contiguous RGB uint8 [H, W, 3].

    Args:
        image: uint8 RGB [H, W, 3] or grey [H, W] or [H, W, 1] array, or a Pillow image of any mode
            (turned upright like a file).

    Raises:
        FacedetError: another type, shape or dtype. Floats are refused, for their range is not
            known: multiply by 255 or not, and convert to uint8.
    """
    if isinstance(image, Image.Image):
        return _convert(image, upright=True).rgb
    if not isinstance(image, np.ndarray):
        kind = type(image).__name__
        raise FacedetError(f"an image must be a NumPy array or a Pillow image, not {kind}")
    if image.dtype != np.uint8:
        raise FacedetError(f"an image array must be uint8 in 0..255, not {image.dtype}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
        shape = list(image.shape)
        raise FacedetError(f"an image array must be [H, W, 3] RGB or [H, W] grey, not {shape}")
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image)


def _regular_file(path: str | Path) -> Path:
    """The path, where it leads to a file that is not empty."""
    path = Path(path)
    if path.is_dir():
        raise FacedetError(f"{path}: is a folder, a picture file is wanted")
    if not path.exists():
        raise FacedetError(f"{path}: no such file")
    if not path.is_file():
        raise FacedetError(f"{path}: is not a regular file")
    if path.stat().st_size == 0:
        raise FacedetError(f"{path}: the file is empty (0 bytes)")
    return path


@contextmanager
def _own_pixel_limit() -> Iterator[None]:
    """Switches off Pillow's own limit, which is lower and cannot name the file."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            # Pillow warns of broken EXIF and the like; what matters comes as an error.
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _open(path: Path, stream: BinaryIO, pixel_limit: int) -> Image.Image:
    """Reads the header only."""
    try:
        image = Image.open(stream)
    except UnidentifiedImageError as error:
        raise FacedetError(f"{path}: not a picture of a format that Pillow reads") from error
    except Exception as error:
        raise FacedetError(f"{path}: the header is damaged ({_one_line(error)})") from error
    width, height = image.size
    if width * height > pixel_limit:
        raise FacedetError(
            f"{path}: {width} x {height} pixels are {width * height / 1e6:.0f} million, "
            f"the limit is {pixel_limit / 1e6:.0f} million"
        )
    return image


def _convert(image: Image.Image, upright: bool) -> LoadedImage:
    """Decodes, turns and converts an opened image."""
    notes = []
    frames = getattr(image, "n_frames", 1)
    image.load()
    if frames > 1:
        notes.append(f"first of {frames} frames")
    if upright:
        image, turned = _turn_upright(image)
        notes += turned
    image, converted = _to_rgb(image)
    notes += converted
    rgb = np.array(image)  # asarray would be read-only
    if 0 in rgb.shape:
        raise FacedetError(f"the picture has no pixels ({rgb.shape[1]} x {rgb.shape[0]})")
    return LoadedImage(rgb, "; ".join(notes))


def _turn_upright(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """The image as its EXIF orientation wants it, and a note where that changed it."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        turned = ImageOps.exif_transpose(image) if orientation in range(2, 9) else image
    except Exception:  # a broken EXIF block says nothing of the pixels
        return image, ["EXIF unreadable, not turned"]
    if turned is image:
        return image, []
    return turned, [f"turned upright (EXIF orientation {orientation})"]


def _to_rgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """An 8-bit RGB image of any Pillow mode, with notes on what was lost."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        if np.asarray(rgba.getchannel("A")).min() < 255:
            white = Image.new("RGBA", rgba.size, "white")
            over_white = Image.alpha_composite(white, rgba).convert("RGB")
            return over_white, ["transparency shown over white"]
        return rgba.convert("RGB"), []
    notes = ["converted from CMYK"] if image.mode == "CMYK" else []
    return (image if image.mode == "RGB" else image.convert("RGB")), notes


def _from_deep_grey(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Grey of 16 bits, or of floats in 0..1, scaled to 8 bits.

    Pillow's own conversion clips at 255 and turns nearly every such picture white.
    """
    values = np.asarray(image).astype(np.float64)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):  # also refuses NaN
            raise FacedetError(f"float pixels must lie in 0..1, these in {low:g}..{high:g}")
        grey, note = values * 255, "floats scaled to 8 bits"
    else:
        if low < 0 or high > 65535:
            raise FacedetError(f"grey must have 8 or 16 bits, this lies in {low:.0f}..{high:.0f}")
        grey, note = values / 257, "16 bits scaled to 8"
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB"), [note]


def _one_line(error: Exception) -> str:
    """An error's text without line breaks; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
