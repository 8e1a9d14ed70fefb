"""Three lines to the faces in a picture: `facedet.load().detect(picture)`."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image

from facedet import boxes as box_ops
from facedet import structures
from facedet.allocator import give_back_above, keep_freed_memory
from facedet.data.images import PIXEL_LIMIT, read_image
from facedet.data.pixels import LoadedImage, to_rgb_array
from facedet.detections import Detections
from facedet.errors import FacedetError, UsageError
from facedet.export.opening import open_detector
from facedet.inference.devices import check_process
from facedet.inference.engines.exported import Description
from facedet.inference.postprocess import NmsMerge, NmsPostprocess
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import FixedScales, Mirrored, Pass
from facedet.inference.sources.frames import Frame, detect_frames
from facedet.inference.sources.selection import find_sources
from facedet.option_types import check_ranges
from facedet.weights.store import Weights
from facedet.weights.trusted import build_untrusted
from facedet.weights.zoo import DEFAULT, DEFAULT_SCORE

Picture = str | Path | np.ndarray | Image.Image
Planner = Callable[[tuple[int, int]], list[Pass]]
Scales = Planner | Sequence[float] | float

# Keeps EXTD-64 on a picture of 24 megapixels below 2 GiB: `tests/benchmarks/memory.py`.
PIXEL_BUDGET = 1_200_000
# Candidates above this score are never cut, however many there are.
_SURE = 0.3


class FaceDetector:
    """A network with everything around it: pictures in, faces out.

    Args:
        pyramid: image to detections.
        info: where the weights come from.
        score: that of `pyramid`: faces below it are left out.
        max_det: faces per picture at the most; None: all.
        min_size: px; faces whose shorter side is smaller are left out.
        clip: cut boxes off at the borders of the picture.
    """

    def __init__(
        self,
        pyramid: Pyramid,
        info: dict[str, Any],
        score: float = DEFAULT_SCORE,
        max_det: int | None = None,
        min_size: float = 0,
        clip: bool = True,
    ) -> None:
        self.pyramid = pyramid
        self.info = info
        self.score = score
        self.max_det = max_det
        self.min_size = min_size
        self.clip = clip

    def __repr__(self) -> str:
        name, engine = (self.info.get(key, "unknown") for key in ("file", "engine"))
        return f"FaceDetector({name} in {engine}, faces of score {self.score:g} and more)"

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
            `Detections` per picture: `boxes` [N, 4] float32 xyxy pixels of the picture as it is
            seen (a photo stored on its side is turned upright first, and the note says so), inside
            the picture unless `load(clip=False)`; `scores` [N], best first; and a `note` where the
            picture was not processed plainly.

        Raises:
            FacedetError: a file cannot be read, an array is no picture, or a picture is too large
                for the scales.
        """
        if isinstance(pictures, (list, tuple)):
            return self._detect_all(pictures)
        return self._detect_all([pictures])[0]

    def stream(
        self,
        source: str | Path | int | Sequence[str | Path | int],
        report: Callable[[str], object] = warnings.warn,
    ) -> Iterator[tuple[Frame, Detections]]:
        """The faces of every frame of a video, a camera or a stream, as they come.

        Memory does not grow with the length; see `Frame` for its number and time.

        Args:
            source: what `facedet predict` takes: a path, a folder, a URL, the number of a camera,
                or a list of them.
            report: takes a line about each source that cannot be read, or not all of it.
        """
        words: list[Any] = [source]
        if isinstance(source, Iterable) and not isinstance(source, str):
            words = list(source)
        if not all(isinstance(word, (str, Path, int)) for word in words):
            raise UsageError("stream() takes paths, URLs and numbers of cameras, detect() pictures")
        inputs = find_sources([str(word) for word in words])
        for failure in inputs.failures:
            report(failure)
        yield from detect_frames(inputs.sources, self.detect, report)

    def _detect_all(self, pictures: Sequence[Picture]) -> list[Detections]:
        check_process()
        loaded = [_load_picture(picture) for picture in pictures]
        for image in loaded:
            self._check_size(image.rgb)
        results = self.pyramid.detect_many([image.rgb for image in loaded])
        give_back_above()
        return [
            self._finish(found, image, picture)
            for found, image, picture in zip(results, loaded, pictures, strict=True)
        ]

    def _finish(
        self, found: structures.Detections, image: LoadedImage, picture: Picture
    ) -> Detections:
        """Leaves out what is not to be shown, and says so."""
        size, notes = image.rgb.shape[:2], [image.note, found.note]
        boxes, scores = found.boxes, found.scores
        # Weights of a diverged training give boxes of infinite size.
        finite = boxes.isfinite().all(dim=1)
        if not finite.all():
            notes.append(f"left out {int((~finite).sum())} boxes of infinite size")
        shown = finite & ((boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= self.min_size)
        if self.clip:
            boxes = box_ops.clip(boxes, size)
            shown &= (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, scores = boxes[shown], scores[shown]
        if self.max_det is not None and len(scores) > self.max_det:
            notes.append(f"the best {self.max_det} of more faces (max_det)")
            boxes, scores = boxes[: self.max_det], scores[: self.max_det]
        source = picture if isinstance(picture, (str, Path)) else image.rgb
        return Detections(boxes, scores, "; ".join(filter(None, notes)), size, source)

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
    scales: Scales | None = None,
    flip: bool = False,
    iou: float | None = None,
    max_det: int | None = None,
    min_size: float = 0,
    clip: bool = True,
    pixel_budget: int | None = PIXEL_BUDGET,
    on_large: str = "tile",
    device: str | int = "auto",
    engine: str = "auto",
    threads: int | None = None,
    folded: bool = True,
    keep_memory: bool = True,
    keep: int | None = None,
) -> FaceDetector:
    """A detector ready for pictures.

    Args:
        weights: safetensors of ours, a training checkpoint, a released EXTD file, a name of
            `facedet weights list`, `hf://owner/name[@revision]`, or a file of `facedet export`.
        score: faces below this score are left out; None: the cut of the weights' card, else 0.5.
        scales: factor or factors on each picture's sides, or a function from its size to passes;
            None: as the weights were made for, which is most often the picture as it is.
        flip: process the mirrored picture too, at each of the scales.
        iou: overlap above which two detections are one face; None: an exported file's, else 0.3.
        max_det: faces per picture at the most, and the note says where there were more; None: all.
        min_size: px; faces whose shorter side is smaller are left out.
        clip: cut boxes off at the borders of the picture, outside which the network may reach.
        pixel_budget: larger passes are cut in tiles or shrunk; None, or a file of one size: never.
        on_large: `tile` or `shrink`.
        device: as of `find_device`.
        engine: what runs the network: `torch`, `onnxruntime`, `openvino`, or `auto`, the fastest
            that is installed; `info["engine"]` names it. Weights are exported on first use.
        threads: of the network; None: as many as PyTorch takes. With torch for the process.
        folded: fold the normalisations into the convolutions (same faces, quicker).
        keep_memory: keep up to 2 GiB of freed memory for the next picture; malloc, Linux.
        keep: the same as `max_det`, its name in earlier versions.

    Raises:
        FacedetError: the file is missing or is not what it should be, or there is no such device.
        UsageError: an argument is out of its range.
    """
    check_process()
    max_det = keep if max_det is None else max_det
    ranges = {"score": score, "iou": iou, "max_det": max_det, "min_size": min_size}
    check_ranges(**ranges, pixel_budget=pixel_budget, on_large=on_large)
    if keep_memory:
        keep_freed_memory()
    opened = open_detector(weights, engine, device, threads, folded)
    score, iou = _limits(score, iou, opened.about, weights)
    budget = pixel_budget if opened.about.size is None else None
    planner = _plan(scales, flip, opened.weights, weights)
    postprocess = NmsPostprocess(opened.box_coder, score=score, iou=iou, keep=None, sure=_SURE)
    pyramid = Pyramid(opened.net, postprocess, planner, NmsMerge(iou, keep=None), budget, on_large)
    info = {**opened.weights.info, "engine": opened.engine}
    return FaceDetector(pyramid, info, score, max_det, min_size, clip)


def _limits(
    score: float | None, iou: float | None, about: Description, source: str | Path
) -> tuple[float, float]:
    """Lowest score of a face, overlap of two: as asked for, or as weights or exported file say."""
    if score is not None and score < about.least_score:
        raise UsageError(
            f"score={score}: {source} leaves out faces below {about.least_score:g} itself: "
            "export it with a lower --score, or --decoded"
        )
    if iou is not None and iou > about.most_iou:
        raise UsageError(
            f"iou={iou}: {source} joins boxes that overlap by more than {about.most_iou:g} itself: "
            "export it with a higher --iou, or --decoded"
        )
    return about.score if score is None else score, about.iou if iou is None else iou


def _plan(scales: Scales | None, flip: bool, weights: Weights, source: str | Path) -> Planner:
    """How a picture is processed: as asked for, as the weights need it, or as it is."""
    if scales is not None:
        planner = scales if callable(scales) else FixedScales(tuple(np.atleast_1d(scales).tolist()))
    elif (node := weights.config.get("inference")) is None:
        planner = FixedScales()
    else:
        planner = build_untrusted(node, str(source))
        if type(planner).__module__ != FixedScales.__module__:
            raise FacedetError(f"{source}: its config's inference is no plan of scales")
    return Mirrored(planner) if flip else planner


def _load_picture(picture: Picture) -> LoadedImage:
    if isinstance(picture, str) and picture.startswith(("http://", "https://")):
        raise UsageError(f"{picture}: detect() takes files and pictures, stream() also URLs")
    if isinstance(picture, (str, Path)):
        return read_image(Path(picture))
    return LoadedImage(to_rgb_array(picture), "")
