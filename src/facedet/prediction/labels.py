"""Predictions as text: JSON, CSV, and the labels that annotation tools read."""

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from facedet.data.readers.coco import coco_box
from facedet.data.readers.voc import voc_xml
from facedet.data.readers.yolo import yolo_line
from facedet.errors import FacedetError
from facedet.files import replacing

# What a writer takes: `file`, and what `Detections.to_dict` gives; of a video also `frame` (number)
# and `time` (s).
Image = Mapping[str, Any]
Add = Callable[[Image], None]

# Of yolo and voc there is a file per picture.
FILES = {
    "json": "predictions.json",
    "jsonl": "predictions.jsonl",
    "csv": "predictions.csv",
    "coco": "predictions.coco.json",
}
_MARK = ".facedet-labels"  # beside a folder of labels that were written here


class Text(Protocol):
    """Whatever text can be written to."""

    def write(self, text: str, /) -> object:
        """Takes a text."""


def label_path(folder: Path, kind: str) -> Path:
    """The file, or the folder of files, that `writing_labels` makes in a folder."""
    return folder / FILES.get(kind, "labels")


@contextmanager
def writing_labels(folder: Path, kind: str, stems: Mapping[str, str]) -> Iterator[Add]:
    """A function that adds the faces of a picture to files in `folder`, of a `kind`.

    - json: `predictions.json`, `{"images": [{file, width, height, faces: [{box, score}]}]}`.
    - jsonl: `predictions.jsonl`, such an object per line.
    - csv: `predictions.csv`, a row per face.
    - yolo: `labels/STEM.txt`, lines of `0 cx cy w h`, parts of the picture's sides (a score
      would be a sixth column, which trainers refuse); empty where there is no face.
    - coco: `predictions.coco.json`, with images, categories, and annotations that have a score.
    - voc: `labels/STEM.xml`.

    Files take their places at the end; memory does not grow with the number of pictures. `stems`
    has by `file` the stem of the files made of it, to which a frame's number is added.

    Raises:
        FacedetError: it cannot be written, or `labels` holds what was not written here.
    """
    path = label_path(folder, kind)
    if kind not in FILES:
        # Beside a folder of pictures it is the name of somebody's annotations.
        if path.is_dir() and any(path.iterdir()) and not (folder / _MARK).exists():
            raise FacedetError(
                f"{path}: holds files that facedet did not write; choose another folder"
            )
        yield partial(_write_labels, path, kind, stems)
        return
    with (
        replacing(path) as aside,
        aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        _coco(stream, stems) if kind == "coco" else text_writer(stream, kind) as add,
    ):
        yield add


def text_writer(stream: Text, kind: str, between: str = ",\n") -> AbstractContextManager[Add]:
    """Writes `json`, with `between` two pictures, `jsonl` or `csv` to an open stream."""
    if kind == "json":
        return _json(stream, between)
    return _json_lines(stream) if kind == "jsonl" else _csv(stream)


def _write_labels(folder: Path, kind: str, stems: Mapping[str, str], image: Image) -> None:
    suffix = "txt" if kind == "yolo" else "xml"
    size, faces = (image["height"], image["width"]), image["faces"]
    if kind == "yolo":
        text = "".join(yolo_line(face["box"], size) for face in faces)
    else:
        scored = [(face["box"], {"difficult": 0, "score": face["score"]}) for face in faces]
        text = voc_xml(_file_name(image, stems), size, scored)
    with replacing(folder / f"{image_stem(image, stems)}.{suffix}", durable=False) as aside:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")
        (folder.parent / _MARK).touch()


@contextmanager
def _json(stream: Text, between: str) -> Iterator[Add]:
    stream.write('{"images": [')
    before = ""

    def add(image: Image) -> None:
        nonlocal before
        stream.write(before + json.dumps(image))
        before = between

    yield add
    stream.write("]}\n")


@contextmanager
def _json_lines(stream: Text) -> Iterator[Add]:
    def add(image: Image) -> None:
        stream.write(json.dumps(image) + "\n")

    yield add


@contextmanager
def _csv(stream: Text) -> Iterator[Add]:
    table = csv.writer(stream)
    table.writerow(["file", "width", "height", "x1", "y1", "x2", "y2", "score", "frame", "time"])

    def add(image: Image) -> None:
        about = [image["file"], image["width"], image["height"]]
        when = [image.get("frame", ""), image.get("time", "")]
        table.writerows([*about, *face["box"], face["score"], *when] for face in image["faces"])

    yield add


def image_stem(image: Image, stems: Mapping[str, str]) -> str:
    """Of the files made of a picture, or of a frame, whose number is added."""
    stem = stems[image["file"]]
    return f"{stem}_{image['frame']:06}" if "frame" in image else stem


def _file_name(image: Image, stems: Mapping[str, str]) -> str:
    """Of the picture; of a frame the name of its labels, as if it were a file."""
    return f"{image_stem(image, stems)}.jpg" if "frame" in image else image["file"]


@contextmanager
def _coco(stream: Text, stems: Mapping[str, str]) -> Iterator[Add]:
    """Pictures first, annotations after them: until then these wait in a file."""
    images = annotations = 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as waiting:

        def add(image: Image) -> None:
            nonlocal images, annotations
            before = ",\n" if images else ""
            images += 1
            size = {"width": image["width"], "height": image["height"]}
            entry = {"id": images, "file_name": _file_name(image, stems), **size}
            stream.write(before + json.dumps(entry))
            for face in image["faces"]:
                before = ",\n" if annotations else ""
                annotations += 1
                ids = {"id": annotations, "image_id": images, "category_id": 1}
                waiting.write(
                    before + json.dumps({**ids, **coco_box(face["box"]), "score": face["score"]})
                )

        stream.write('{"images": [')
        yield add
        stream.write('],\n"categories": [{"id": 1, "name": "face"}],\n"annotations": [')
        waiting.seek(0)
        shutil.copyfileobj(waiting, stream)
        stream.write("]}\n")
