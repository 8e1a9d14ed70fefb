"""Predictions as files: JSON, CSV, and the labels that annotation tools read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from facedet.files import replacing, replacing_table


def write_predictions(
    folder: Path, images: Sequence[Mapping[str, Any]], stems: Mapping[str, str], kind: str
) -> Path:
    """Writes what was found in all pictures.

    - json: `predictions.json`, `{"images": [{file, width, height, faces: [{box, score}]}]}`.
    - csv: `predictions.csv`, a row per face.
    - yolo: `labels/STEM.txt`, lines of `0 cx cy w h`, parts of the picture's sides (a score
      would be a sixth column, which trainers refuse); empty where there is no face.
    - coco: `predictions.coco.json`, with images, categories, and annotations that have a score.
    - voc: `labels/STEM.xml`.

    Args:
        folder: of the files.
        images: by picture `file`, and what `Detections.to_dict` gives.
        stems: by `file`, the stem of the files made of it.
        kind: one of these words.

    Returns:
        The file, or the folder of files.

    Raises:
        FacedetError: it cannot be written.
    """
    if kind == "json":
        return _write(folder / "predictions.json", json.dumps({"images": images}, indent=1))
    if kind == "csv":
        return _write_csv(folder / "predictions.csv", images)
    if kind == "coco":
        return _write(folder / "predictions.coco.json", json.dumps(_coco(images), indent=1))
    suffix, text = ("txt", _yolo) if kind == "yolo" else ("xml", _voc)
    labels = folder / "labels"
    for image in images:
        _write(labels / f"{stems[image['file']]}.{suffix}", text(image))
    return labels


def _write(path: Path, text: str) -> Path:
    with replacing(path, durable=False) as aside:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def _write_csv(path: Path, images: Sequence[Mapping[str, Any]]) -> Path:
    with replacing_table(path, errors="backslashreplace") as table:
        table.writerow(["file", "width", "height", "x1", "y1", "x2", "y2", "score"])
        for image in images:
            about = [image["file"], image["width"], image["height"]]
            table.writerows([*about, *face["box"], face["score"]] for face in image["faces"])
    return path


def _yolo(image: Mapping[str, Any]) -> str:
    width, height = image["width"], image["height"]
    lines = []
    for face in image["faces"]:
        x1, y1, x2, y2 = face["box"]
        centre = f"{(x1 + x2) / 2 / width:.6f} {(y1 + y2) / 2 / height:.6f}"
        size = f"{(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}"
        lines.append(f"0 {centre} {size}\n")
    return "".join(lines)


def _coco(images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, start=1):
        for face in image["faces"]:
            x1, y1, x2, y2 = face["box"]
            w, h = round(x2 - x1, 2), round(y2 - y1, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [x1, y1, w, h],
                    "area": round(w * h, 2),
                    "iscrowd": 0,
                    "score": face["score"],
                }
            )
    return {
        "images": [
            {
                "id": number,
                "file_name": image["file"],
                "width": image["width"],
                "height": image["height"],
            }
            for number, image in enumerate(images, start=1)
        ],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": annotations,
    }


def _voc(image: Mapping[str, Any]) -> str:
    root = Xml.Element("annotation")
    Xml.SubElement(root, "filename").text = Path(image["file"]).name
    size = Xml.SubElement(root, "size")
    for key, value in (("width", image["width"]), ("height", image["height"]), ("depth", 3)):
        Xml.SubElement(size, key).text = str(value)
    for face in image["faces"]:
        thing = Xml.SubElement(root, "object")
        for key, value in (("name", "face"), ("difficult", 0), ("score", face["score"])):
            Xml.SubElement(thing, key).text = str(value)
        corners = Xml.SubElement(thing, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), face["box"], strict=True):
            Xml.SubElement(corners, key).text = f"{value:g}"
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"
