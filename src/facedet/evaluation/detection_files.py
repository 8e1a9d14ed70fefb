"""Reads detections: WIDER FACE's and FDDB's layouts, scored lines, and one compact .npz.

WIDER FACE: `DIR/EVENT/IMAGE.txt`, the image's name, the number of boxes, then one line
`x y w h score` per box (the submission format of Yang et al., 2016). The .npz holds `names` [I]
("EVENT/IMAGE"), `offsets` [I + 1] and `rows` [N, 5]: image i owns the rows
offsets[i]:offsets[i + 1].
"""

import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from facedet.data.readers.afw_pascal import picture_name
from facedet.data.readers.fddb import read_fddb_blocks
from facedet.data.readers.text import (
    Text,
    parse_numbers,
    read_blocks,
    read_text,
    without_suffix,
    zip_texts,
)
from facedet.errors import FacedetError
from facedet.structures import Detections


def read_detections(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the detections of a data set in WIDER FACE's layout.

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
    texts: Iterable[Text]
    if path.is_dir():
        files = sorted([*path.glob("*/*.txt"), *path.glob("*/*/*.txt")])
        archives = sorted(path.glob("*.npz"))
        if not files and len(archives) == 1:
            return _read_npz(archives[0])
        if not files:
            raise FacedetError(
                f"{path} holds no EVENT/IMAGE.txt and {len(archives)} .npz files: "
                "detections are text files in event folders, or exactly one .npz"
            )
        names = _image_names([file.relative_to(path).as_posix() for file in files], str(path))
        pairs = zip(files, names, strict=True)
        texts = ((str(file), name, read_text(file)) for file, name in pairs)
    elif path.suffix == ".npz" and path.is_file():
        return _read_npz(path)
    elif zipfile.is_zipfile(path):
        texts = zip_texts(path, partial(_image_names, source=str(path)), "no EVENT/IMAGE.txt")
    else:
        raise FacedetError(f"{path} is no folder, no zip and no .npz of detections")
    found: dict[str, np.ndarray] = {}
    for source, name, text in texts:
        if name in found:
            raise FacedetError(f"{source}: {name} has a second file of detections")
        found[name] = _parse_text(source, name, text)
    return found


def _image_names(keys: list[str], source: str) -> list[str]:
    """Maps relative paths of text files to "EVENT/IMAGE"; all must lie equally deep."""
    parts = [PurePosixPath(key).parts for key in keys]
    depth = 3 if parts and all(len(part) == 3 for part in parts) else 2
    for key, part in zip(keys, parts, strict=True):
        if len(part) != depth or (depth == 3 and part[0] != parts[0][0]) or ".." in part:
            raise FacedetError(f"{source}: {key} is not EVENT/IMAGE.txt like the other text files")
    return [f"{part[-2]}/{without_suffix(part[-1].removesuffix('.txt'))}" for part in parts]


def _parse_text(source: str, name: str, text: str) -> np.ndarray:
    """Rows [N, 5] of one image's text, whose first line may name the image in several ways."""

    def check_title(title: str, place: str) -> str:
        # "EVENT/IMAGE.jpg", "IMAGE.jpg" and "IMAGE" are all in use; another name is a mix-up.
        if picture_name(title) != name.rsplit("/", 1)[-1]:
            raise FacedetError(f"{place}: '{title[:80]}' names another image than {name}")
        return title

    blocks = [rows for _, rows, _ in read_blocks([(source, name, text)], (5,), np.inf, check_title)]
    if len(blocks) != 1:
        raise FacedetError(f"{source}: expected the image's name, a count, and a line per box")
    return blocks[0]


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads the compact form; see the module's first lines for its three arrays."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            names, offsets, rows = (stored[key] for key in ("names", "offsets", "rows"))
        rows = rows.astype(np.float64)
        texts = [without_suffix(name) for name in names.tolist()]
        is_sound = (
            rows.ndim == 2 and rows.shape[1] == 5 and bool(np.isfinite(rows).all())
            and offsets.dtype.kind in "iu" and offsets.shape == (len(texts) + 1,)
            and offsets[0] == 0 and offsets[-1] == len(rows) and (np.diff(offsets) >= 0).all()
        )  # fmt: skip
    # A damaged or foreign file fails in a dozen ways, up to a header that claims petabytes.
    except Exception as error:
        raise FacedetError(
            f"{path} cannot be read as names, offsets and rows of detections: {error}"
        ) from error
    if not is_sound or len(set(texts)) < len(texts):
        raise FacedetError(
            f"{path}: expected different names [I], offsets [I + 1] that rise from 0 to N, and "
            f"finite rows [N, 5], not {list(names.shape)}, {list(offsets.shape)} and "
            f"{list(rows.shape)}"
        )
    return dict(zip(texts, np.split(rows, offsets[1:-1]), strict=True)) if texts else {}


def read_fddb_detections(path: str | Path) -> dict[str, np.ndarray]:
    """Reads detections in FDDB's result layout from a file, a folder of them (folds), or a zip.

    Returns:
        By picture, float64 [N, 5] as x, y, w, h, score for rectangles, or [N, 6] as ra, rb,
        theta, cx, cy, score for ellipses (half axes px, radians), all of them alike.

    Raises:
        FacedetError: there is no such file, or a line is malformed.
    """
    return read_fddb_blocks(_texts(Path(path)), (5, 6))


def read_scored_lines(path: str | Path) -> dict[str, np.ndarray]:
    """Reads lines `name score x1 y1 x2 y2`, as AFW and Pascal Faces have them, from the same.

    Returns:
        By picture (without folder and suffix) float64 [N, 5] as x, y, w, h, score in pixels with
        w = x2 - x1, in the files' order. A picture without a detection is not in it.

    Raises:
        FacedetError: there is no such file, or a line is malformed.
    """
    found: dict[str, list[list[float]]] = {}
    for source, _, text in _texts(Path(path)):
        for number, line in enumerate(text.splitlines(), start=1):
            if words := line.split():
                place = f"{source}, line {number}"
                score, x1, y1, x2, y2 = parse_numbers(words[1:], (5,), place)
                row = [x1, y1, x2 - x1, y2 - y1, score]
                found.setdefault(picture_name(words[0]), []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def _texts(path: Path) -> Iterator[Text]:
    """Yields (source, name, text) of a .txt file, of those below a folder or of those in a zip."""
    if zipfile.is_zipfile(path):
        yield from zip_texts(path, list, "no .txt of detections")
        return
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise FacedetError(f"{path} holds no .txt of detections")
    for file in files:
        yield str(file), file.name, read_text(file)


def to_detections(rows: np.ndarray) -> Detections:
    """Rows [N, 5] of x, y, w, h, score as detections in float64; x2 is x + w."""
    x, y, width, height, scores = torch.tensor(rows, dtype=torch.float64).unbind(dim=1)
    return Detections(torch.stack([x, y, x + width, y + height], dim=1), scores)
