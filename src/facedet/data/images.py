"""Picture files as the network needs them: RGB `uint8 [H, W, 3]`.

`read_image` takes whatever people hand in and says how it was read; `read_rgb` is the quick way to
a data set's own files. Both turn a picture as its EXIF orientation asks, which is how people and
labelling tools see it; official benchmarks annotate the raster as stored (`upright=False`).
"""

import io
import struct
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from facedet.data.pixels import LoadedImage, exif_orientation, to_rgb
from facedet.errors import FacedetError, one_line

PIXEL_LIMIT = 200_000_000  # decoded, 600 MB: no camera makes more, and a forged header may claim it
# Files of a folder that are taken for pictures. A file that is named itself may be called anything.
PICTURE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif",
    ".tiff", ".webp", ".avif", ".avifs", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".j2c", ".jpc",
    ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".tga", ".icb", ".vda", ".vst", ".pcx",
    ".dcx", ".qoi", ".sgi", ".rgb", ".rgba", ".bw", ".ras", ".ico", ".cur", ".icns", ".dds", ".psd",
    ".xbm", ".xpm",
))  # fmt: skip
_JPEG_END = b"\xff\xd9"
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def read_image(path: str | Path, upright: bool = True) -> LoadedImage:
    """Decodes any picture that Pillow knows.

    16-bit grey is scaled to 8 bits, transparency is shown over white, of an animation the first
    frame is taken; `note` says so.

    Args:
        path: the file.
        upright: turn the picture as its EXIF orientation asks.

    Raises:
        FacedetError: the file is missing, empty, a folder, no picture, damaged or, as its header
            says, of more than `PIXEL_LIMIT` pixels.
    """
    return decode_image(io.BytesIO(_read(path)), str(path), upright)


def decode_image(stream: BinaryIO, name: str, upright: bool = True) -> LoadedImage:
    """Decodes a picture from an open file or from memory, whose place is set at will.

    `name` is for messages; other arguments and errors are those of `read_image`.
    """
    image = _open(name, stream)
    try:
        return to_rgb(image, upright)
    except FacedetError as error:
        raise FacedetError(f"{name}: {error}") from error
    # Pillow's decoders raise almost anything on damaged files, struct.error and KeyError too.
    except Exception as error:
        raise FacedetError(f"{name}: the picture is damaged ({one_line(error)})") from error


def read_rgb(path: str | Path, upright: bool = True) -> np.ndarray:
    """Decodes a file of a data set to RGB uint8 [H, W, 3]; arguments and errors as `read_image`.

    A sound RGB or grey JPEG goes through OpenCV, about a third faster than Pillow; everything else
    is decoded as by `read_image`.
    """
    data = _read(path)
    header = _open(str(path), io.BytesIO(data))
    is_turned = upright and exif_orientation(header) != 1
    plain = header.format == "JPEG" and header.mode in ("RGB", "L") and not is_turned
    # Before version 5 OpenCV fills what a truncated file lacks with grey and only warns.
    if plain and data.rstrip(b"\0").endswith(_JPEG_END):
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
        except cv2.error:  # beyond OpenCV's own limits
            bgr = None
        if bgr is not None:
            return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)
    return decode_image(io.BytesIO(data), str(path), upright).rgb


def read_size(path: str | Path, upright: bool = True) -> tuple[int, int]:
    """(height, width) of a picture, from the header of its file; `upright` as for `read_image`.

    Raises:
        FacedetError: the file is missing or is no picture.
    """
    (width, height), orientation = _read_header(path)
    if not (height and width):
        raise FacedetError(f"{path}: the picture has no pixels ({width} x {height})")
    return (width, height) if upright and orientation >= 5 else (height, width)


def read_orientation(path: str | Path) -> int:
    """The EXIF orientation of a picture, 1 (upright) … 8; raises as `read_size`."""
    return _read_header(path)[1]


def _read_header(path: str | Path) -> tuple[tuple[int, int], int]:
    """(width, height) as stored and EXIF orientation of a picture."""
    with _opened(path) as stream:
        image = _open(str(path), stream)
        size, orientation = image.size, exif_orientation(image)
        if isinstance(image, TiffImageFile):  # whose `size` is that of the upright picture
            size = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
        return size, orientation


def _read(path: str | Path) -> bytes:
    with _opened(path) as stream:
        return stream.read()


def _opened(path: str | Path) -> BinaryIO:
    """The opened file, where the path leads to one that is not empty."""
    path = Path(path)
    if path.is_dir():
        raise FacedetError(f"{path}: is a folder, expected a picture file")
    if not path.exists():
        raise FacedetError(f"{path}: no such file")
    if not path.is_file():
        raise FacedetError(f"{path}: is not a regular file")
    if path.stat().st_size == 0:
        raise FacedetError(f"{path}: the file is empty (0 bytes)")
    try:
        return path.open("rb")
    except OSError as error:
        raise FacedetError(f"{path}: cannot be opened ({error.strerror})") from error


def _open(name: str, stream: BinaryIO) -> Image.Image:
    """Reads the header only."""
    try:
        image = _identify(stream)
    except FacedetError as error:
        raise FacedetError(f"{name}: {error}") from error
    except Exception as error:
        raise FacedetError(f"{name}: the header is damaged ({one_line(error)})") from error
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        raise FacedetError(
            f"{name}: {width} x {height} pixels are {width * height / 1e6:.0f} million, "
            f"the limit is {PIXEL_LIMIT / 1e6:.0f} million"
        )
    return image


def _identify(stream: BinaryIO) -> Image.Image:
    """The picture as the first of Pillow's plug-ins opens it that can.

    `Image.open` does the same, but with a limit of 179 million pixels, which can only be changed
    for the whole process.
    """
    prefix = stream.read(16)
    for load_plugins in (Image.preinit, Image.init):  # the usual formats, then all
        load_plugins()
        for name in Image.ID:
            factory, accept = Image.OPEN[name]
            stream.seek(0)
            try:
                # A text instead of a truth value says why the plug-in cannot read its format.
                accepted = accept is None or accept(prefix)
                if accepted and not isinstance(accepted, str):
                    return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    if prefix[4:8] == b"ftyp" and prefix[8:12] in _HEIF_BRANDS:
        # Without registering its plug-in, which would change Pillow for the whole process.
        try:
            plugin = import_module("pillow_heif")
        except ImportError as error:
            raise FacedetError("HEIC pictures need a plug-in: pip install pillow-heif") from error
        stream.seek(0)
        return plugin.HeifImageFile(stream)
    raise FacedetError("not a picture of a format that Pillow reads")
