"""COCO's annotation files (Lin et al., 2014): a folder becomes records, and back.

ROOT/annotations/instances_{train,val}*.json     or ROOT/{train,val}.json,
                                                 or ROOT/{train,valid}/_annotations.coco.json
The pictures are looked for as `own_folders.find_picture_folder` says.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from facedet.data.readers.listing import Complain, Listed, Listing, clean_path, quoted, refuse
from facedet.data.readers.own import Choices, to_reading
from facedet.data.readers.own_folders import (
    find_annotations,
    find_picture_folder,
    require_annotations,
    splits_by,
)
from facedet.errors import FacedetError
from facedet.structures import Reading

_SUFFIX = ".json"


def read_coco(
    root: str | Path,
    split: str,
    *,
    classes: str | Sequence[str] = "face",
    **choices: Unpack[Choices],
) -> Reading:
    """Reads a split of a data set in COCO's form; the pictures are not opened.

    Args:
        root: the data set's folder.
        split: "train", "val", "test", or "all" where the data has no splits.
        classes: names of the categories that are faces, or "all"; see `own_data.select_faces`.
        **choices: see `own_data.to_reading`.

    Returns:
        As `own_data.to_reading`: boxes xyxy with x2 = x + w; crowds are to be ignored.

    Raises:
        FacedetError: a picture or file is missing, or an annotation is malformed.
        UsageError: an argument is none of its choices.
    """
    return to_reading(list_coco(root, split), split, classes, **choices)


def coco_splits(root: Path) -> list[str]:
    """The splits of a data set in COCO's form; none where the folder holds something else."""
    return splits_by(lambda split: find_annotations(root, split, _SUFFIX) is not None)


def list_coco(root: str | Path, split: str, complain: Complain = refuse) -> Listing:
    """Lists the pictures and boxes of a split.

    Args:
        root: the data set's folder.
        split: its name.
        complain: called with each malformed entry, which is passed over.

    Raises:
        FacedetError: the file is missing, or is no JSON of COCO's form.
    """
    root = Path(root)
    source = require_annotations(root, split, _SUFFIX)
    content = _load(source)
    images = _images(content, source, complain)
    names = _categories(content, source, complain)
    annotations = _entries(content, "annotations", source)
    boxes, is_box = _boxes([entry.get("bbox") for entry in annotations])
    rows: dict[Any, list[int]] = {key: [] for key in images}
    kinds = np.zeros(len(annotations), dtype=np.int64)
    seen: dict[Any, int] = {key: at for at, key in enumerate(names)}
    for at, entry in enumerate(annotations):
        place = f"{source}: annotations[{at}]"
        image, category = _key(entry.get("image_id")), _key(entry.get("category_id", 0))
        if image not in rows:
            complain(f"{place}: there is no image {quoted(entry.get('image_id'))}")
        elif names and category not in names:
            complain(f"{place}: there is no category {quoted(entry.get('category_id'))}")
        elif not is_box[at]:
            complain(
                f"{place}: the bbox {quoted(entry.get('bbox'))} is not four numbers x, y, w, h"
            )
        else:
            rows[image].append(at)
            kinds[at] = seen.setdefault(category, len(seen))
    ignore = np.array([_is_set(entry, "iscrowd", "ignore") for entry in annotations], dtype=bool)
    folder = find_picture_folder(root, split, source, [path for path, _ in images.values()])
    pictures = []
    for (path, size), listed in zip(images.values(), rows.values(), strict=True):
        taken = np.array(listed, dtype=np.int64)
        about = (boxes[taken], ignore[taken], kinds[taken], taken, size)
        pictures.append(Listed(clean_path(path), folder / path, *about))
    classes = tuple(names.values()) or tuple(map(str, seen))
    return Listing(pictures, source, folder, "annotations[{}]", classes)


