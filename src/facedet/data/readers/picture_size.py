"""How large a picture is, from the header of its file."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from facedet.errors import FacedetError


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture as it is stored, from the header of its file.

    Raises:
        FacedetError: the file is missing or is no picture.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
    except UnidentifiedImageError as error:
        raise FacedetError(f"{path}: not a picture of a format that Pillow reads") from error
    # Pillow's plugins raise almost anything on damaged headers, struct.error and KeyError too.
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise FacedetError(f"{path}: its size cannot be read ({reason})") from error
    if not (height and width):
        raise FacedetError(f"{path}: the picture has no pixels ({width} x {height})")
    return height, width
