"""Where a data set in YOLO's format keeps its pictures and labels, and what its data.yaml says."""

import math
import os
from pathlib import Path
from typing import NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.data.images import PICTURE_SUFFIXES
from facedet.data.readers.layout import SPELLINGS, UNSPLIT, spellings, stem_of
from facedet.data.readers.listing import quoted
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError

SETTINGS = "data.yaml"
CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_PLACES = "expected folders or text files of pictures"
LANDMARKS = (15, 20)  # columns of a box and five points, without and with their visibility


class Settings(NamedTuple):
    """What data.yaml says; empty where there is none."""

    names: dict[int, str]  # of the classes, by number
    places: dict[str, list[Path]]  # folders and lists of pictures, by the split as it is spelt
    columns: tuple[int, ...] = LANDMARKS  # numbers of a line that holds landmarks


def read_settings(root: Path) -> Settings:
    """Reads ROOT/data.yaml or, for the names alone, a list of one name per line.

    Places that are not there are left out: files often keep those of another machine.

    Raises:
        FacedetError: the file cannot be read, or names or places are not what they should be.
    """
    files = [root / SETTINGS, root / "data.yml", root / "dataset.yaml"]
    source = next((file for file in files if file.is_file()), None)
    if source is None:
        return Settings(_class_list(root), {})
    try:
        content = yaml.safe_load(read_text(source))
    except FacedetError:
        raise
    # PyYAML's constructors raise almost anything on what does not fit: KeyError, IndexError.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FacedetError(f"{source} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{source} is {quoted(content)}, expected names of the classes")
    names = content.get("names", {})
    if isinstance(names, str | list):
        names = dict(enumerate([names] if isinstance(names, str) else names))
    if not isinstance(names, dict) or not all(str(key).isdecimal() for key in names):
        raise FacedetError(f"{source}: names is {quoted(names)}, expected a list of names")
    places: dict[str, list[Path]] = {}
    for word in (word for words in SPELLINGS.values() for word in words if content.get(word)):
        given = content[word] if isinstance(content[word], list) else [content[word]]
        if not all(isinstance(place, str) for place in given):
            raise FacedetError(f"{source}: {word} is {quoted(content[word])}, {_PLACES}")
        found = [existing(root, str(content.get("path") or ""), place) for place in given]
        places[word] = [place for place in found if place is not None]
        wrong = [place for place in places[word] if place.is_file() and place.suffix != ".txt"]
        if wrong:
            raise FacedetError(f"{source}: {word} is {quoted(content[word])}, {_PLACES}")
    shape = content.get("kpt_shape")
    columns: tuple[int, ...] = LANDMARKS
    if isinstance(shape, list) and all(isinstance(side, int) for side in shape):
        columns = (5 + math.prod(shape),)
    return Settings({int(key): str(name) for key, name in names.items()}, places, columns)


def _class_list(root: Path) -> dict[int, str]:
    """The names in a list, as labelling tools leave it beside the labels."""
    folders = (root, root / "labels", root / "labels" / "train", root / "train")
    for source in (folder / name for folder in folders for name in CLASS_LISTS):
        if source.is_file():
            lines = map(str.strip, read_text(source).splitlines())
            return dict(enumerate(filter(None, lines)))
    return {}


def existing(root: Path, base: str, place: str) -> Path | None:
    """What a path in data.yaml or in a list leads to; None where nothing is there.

    Exports by Roboflow climb once too often ("../train/images"), others keep folders of another
    machine: leading folders are dropped until something is there.
    """
    place = place.strip().replace("\\", "/")
    parts = [part for part in place.split("/") if part not in ("", ".", "..")]
    # A name alone would fit too much.
    shorter = [root / "/".join(parts[at:]) for at in range(max(1, len(parts) - 1))]
    ways = [root / base / place, *shorter, root / base / "/".join(parts)]
    return next((way for way in ways if os.path.exists(way)), None)


def find_places(root: Path, split: str, settings: Settings) -> list[Path]:
    """The folders or lists of a split's pictures; none where there are none."""
    words = spellings(split)
    named = [place for word in words for place in settings.places.get(word, [])]
    labelled = [place for place in named if _is_labelled(root, place)]
    if labelled:
        return labelled
    guesses = [root / "images" / word for word in words]
    guesses += [root / word / "images" for word in words]
    guesses += [root / word for word in words] + [root / f"{word}.txt" for word in words]
    if split == UNSPLIT:
        guesses += [root / "images", root / "obj_train_data", root]
    return next(([place] for place in guesses if _is_labelled(root, place)), [])


def _is_labelled(root: Path, place: Path) -> bool:
    """Whether a place holds pictures with YOLO's labels."""
    if place.is_file():
        return any(map(_is_picture, read_text(place).splitlines()[:1]))
    labels = label_folder(place)
    if labels != place:
        return not any(labels.rglob("*.xml"))
    names = {path.name for path in place.glob("*")}
    return any(_is_picture(name) and f"{stem_of(name)}.txt" in names for name in names)


def _is_picture(name: str) -> bool:
    return os.path.splitext(name.strip())[1].lower() in PICTURE_SUFFIXES


def label_folder(pictures: Path) -> Path:
    """Where the labels of a folder of pictures are: in `beside_images`, or with the pictures."""
    labels = beside_images(pictures)
    return labels if labels.is_dir() else pictures


def beside_images(path: Path) -> Path:
    """The path with its last "images" replaced by "labels"."""
    parts = list(path.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def listed_pictures(root: Path, source: Path) -> list[Path]:
    """The pictures that a text file lists, one a line, whether or not they are there."""
    lines = [line.strip() for line in read_text(source).splitlines() if line.strip()]
    return [
        existing(root, "", line) or existing(source.parent, "", line) or root / line
        for line in lines
    ]
