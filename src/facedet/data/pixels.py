"""Pillow images and arrays of every mode as RGB `uint8 [H, W, 3]`."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from facedet.errors import FacedetError

_EXIF_ORIENTATION = 0x0112
# By orientation, what undoes the turn.
_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class LoadedImage(NamedTuple):
    """A decoded picture and how it came to be."""

    rgb: np.ndarray  # [H, W, 3] uint8
    note: str  # what was done beyond plain decoding, "" for nothing


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
        return to_rgb(image, upright=True).rgb
    if not isinstance(image, np.ndarray):
        kind = type(image).__name__
        raise FacedetError(f"an image must be a NumPy array or a Pillow image, not {kind}")
    if image.dtype != np.uint8:
        raise FacedetError(f"an image array must be uint8 in 0..255, not {image.dtype}")
    full = image[:, :, None] if image.ndim == 2 else image
    if full.ndim != 3 or full.shape[2] not in (1, 3) or 0 in full.shape:
        shape = list(image.shape)
        raise FacedetError(f"an image array must be [H, W, 3] RGB or [H, W] grey, not {shape}")
    return np.ascontiguousarray(full if full.shape[2] == 3 else np.repeat(full, 3, axis=2))


def to_rgb(image: Image.Image, upright: bool) -> LoadedImage:
    """Decodes, turns (as EXIF asks, if `upright`) and converts an opened image of any mode.

    Raises:
        FacedetError: it has no pixels, or grey values beyond 16 bits.
        Exception: whatever Pillow's decoders raise on damaged files.
    """
    notes = []
    frames = getattr(image, "n_frames", 1)
    # Pillow turns a TIFF by itself while it loads it, and then no longer knows how.
    loaded_turn = exif_orientation(image) if isinstance(image, TiffImageFile) else 1
    image.load()
    if frames > 1:
        notes.append(f"first of {frames} frames")
    orientation = max(loaded_turn, exif_orientation(image))
    if not upright:
        image = image.transpose(_UNDO[loaded_turn]) if loaded_turn != 1 else image
    elif orientation != 1:
        try:
            image = ImageOps.exif_transpose(image)  # nothing, where it was turned already
            notes.append(f"turned upright (EXIF orientation {orientation})")
        except Exception:  # the rest of the block is broken
            notes.append("EXIF unreadable, not turned")
    image, converted = _drop_mode(image)
    rgb = np.array(image)  # asarray would be read-only
    if 0 in rgb.shape:
        raise FacedetError(f"the picture has no pixels ({rgb.shape[1]} x {rgb.shape[0]})")
    return LoadedImage(rgb, "; ".join([*notes, *converted]))


def exif_orientation(image: Image.Image) -> int:
    """EXIF's number of how a picture is to be turned or mirrored, 1 to 8.

    1 is upright; 5 to 8 exchange height and width. A broken EXIF block says nothing, so 1.
    """
    try:
        # A damaged TIFF, of which the tags were read already, would be warned about once more.
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
        orientation = tags.get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises almost anything on it
        return 1
    return orientation if orientation in range(2, 9) else 1


def _drop_mode(image: Image.Image) -> tuple[Image.Image, list[str]]:
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
