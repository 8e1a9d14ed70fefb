"""Detections on disk: WIDER FACE's text files (folder or zip) and one compact .npz.

A text file is `DIR/EVENT/IMAGE.txt`: the image's name, the number of boxes, then one line
`x y w h score` per box (the submission format of WIDER FACE, Yang et al., 2016). The .npz holds
`names` [I] ("EVENT/IMAGE"), `offsets` [I + 1] and `rows` [N, 5]: image i owns the rows
offsets[i]:offsets[i + 1].
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from facedet.data.readers.text import Text, parse_rows, read_text, without_suffix, zip_texts
from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.structures import Detections

_COLUMNS = 5


def read_detections(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the detections of a data set.

    Args:
        path: a folder of `EVENT/IMAGE.txt`, a zip of one (in both, one more leading folder is
            tolerated), an .npz file, or a folder that holds exactly one .npz.

    Returns:
        "EVENT/IMAGE" (without a suffix) → float64 [N, 5] as x, y, w, h, score in pixels, in the
        file's order. Sizes and scores are taken as they stand: protocols differ in their range.

    Raises:
        FacedetError: nothing readable there, a malformed line, a count that does not match, a
            value that is not finite, or one image twice; the message names the file and the line.
    """
    path = Path(path)
    if path.is_dir():
        texts = list(_folder_texts(path))
        archives = sorted(path.glob("*.npz"))
        if not texts and len(archives) == 1:
            return _read_npz(archives[0])
        if not texts:
            raise FacedetError(
                f"{path} holds no EVENT/IMAGE.txt and {len(archives)} .npz files: "
                "detections are text files in event folders, or exactly one .npz"
            )
        return _collect(texts)
    if not path.is_file():
        raise FacedetError(f"{path} does not exist: name a folder, a zip or an .npz of detections")
    if path.suffix == ".npz":
        return _read_npz(path)
    if not zipfile.is_zipfile(path):
        raise FacedetError(f"{path} is no folder, no zip and no .npz of detections")
    names = partial(_image_names, source=str(path))
    return _collect(zip_texts(path, names, "no EVENT/IMAGE.txt"))


def _folder_texts(folder: Path) -> Iterator[Text]:
    """Yields (source, name, text) of the text files of a folder."""
    files = sorted([*folder.glob("*/*.txt"), *folder.glob("*/*/*.txt")])
    names = _image_names([file.relative_to(folder).as_posix() for file in files], str(folder))
    for file, name in zip(files, names, strict=True):
        yield str(file), name, read_text(file)


def _image_names(keys: list[str], source: str) -> list[str]:
    """Maps relative paths of text files to "EVENT/IMAGE"; all must lie equally deep."""
    parts = [PurePosixPath(key).parts for key in keys]
    depth = 3 if parts and all(len(part) == 3 for part in parts) else 2
    for key, part in zip(keys, parts, strict=True):
        if len(part) != depth or (depth == 3 and part[0] != parts[0][0]) or ".." in part:
            raise FacedetError(f"{source}: {key} is not EVENT/IMAGE.txt like the other text files")
    return [f"{part[-2]}/{without_suffix(part[-1].removesuffix('.txt'))}" for part in parts]


def _collect(texts: Iterable[Text]) -> dict[str, np.ndarray]:
    """Parses the texts, one image each."""
    found: dict[str, np.ndarray] = {}
    for source, name, text in texts:
        if name in found:
            raise FacedetError(f"{source}: {name} has a second file of detections")
        found[name] = _parse_text(source, name, text)
    return found


