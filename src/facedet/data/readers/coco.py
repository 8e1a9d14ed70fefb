"""COCO's annotation files (Lin et al., 2014).

ROOT/annotations/instances_{train,val}*.json     or ROOT/{train,val}.json,
                                                 or ROOT/{train,valid}/_annotations.coco.json,
                                                 or ROOT/result.json, as Label Studio writes it
The pictures are looked for as `layout.find_pictures` says. Boxes are x, y, w, h; crowds are to be
ignored.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.data.readers.layout import (
    clean_path,
    describe_places,
    find_annotations,
    find_pictures,
    splits_by,
)
from facedet.data.readers.listing import Complain, Listed, Listing, Row, listed, quoted, refuse
from facedet.data.readers.own import Format
from facedet.errors import FacedetError

_SUFFIX = ".json"


class Coco(Format):
    """A folder of COCO's files."""

    title = "COCO"
    mark = "annotations/*.json"

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        return splits_by(lambda split: find_annotations(root, split, _SUFFIX) is not None)

    def list_pictures(self, root: str | Path, split: str, complain: Complain = refuse) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        source = find_annotations(root, split, _SUFFIX)
        if source is None:
            raise self.no_annotations(root, split, describe_places(root, split, _SUFFIX))
        content = _load(source)
        images = _images(content, source, complain)
        names = _categories(content, source, complain)
        rows: dict[Any, list[Row]] = {key: [] for key in images}
        seen: dict[Any, str] = dict(names)
        for at, entry in enumerate(_entries(content, "annotations", source)):
            place = f"{source}: annotations[{at}]"
            image, category = _key(entry.get("image_id")), _key(entry.get("category_id", 0))
            box = _box(entry.get("bbox"))
            if image not in rows:
                complain(f"{place}: there is no image {quoted(entry.get('image_id'))}")
            elif names and category not in names:
                complain(f"{place}: there is no category {quoted(entry.get('category_id'))}")
            elif box is None:
                text = quoted(entry.get("bbox"))
                complain(f"{place}: the bbox {text} is not four numbers x, y, w, h")
            else:
                is_ignored = any(entry.get(flag) in (1, "1") for flag in ("iscrowd", "ignore"))
                kind = seen.setdefault(category, str(category))
                rows[image].append(Row(box, at, kind, is_ignored))
        folder, files = find_pictures(root, split, source, [file for file, _ in images.values()])
        pictures = [
            listed(clean_path(file), folder / file, rows[key], size)
            for file, (key, (_, size)) in zip(files, images.items(), strict=True)
        ]
        return Listing(pictures, source, folder, "annotations[{}]", tuple(seen.values()))

    def write(self, root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
        """Writes ROOT/annotations/instances_SPLIT.json; the format holds everything."""
        (root / "annotations").mkdir(exist_ok=True)
        for split, pictures in splits.items():
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for number, one in enumerate(pictures, start=1):
                height, width = one.size or (0, 0)
                images.append(
                    {"id": number, "file_name": one.file, "width": width, "height": height}
                )
                for (x1, y1, x2, y2), is_ignored in zip(
                    one.boxes.tolist(), one.ignore.tolist(), strict=True
                ):
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


read_coco = Coco().read


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
        raise FacedetError(f"{source}: {key} is {quoted(entries)}, expected a list")
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise FacedetError(f"{source}: {key}[{at}] is {quoted(entry)}, expected an object")
    return entries


def _images(
    content: dict[str, Any], source: Path, complain: Complain
) -> dict[Any, tuple[str, tuple[int, int] | None]]:
    """By id, the path and the (height, width) of each picture."""
    images: dict[Any, tuple[str, tuple[int, int] | None]] = {}
    for at, entry in enumerate(_entries(content, "images", source)):
        key, file = _key(entry.get("id")), entry.get("file_name")
        if key is None or key in images:
            text = f"the id {quoted(entry.get('id'))}, expected a number of its own"
            complain(f"{source}: images[{at}] has {text}")
        elif not isinstance(file, str) or not clean_path(file):
            complain(f"{source}: images[{at}] has the file_name {quoted(file)}, expected a path")
        else:
            images[key] = file.replace("\\", "/"), _size(entry.get("height"), entry.get("width"))
    return images


def _categories(content: dict[str, Any], source: Path, complain: Complain) -> dict[Any, str]:
    """By id, the names of the categories; none where the file lists none."""
    names: dict[Any, str] = {}
    for at, entry in enumerate(_entries({"categories": [], **content}, "categories", source)):
        key, name = _key(entry.get("id")), entry.get("name")
        if key is None or not isinstance(name, str):
            complain(f"{source}: categories[{at}] is {quoted(entry)}, expected an id and a name")
        else:
            names[key] = name
    return names


def _box(value: object) -> list[float] | None:
    """The box xyxy of x, y, w, h; None where the value is something else."""
    try:
        numbers = np.array(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    if numbers.shape != (4,):
        return None
    x, y, w, h = numbers.tolist()
    return [x, y, x + w, y + h]


def _key(value: object) -> object:
    """An id that can be looked up; None for what cannot be one."""
    return value if isinstance(value, int | str | float) else None


def _size(height: object, width: object) -> tuple[int, int] | None:
    """The size where both sides are whole numbers above 0."""
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height, width
    return None