def write_coco(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes ROOT/annotations/instances_SPLIT.json for pictures in ROOT/images/SPLIT.

    Args:
        root: the new data set's folder.
        splits: by name, pictures with their sizes; all boxes are faces.

    Returns:
        What the format could not hold, in words: nothing.
    """
    (root / "annotations").mkdir(exist_ok=True)
    for split, pictures in splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, one in enumerate(pictures, start=1):
            height, width = one.size or (0, 0)
            images.append({"id": number, "file_name": one.file, "width": width, "height": height})
            for (x1, y1, x2, y2), is_ignored in zip(one.boxes.tolist(), one.ignore, strict=True):
                bbox = [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": 1,
                        "bbox": bbox,
                        "area": round(bbox[2] * bbox[3], 4),
                        "iscrowd": int(is_ignored),
                    }
                )
        categories = [{"id": 1, "name": "face", "supercategory": "face"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = root / "annotations" / f"instances_{split}{_SUFFIX}"
        path.write_text(json.dumps(content), encoding="utf-8")
    return []


def _load(source: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        content = json.loads(source.read_bytes())
    except OSError as error:
        raise FacedetError(f"{source} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise FacedetError(f"{source} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{source} holds no object with images, annotations and categories")
    return content


def _entries(content: dict[str, Any], key: str, source: Path) -> list[dict[str, Any]]:
    """The list of objects under a key."""
    entries = content.get(key)
    if not isinstance(entries, list):
        raise FacedetError(f"{source}: {key} is {quoted(entries)}, a list is wanted")
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise FacedetError(f"{source}: {key}[{at}] is {quoted(entry)}, an object is wanted")
    return entries


def _images(
    content: dict[str, Any], source: Path, complain: Complain
) -> dict[Any, tuple[str, tuple[int, int] | None]]:
    """By id, the path and the (height, width) of each picture."""
    images: dict[Any, tuple[str, tuple[int, int] | None]] = {}
    for at, entry in enumerate(_entries(content, "images", source)):
        key, file = _key(entry.get("id")), entry.get("file_name")
        if key is None or key in images:
            wish = "a number of its own is wanted"
            complain(f"{source}: images[{at}] has the id {quoted(entry.get('id'))}: {wish}")
        elif not isinstance(file, str) or not clean_path(file):
            complain(f"{source}: images[{at}] has the file_name {quoted(file)}: a path is wanted")
        else:
            size = entry.get("height"), entry.get("width")
            images[key] = file.replace("\\", "/"), _size(*size)
    return images


def _categories(content: dict[str, Any], source: Path, complain: Complain) -> dict[Any, str]:
    """By id, the names of the categories; none where the file lists none."""
    names: dict[Any, str] = {}
    for at, entry in enumerate(_entries({"categories": [], **content}, "categories", source)):
        key, name = _key(entry.get("id")), entry.get("name")
        if key is None or not isinstance(name, str):
            complain(f"{source}: categories[{at}] is {quoted(entry)}: an id and a name are wanted")
        else:
            names[key] = name
    return names


def _boxes(values: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [N, 4] float64 xyxy of values x, y, w, h, and which of them are four numbers [N]."""
    # All at once for speed; only where that fails each is looked at.
    boxes = _numbers(values, (len(values), 4))
    is_box = np.full(len(values), boxes is not None)
    if boxes is None:
        rows = [_numbers(value, (4,)) for value in values]
        is_box = np.array([row is not None for row in rows])
        boxes = np.array([np.zeros(4) if row is None else row for row in rows])
    with np.errstate(invalid="ignore", over="ignore"):  # whether they are finite is asked later
        boxes[:, 2:] += boxes[:, :2]
    return boxes, is_box


def _numbers(value: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """Nested lists as float64 of a shape; None where they are something else."""
    try:
        array = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    return array.reshape(shape) if array.shape == shape or 0 in shape else None


def _key(value: object) -> object:
    """An id that can be looked up; None for what cannot be one."""
    return value if isinstance(value, int | str | float) else None


def _is_set(entry: dict[str, Any], *flags: str) -> bool:
    return any(entry.get(flag) in (1, "1") for flag in flags)


def _size(height: object, width: object) -> tuple[int, int] | None:
    """The size where both sides are whole numbers above 0."""
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height, width
    return None
