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

from facedet.data.images import read_size
from facedet.data.readers.layout import clean_path, find_pictures
from facedet.data.readers.own import Format, Listed, Listing, Row, box_of, quoted
from facedet.errors import FacedetError


class Coco(Format):
    """A folder of COCO's files."""

    title = "COCO"
    mark = "annotations/*.json"
    suffix = ".json"

    def list_pictures(self, root: str | Path, split: str) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        source = self.source(root, split)
        content = _load(source)
        problems: list[str] = []
        images: dict[Any, dict[str, Any]] = {}
        for at, entry in enumerate(content["images"]):
            key, file = _key(entry.get("id")), entry.get("file_name")
            if key is None or key in images:
                text = f"the id {quoted(entry.get('id'))}, expected a number of its own"
                problems.append(f"{source}: images[{at}] has {text}")
            elif not isinstance(file, str) or not clean_path(file):
                text = f"the file_name {quoted(file)}, expected a path"
                problems.append(f"{source}: images[{at}] has {text}")
            else:
                images[key] = entry
        names = {_key(one.get("id")): str(one.get("name")) for one in content["categories"]}
        rows, kinds = _rows(content["annotations"], images, names, source, problems)
        given = [one["file_name"].replace("\\", "/") for one in images.values()]
        folder, places = find_pictures(root, split, given)
        pictures = [
            Listed(file, path, rows[key], _size(one))
            for (file, path), (key, one) in zip(places, images.items(), strict=True)
        ]
        return Listing(pictures, source, folder, kinds, problems)


read_coco = Coco().read


def coco_box(box: Sequence[float], is_ignored: bool = False) -> dict[str, Any]:
    """What an annotation says of a box, xyxy pixels: `bbox` (x, y, w, h), `area`, `iscrowd`."""
    x1, y1, x2, y2 = box
    x, y, w, h = (round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1))
    return {"bbox": [x, y, w, h], "area": round(w * h, 4), "iscrowd": int(is_ignored)}


def write_coco(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes ROOT/annotations/instances_SPLIT.json; the format holds everything, so no notes."""
    (root / "annotations").mkdir()
    for split, pictures in splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, one in enumerate(pictures, start=1):
            height, width = read_size(one.path)
            images.append({"id": number, "file_name": one.file, "width": width, "height": height})
            for row in one.rows:
                ids = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
                annotations.append(ids | coco_box(row.box, row.is_ignored))
        categories = [{"id": 1, "name": "face", "supercategory": "face"}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = root / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    return []


def _load(source: Path) -> dict[str, list[dict[str, Any]]]:
    """The lists of objects in a JSON file: images, annotations and categories."""
    try:
        content = json.loads(source.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FacedetError(f"{source} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{source} holds no object with images, annotations and categories")
    content = {"categories": [], **content}
    for key in ("images", "annotations", "categories"):
        entries = content.get(key)
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise FacedetError(f"{source}: {key} is {quoted(entries)}, expected a list of objects")
    return content


def _rows(
    annotations: list[dict[str, Any]],
    images: Mapping[Any, Any],
    names: Mapping[Any, str],
    source: Path,
    problems: list[str],
) -> tuple[dict[Any, list[Row]], Sequence[str]]:
    rows: dict[Any, list[Row]] = {key: [] for key in images}
    kinds = dict.fromkeys(names.values())
    for at, entry in enumerate(annotations):
        image, category = _key(entry.get("image_id")), _key(entry.get("category_id", 0))
        box = box_of(entry["bbox"]) if isinstance(entry.get("bbox"), list) else None
        if image not in rows:
            text = f"there is no image {quoted(entry.get('image_id'))}"
        elif names and category not in names:
            text = f"there is no category {quoted(entry.get('category_id'))}"
        elif box is None:
            text = f"the bbox {quoted(entry.get('bbox'))} is not four finite numbers x, y, w, h"
        else:
            x, y, w, h = box
            kind = names.get(category, str(category))
            kinds.setdefault(kind)
            is_ignored = any(entry.get(flag) in (1, "1") for flag in ("iscrowd", "ignore"))
            rows[image].append(Row((x, y, x + w, y + h), f"annotations[{at}]", kind, is_ignored))
            continue
        problems.append(f"{source}: annotations[{at}]: {text}")
    return rows, tuple(kinds)


def _key(value: object) -> object:
    """An id that can be looked up; None for what cannot be one."""
    return value if isinstance(value, int | str | float) else None


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """The (height, width) of an image where both are whole numbers above 0."""
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height, width
    return None
