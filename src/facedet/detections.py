"""What `FaceDetector.detect` returns: faces to count, loop over, draw, cut out and hand on."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facedet.data.images import read_image
from facedet.errors import UsageError
from facedet.inference.anonymise import Way, hide
from facedet.plots import Box, draw_boxes
from facedet.tables import counted

_SHOWN_FACES = 5  # in a repr
_SHOWN_SIDE = 1000  # px of a picture in a notebook


class Face(NamedTuple):
    """One face."""

    box: tuple[float, float, float, float]  # xyxy pixels of the picture
    score: float  # in [0, 1]


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The faces of one picture, best first.

    Inside the package travels the bare tuple `facedet.structures.Detections`; this is its form for
    users, which also knows the picture. A file is read again to draw on it, so that thousands of
    results do not keep thousands of pictures; an array is kept, not copied.

    >>> import torch
    >>> found = Detections(torch.zeros(0, 4), torch.zeros(0), size=(480, 640))
    >>> len(found), found
    (0, Detections(no faces in 640 x 480))
    """

    boxes: Tensor  # [N, 4] float32, xyxy pixels of the picture as it is seen
    scores: Tensor  # [N] in [0, 1]
    note: str = ""  # how the picture was processed, where that is not the plain way
    size: tuple[int, int] = (0, 0)  # (height, width) px
    picture: str | Path | np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """The number of faces."""
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice) -> "Detections": ...

    def __getitem__(self, index: int | slice) -> "Face | Detections":
        if isinstance(index, slice):
            chosen = list(range(len(self)))[index]  # PyTorch has no backward steps
            return replace(self, boxes=self.boxes[chosen], scores=self.scores[chosen])
        x1, y1, x2, y2 = self.boxes[index].tolist()
        return Face((x1, y1, x2, y2), float(self.scores[index]))

    def __iter__(self) -> Iterator[Face]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        height, width = self.size
        faces = "; ".join(
            f"{score:.2f} at ({', '.join(f'{value:.0f}' for value in box)})"
            for box, score in (self[index] for index in range(min(len(self), _SHOWN_FACES)))
        )
        more = "; …" if len(self) > _SHOWN_FACES else ""
        listed = f": {faces}{more}" if len(self) else ""
        note = f" [{self.note}]" if self.note else ""
        return f"Detections({count_faces(len(self))} in {width} x {height}{listed}{note})"

    def _repr_png_(self) -> bytes | None:
        """The picture with its boxes, as a notebook shows it."""
        if self.picture is None:
            return None
        shown = self.draw()
        shown.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
        stream = io.BytesIO()
        shown.save(stream, "PNG")
        return stream.getvalue()

    def draw(self) -> Image.Image:
        """The picture with boxes and scores drawn on it.

        Raises:
            FacedetError: the picture's file cannot be read any more.
            UsageError: the picture is not known.
        """
        return Image.fromarray(self.drawn())

    def drawn(self) -> np.ndarray:
        """The same as an array, RGB uint8 [H, W, 3]."""
        boxes = [Box(face.box, text=f"{face.score:.2f}") for face in self]
        return draw_boxes(self._rgb(), boxes)

    def hidden(self, way: Way = "blur", margin: float = 0.1) -> np.ndarray:
        """The picture with the faces made unrecognisable, RGB uint8 [H, W, 3].

        Args:
            way: `blur` or `pixelate`.
            margin: how much of its sides is added to a box on each side.

        Raises:
            FacedetError: the picture's file cannot be read any more.
            UsageError: the picture is not known, or `way` is neither.
        """
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        grown = self.boxes + margin * torch.cat([-sides, sides], dim=1)
        return hide(self._rgb(), grown.tolist(), way)

    def crop(self, margin: float = 0.0) -> list[np.ndarray]:
        """A copy of each face's pixels, RGB uint8 [h, w, 3], best first.

        Args:
            margin: how much of its sides is added to a box on each side, 0.2 for a fifth; what lies
                outside the picture is left out.

        Raises:
            FacedetError: the picture's file cannot be read any more.
            UsageError: the picture is not known.
        """
        rgb, crops = self._rgb(), []
        height, width = rgb.shape[:2]
        for (x1, y1, x2, y2), _ in self:
            dx, dy = margin * (x2 - x1), margin * (y2 - y1)
            left, top = max(0, int(x1 - dx)), max(0, int(y1 - dy))
            # At least a pixel, of a box at the very border too.
            left, top = min(left, width - 1), min(top, height - 1)
            right, bottom = max(left + 1, round(x2 + dx)), max(top + 1, round(y2 + dy))
            crops.append(rgb[top:bottom, left:right].copy())
        return crops

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `predictions.json` holds them: width, height, faces, and a note if any.

        Coordinates are rounded to 2 decimals, scores to 4.
        """
        faces = [
            {"box": [round(value, 2) for value in box], "score": round(score, 4)}
            for box, score in self
        ]
        height, width = self.size
        note = {"note": self.note} if self.note else {}
        return {"width": width, "height": height, "faces": faces, **note}

    def to_supervision(self) -> Any:  # noqa: ANN401
        """`supervision.Detections` of class 0.

        Raises:
            UsageError: the package supervision is not installed.
        """
        try:
            supervision = import_module("supervision")
        except ImportError as error:
            raise UsageError(
                "to_supervision() needs supervision: pip install supervision"
            ) from error
        return supervision.Detections(
            xyxy=self.boxes.numpy().copy(),
            confidence=self.scores.numpy().copy(),
            class_id=np.zeros(len(self), dtype=int),
        )

    def _rgb(self) -> np.ndarray:
        if self.picture is None:
            raise UsageError("these detections do not know their picture")
        if isinstance(self.picture, np.ndarray):
            return self.picture
        return read_image(self.picture).rgb


def count_faces(number: int) -> str:
    """The number in words: "no faces", "1 face", "2 faces"."""
    return counted(number, "face") if number else "no faces"
