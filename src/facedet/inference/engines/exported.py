"""What an exported network says of itself, and its outputs as predictions."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facedet.errors import FacedetError, UsageError, one_line
from facedet.structures import Predictions

FORMAT = "facedet-export-1"
# By form, the outputs in their order.
OUTPUTS = {
    "raw": ("logits", "deltas", "anchors"),
    "decoded": ("boxes", "scores"),
    "end-to-end": ("boxes", "scores", "picture"),
}
INPUT = "images"
_AXES = "images uint8 [batch, height, width, 3], RGB, 0 … 255, normalised inside"
_BOXES = "x1 y1 x2 y2 in pixels of the picture, not clipped"


class Engine(Protocol):
    """Runs a network."""

    def __call__(self, images: Tensor, /) -> Predictions:
        """Predictions for RGB images, uint8 [B, 3, H, W]."""


@dataclass(frozen=True)
class Description:
    """The metadata of an exported file: all that is needed to use it without its weights.

    Args:
        weights: their file or name.
        sha256: of the weights file.
        config: the network's, its box coder's and its scales', as weights carry it.
        info: where the weights come from.
        form: `raw`: logits, deltas and anchors; `decoded`: a box and a score per anchor;
            `end-to-end`: faces, after score cut and NMS.
        precision: fp32, fp16, bf16 or int8.
        size: (height, width) px of the pictures; None: any.
        batch: pictures per call; None: any number.
        score: the usual cut; at `end-to-end` that of the graph.
        iou: NMS threshold at `end-to-end`.
        licence: of the weights.
    """

    weights: str
    sha256: str
    config: dict[str, Any]
    info: dict[str, Any]
    form: str
    precision: str
    size: tuple[int, int] | None
    batch: int | None
    score: float
    iou: float
    licence: str

    @property
    def least_score(self) -> float:
        """Below which the network itself leaves faces out."""
        return self.score if self.form == "end-to-end" else 0.0

    @property
    def most_iou(self) -> float:
        """Above which the network itself takes two boxes for one face."""
        return self.iou if self.form == "end-to-end" else 1.0

    def to_metadata(self) -> dict[str, str]:
        """Names and texts, for people and for `read`."""
        size = "any" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        return {
            "format": FORMAT,
            "weights": self.weights,
            "weights_sha256": self.sha256,
            "form": self.form,
            "precision": self.precision,
            "input": _AXES,
            "size": size,
            "batch": "any" if self.batch is None else str(self.batch),
            "boxes": _BOXES,
            "score": repr(self.score),
            "iou": repr(self.iou),
            "licence": self.licence,
            "config": json.dumps(self.config),
            "info": json.dumps(self.info),
        }

    @classmethod
    def read(cls, metadata: Mapping[str, str], source: str) -> "Description":
        """The description in a file's metadata.

        Raises:
            FacedetError: `source` was not exported by facedet, or by another version of it.
        """
        found = metadata.get("format")
        if found is None:
            raise FacedetError(
                f"{source}: was not written by `facedet export`: its metadata name no format"
            )
        if found != FORMAT:
            raise FacedetError(
                f"{source}: its format is {found!r}, expected {FORMAT!r}: export the weights again"
            )
        try:
            size, batch, form = metadata["size"], metadata["batch"], metadata["form"]
            height, _, width = size.partition("x")
            description = cls(
                weights=metadata["weights"],
                sha256=metadata["weights_sha256"],
                config=dict(json.loads(metadata["config"])),
                info=dict(json.loads(metadata["info"])),
                form=form,
                precision=metadata["precision"],
                size=None if size == "any" else (int(height), int(width)),
                batch=None if batch == "any" else int(batch),
                score=float(metadata["score"]),
                iou=float(metadata["iou"]),
                licence=metadata["licence"],
            )
            OUTPUTS[form]
        except (KeyError, TypeError, ValueError) as error:
            reason = one_line(error)
            raise FacedetError(f"{source}: its metadata are damaged ({reason})") from error
        return description


class ExportedNetwork(ABC):
    """A network in a file of `facedet.export`, run by the engine of a subclass.

    A subclass is made with the file, or its bytes; `source`, as which messages name it; the device
    on which it runs, None: the CPU; and the threads of one call, None: as many as PyTorch takes. It
    raises `FacedetError` where a file is missing, damaged or not one of ours, or there is no such
    device. `engine` is the name and version of what runs it.
    """

    def __init__(self, description: Description, engine: str) -> None:
        self.description = description
        self.engine = engine
        self.outputs = OUTPUTS[description.form]

    @abstractmethod
    def run(self, pictures: np.ndarray) -> Sequence[np.ndarray]:
        """Pictures uint8 [B, H, W, 3] to the outputs of the form; from several threads at once."""

    def __call__(self, images: Tensor) -> Predictions:
        """Predictions for RGB images, uint8 [B, 3, H, W].

        Raises:
            UsageError: the file takes pictures of another size.
        """
        form, size, batch = self.description.form, self.description.size, self.description.batch
        height, width = images.shape[-2:]
        if size is not None and size != (height, width):
            raise UsageError(
                f"{self.description.weights}, exported: takes pictures of {size[1]} x {size[0]} "
                f"pixels, not {width} x {height}: export it with --size dynamic"
            )
        pictures = images.permute(0, 2, 3, 1).contiguous().numpy()
        # Of several pictures at once it would have to be found out which has which faces.
        step = 1 if form == "end-to-end" else batch or len(pictures)
        parts = [
            _to_predictions(self.run(_filled(chosen, batch)), form, len(chosen))
            for chosen in (pictures[at : at + step] for at in range(0, len(pictures), step))
        ]
        return _joined(parts)._replace(size=(height, width))


def _filled(pictures: np.ndarray, batch: int | None) -> np.ndarray:
    """As many pictures as the network takes, black ones at the end."""
    missing = 0 if batch is None else batch - len(pictures)
    return np.pad(pictures, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else pictures


def _to_predictions(outputs: Sequence[np.ndarray], form: str, count: int) -> Predictions:
    """Outputs of a form, for the first `count` pictures.

    Boxes that are decoded already are their own code (`DecodedBoxes`), and their scores become
    the logits that softmax makes these scores of.
    """
    if form == "raw":
        logits, deltas, anchors = map(torch.from_numpy, outputs)
        return Predictions(logits[:count], deltas[:count], anchors)
    if form == "decoded":
        boxes, scores = (torch.from_numpy(one)[:count] for one in outputs)
    else:
        is_first = torch.from_numpy(outputs[2]) == 0
        boxes, scores = (torch.from_numpy(one)[is_first][None] for one in outputs[:2])
    logits = torch.stack([(1 - scores).log(), scores.log()], dim=2)
    return Predictions(logits, boxes, boxes[0])


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Several calls' predictions as those of one batch, filled up with boxes of score 0."""
    if len(parts) == 1:
        return parts[0]
    longest = max(parts, key=lambda part: len(part.anchors))
    logits, deltas = [], []
    for part in parts:
        missing = len(longest.anchors) - len(part.anchors)
        empty = torch.tensor([0.0, -torch.inf]).expand(len(part.logits), missing, 2)
        logits.append(torch.cat([part.logits, empty], dim=1))
        deltas.append(F.pad(part.deltas, (0, 0, 0, missing)))
    return Predictions(torch.cat(logits), torch.cat(deltas), longest.anchors)