def _parse_text(source: str, name: str, text: str) -> np.ndarray:
    """Rows [N, 5] of one image's text, whose first line may name the image in several ways."""
    lines = text.rstrip().splitlines()
    if len(lines) < 2:
        raise FacedetError(f"{source}: {len(lines)} lines, expected the image's name and a count")
    # "EVENT/IMAGE.jpg", "IMAGE.jpg" and "IMAGE" are all in use; another image's name is a mix-up.
    title = without_suffix(lines[0].strip().replace("\\", "/").rsplit("/", 1)[-1])
    if title != name.rsplit("/", 1)[-1]:
        raise FacedetError(f"{source}, line 1: '{lines[0].strip()[:80]}' names another image")
    number = lines[1].strip()
    if not number.isdecimal() or len(number) > 9:  # int() refuses thousands of digits
        raise FacedetError(f"{source}, line 2: '{number[:80]}' is no number of boxes")
    count = int(number)
    if len(lines) - 2 > count:
        raise FacedetError(f"{source}, line 2: {count} boxes, but {len(lines) - 2} lines follow")
    return parse_rows(lines, 2, count, _COLUMNS, source)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads the compact form; see the module's first lines for its three arrays."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            names, offsets, rows = (stored[key] for key in ("names", "offsets", "rows"))
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        MemoryError,  # numpy makes room for what an array's header claims
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise FacedetError(
            f"{path} cannot be read as names, offsets and rows of detections: {error}"
        ) from error
    if names.ndim != 1 or names.dtype.kind != "U":
        raise FacedetError(f"{path}: names are {names.dtype}{list(names.shape)}, not texts [I]")
    if rows.ndim != 2 or rows.shape[1] != _COLUMNS or rows.dtype.kind not in "fiu":
        raise FacedetError(f"{path}: rows are {rows.dtype}{list(rows.shape)}, not numbers [N, 5]")
    rows = rows.astype(np.float64)
    is_whole = offsets.dtype.kind in "iu" and offsets.shape == (len(names) + 1,)
    if not is_whole or offsets[0] != 0 or offsets[-1] != len(rows) or (np.diff(offsets) < 0).any():
        raise FacedetError(
            f"{path}: offsets do not divide {len(rows)} rows among {len(names)} names"
        )
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise FacedetError(f"{path}: row {bad} is not finite: {rows[bad].tolist()}")
    found = {
        without_suffix(str(name)): rows[start:end]
        for name, start, end in zip(names, offsets[:-1], offsets[1:], strict=True)
    }
    if len(found) != len(names):
        raise FacedetError(f"{path}: {len(names) - len(found)} names stand there twice")
    return found


@dataclass(frozen=True)
class EventFiles:
    """Writes each picture's detections as soon as they are there: `folder/EVENT/IMAGE.txt`.

    The defaults are EXTD's result files (arXiv 1906.06579, released code: w = x2 - x1 + 1, boxes
    with one decimal, scores with three).

    Args:
        folder: where the event folders lie.
        plus_one: added to x2 - x1 and y2 - y1.
        decimals: of x, y, w, h.
        score_decimals: of the score. Evaluators that count by thresholds see rounded scores as
            ties.
        truncate: x1, y1, x2 and y2 lose their decimals first, as SmallHardFace's release writes
            them: w = int(x2) - int(x1) with `plus_one` 0.
    """

    folder: str | Path
    plus_one: float = 1.0
    decimals: int = 1
    score_decimals: int = 3
    truncate: bool = False

    def has(self, name: str) -> bool:
        """Whether the file of the picture "EVENT/IMAGE" is there; it is written in one piece."""
        return Path(self.folder, f"{name}.txt").is_file()

    def add(self, name: str, detections: Detections) -> None:
        """Writes the file of the picture "EVENT/IMAGE", best first.

        Args:
            name: of the picture, without a suffix.
            detections: boxes [N, 4] xyxy pixels, scores [N].

        Raises:
            FacedetError: `name` leaves the folder, or the file cannot be written.
        """
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise FacedetError(f"'{name}' is no image name: expected EVENT/IMAGE")
        boxes, scores = best_first(detections)
        boxes = np.trunc(boxes) + 0.0 if self.truncate else boxes  # -0.0 + 0.0 is written 0, not -0
        sizes = boxes[:, 2:] - boxes[:, :2] + self.plus_one
        lines = [PurePosixPath(name).name, str(len(boxes))]
        for values, score in zip(np.hstack([boxes[:, :2], sizes]).tolist(), scores, strict=True):
            numbers = " ".join(f"{value:.{self.decimals}f}" for value in values)
            lines.append(f"{numbers} {score:.{self.score_decimals}f}")
        with replacing(Path(self.folder, f"{name}.txt"), durable=False) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Nothing is left to be written."""


def to_detections(rows: np.ndarray) -> Detections:
    """Rows [N, 5] of x, y, w, h, score as detections in float64; x2 is x + w."""
    x, y, width, height, scores = torch.tensor(rows, dtype=torch.float64).unbind(dim=1)
    return Detections(torch.stack([x, y, x + width, y + height], dim=1), scores)


def best_first(detections: Detections) -> tuple[np.ndarray, list[float]]:
    """Boxes [N, 4] float64 and scores [N] in the order in which result files have them."""
    order = detections.scores.argsort(descending=True, stable=True)
    return detections.boxes[order].double().cpu().numpy(), detections.scores[order].tolist()
