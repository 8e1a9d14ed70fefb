"""Where a data set in YOLO's form keeps its pictures and labels, and what its data.yaml says."""

import os
from pathlib import Path
from typing import NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.data.readers.listing import quoted
from facedet.data.readers.own_folders import SPELLINGS, UNSPLIT, spellings
from facedet.errors import FacedetError

SETTINGS = "data.yaml"
CLASSES = "classes.txt"


class YoloSettings(NamedTuple):
    """What data.yaml says; empty where there is none."""

    names: dict[int, str]  # of the classes, by number
    folders: dict[str, Path]  # of the pictures, by the split as it is spelt there


def read_settings(root: Path) -> YoloSettings:
    """Reads ROOT/data.yaml or, for the names alone, a classes.txt of one name per line.

    Folders that are not there are left out: files often keep those of another machine.

    Raises:
        FacedetError: the file cannot be read, or names or folders are not what they should be.
    """
    source = root / SETTINGS
    if not source.is_file():
        return YoloSettings(_class_list(root), {})
    try:
        content = yaml.safe_load(source.read_bytes())
    except OSError as error:
        raise FacedetError(f"{source} cannot be read ({error.strerror})") from error
    # PyYAML's constructors raise almost anything on what does not fit: KeyError, IndexError.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FacedetError(f"{source} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{source} is {quoted(content)}: names of the classes are wanted")
    names = content.get("names", {})
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(type(key) is int for key in names):
        raise FacedetError(f"{source}: names is {quoted(names)}: a list of names is wanted")
    folders = {}
    for word in (word for words in SPELLINGS.values() for word in words if content.get(word)):
        place = content[word]
        if isinstance(place, list) and len(place) == 1:
            place = place[0]
        if not isinstance(place, str):
            raise FacedetError(f"{source}: {word} is {quoted(place)}: one folder is wanted")
        found = _existing(root, str(content.get("path") or ""), place)
        if found is not None and not found.is_dir():
            raise FacedetError(f"{source}: {word} is {quoted(place)}, which is no folder")
        if found is not None:
            folders[word] = found
    return YoloSettings({key: str(name) for key, name in names.items()}, folders)


def find_folders(root: Path, split: str, settings: YoloSettings) -> tuple[Path, Path] | None:
    """The folders of a split's pictures and labels; None where there are none.

    A label lies where its picture does, with the last "images" of the path replaced by "labels".
    """
    words = spellings(split)
    places = [settings.folders[word] for word in words if word in settings.folders]
    places += [root / "images" / word for word in words]
    places += [root / word / "images" for word in words]
    if split == UNSPLIT:
        places.append(root / "images")
    for pictures in places:
        parts = list(pictures.parts)
        if "images" not in parts:
            continue
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        labels = Path(*parts)
        if labels.is_dir():
            return pictures, labels
    return None


def _existing(root: Path, base: str, place: str) -> Path | None:
    """What a path in data.yaml leads to; None where nothing is there."""
    # Exports by Roboflow climb once too often: "../train/images".
    for path in (root / base / place, root / place, root / place.removeprefix("../")):
        if os.path.exists(path):
            return path
    return None


def _class_list(root: Path) -> dict[int, str]:
    """The names in a classes.txt, as labelling tools leave it beside the labels."""
    for source in (root / CLASSES, root / "labels" / CLASSES):
        if source.is_file():
            try:
                lines = source.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise FacedetError(f"{source} cannot be read: {error}") from error
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    return {}
