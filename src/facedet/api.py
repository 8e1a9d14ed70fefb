"""Three lines to the faces in a picture: `facedet.load().detect(picture)`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image

from facedet.data.images import PIXEL_LIMIT, read_image
from facedet.data.pixels import to_rgb_array
from facedet.errors import FacedetError, UsageError
from facedet.inference.postprocess import NmsMerge, NmsPostprocess
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import FixedScales, Mirrored, Pass
from facedet.models.folding import fold
from facedet.structures import Detections
from facedet.weights.store import Weights, build_coder, build_net, read_weights
from facedet.weights.trusted import build_untrusted
from facedet.weights.zoo import DEFAULT, usual_score

Picture = str | Path | np.ndarray | Image.Image
Planner = Callable[[tuple[int, int]], list[Pass]]

# Keeps EXTD-64 on a picture of 24 megapixels below 2 GiB: `facedet benchmark memory`.
PIXEL_BUDGET = 1_200_000


class FaceDetector:
    """A network with everything around it: pictures in, faces out.

    Args:
        pyramid: image to detections.
        info: where the weights come from.
    """

    def __init__(self, pyramid: Pyramid, info: dict[str, Any]) -> None:
        self.pyramid = pyramid
        self.info = info

    @overload
    def detect(self, pictures: Picture) -> Detections: ...

    @overload
    def detect(self, pictures: list[Picture] | tuple[Picture, ...]) -> list[Detections]: ...

    def detect(
        self, pictures: Picture | list[Picture] | tuple[Picture, ...]
    ) -> Detections | list[Detections]:
        """Finds the faces of one picture, or of several, which go through the network together.

        Args:
            pictures: a path, an RGB array uint8 [H, W, 3] (or grey [H, W]), a PIL image; or a
                list of them.

        Returns:
            `Detections` per picture: boxes [N, 4] float32 xyxy pixels of the picture as it is
            seen (a photo stored on its side is turned upright first, and the note says so),
            scores [N], best first, and a note where the picture was not processed plainly.

        Raises:
            FacedetError: a file cannot be read, an array is no picture, or a picture is too large
                for the scales.
        """
        if isinstance(pictures, (list, tuple)):
            return self._detect_all(pictures)
        return self._detect_all([pictures])[0]

    def _detect_all(self, pictures: Sequence[Picture]) -> list[Detections]:
        loaded = [_load_picture(picture) for picture in pictures]
        for rgb, _ in loaded:
            self._check_size(rgb)
        results = map(_drop_endless, self.pyramid.detect_many([rgb for rgb, _ in loaded]))
        return [
            found._replace(note="; ".join(filter(None, (note, found.note))))
            for (_, note), found in zip(loaded, results, strict=True)
        ]

    def _check_size(self, rgb: np.ndarray) -> None:
        height, width = rgb.shape[:2]
        scale = max(one.scale for one in self.pyramid.scales((height, width)))
        if scale > 1 and height * width * scale**2 > PIXEL_LIMIT:
            raise FacedetError(
                f"{width} x {height} pixels times scale {scale:g} are more than "
                f"{PIXEL_LIMIT / 1e6:.0f} million: take smaller scales"
            )


def load(
    weights: str | Path = DEFAULT,
    *,
    score: float | None = None,
    scales: Planner | Sequence[float] | None = None,
    flip: bool = False,
    iou: float = 0.3,
    keep: int = 750,
    pixel_budget: int | None = PIXEL_BUDGET,
    on_large: str = "tile",
    device: str = "cpu",
    folded: bool = True,
) -> FaceDetector:
    """A detector ready for pictures.

    Args:
        weights: safetensors of ours, a training checkpoint, a released EXTD file, or a name of
            `facedet weights list`.
        score: faces below this score are left out; None: of shipped weights the cut that their
            card says, else 0.5.
        scales: factors at which each picture is looked at, or a function from its size to passes;
            None: as the weights were made for, which is most often the picture as it is.
        flip: look at the mirrored picture too, at each of the scales.
        iou: overlap above which two detections are one face.
        keep: faces per picture at the most.
        pixel_budget: larger passes are cut in tiles or shrunk; None: never.
        on_large: `tile` or `shrink`.
        device: `cpu`, `cuda`, …
        folded: fold the normalisations into the convolutions (same faces, quicker).

    Raises:
        FacedetError: the file is missing or is not what it should be, or there is no such device.
        UsageError: an argument is out of its range.
    """
    score = usual_score(weights) if score is None else score
    if not (0 <= score <= 1 and 0 <= iou <= 1 and keep >= 1):
        raise UsageError(f"score={score}, iou={iou}, keep={keep}: wanted 0 … 1, 0 … 1, at least 1")
    if pixel_budget is not None and pixel_budget < 1:
        raise UsageError(f"pixel_budget={pixel_budget}: wanted at least 1, or None")
    if on_large not in ("tile", "shrink"):
        raise UsageError(f"on_large={on_large!r}: wanted tile or shrink")
    given = scales if scales is None or callable(scales) else FixedScales(tuple(scales))
    read = read_weights(weights)
    planner = given or _own_planner(read, weights)
    net = build_net(read, weights)
    coder = build_coder(read, weights)
    pyramid = Pyramid(
        (fold(net) if folded else net).to(find_device(device)),
        NmsPostprocess(coder, score=score, iou=iou, keep=keep),
        Mirrored(planner) if flip else planner,
        NmsMerge(iou, keep),
        pixel_budget,
        on_large,
    )
    return FaceDetector(pyramid, read.info)


def find_device(name: str | int) -> torch.device:
    """The device of that name, after a check that it can be used.

    Args:
        name: a name of PyTorch's, the number of a GPU, or `auto`: the first that there is of
            `cuda`, `mps` and `cpu`.

    Raises:
        FacedetError: there is no such device on this machine.
    """
    name = str(name)
    if name == "auto":
        is_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if is_mps else "cpu"
    elif name.isdecimal():
        name = f"cuda:{name}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    # A build without the device asserts, a machine without it is a RuntimeError.
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise FacedetError(f"device={name} cannot be used, cpu can: {reason}") from error
    return device


def _drop_endless(found: Detections) -> Detections:
    """Leaves out boxes of infinite size, which weights of a diverged training give."""
    ends = found.boxes.isfinite().all(dim=1)
    if ends.all():
        return found
    note = f"left out {int((~ends).sum())} boxes of infinite size"
    joined = "; ".join(filter(None, (found.note, note)))
    return Detections(found.boxes[ends], found.scores[ends], joined)


def _own_planner(weights: Weights, source: str | Path) -> Planner:
    """How the weights want a picture looked at; where they do not say, as it is."""
    node = weights.config.get("inference")
    if node is None:
        return FixedScales()
    planner = build_untrusted(node, str(source))
    if type(planner).__module__ != FixedScales.__module__:
        raise FacedetError(f"{source}: its config's inference is no plan of scales")
    return planner


def _load_picture(picture: Picture) -> tuple[np.ndarray, str]:
    if isinstance(picture, (str, Path)):
        image = read_image(Path(picture))
        return image.rgb, image.note
    return to_rgb_array(picture), ""
