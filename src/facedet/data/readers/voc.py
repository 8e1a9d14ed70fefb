"""Pascal VOC's XML files (Everingham et al., 2010): a folder becomes records, and back.

ROOT/Annotations/**.xml, ROOT/JPEGImages, ROOT/ImageSets/Main/{train,val}.txt
or ROOT/Annotations/{train,val}, ROOT/JPEGImages/{train,val}
or ROOT/{train,valid}/Annotations, ROOT/{train,valid}/JPEGImages
or ROOT/{train,valid} with the XML files beside the pictures

"annotations" and "images" do as well. Corners are taken as they stand: some tools count pixels
from 1, some from 0, and the files do not say which.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Unpack
from xml.etree.ElementTree import Element, SubElement, TreeBuilder, indent, tostring
from xml.parsers import expat

import numpy as np

from facedet.data.readers.listing import (
    Complain,
    Listed,
    Listing,
    clean_path,
    decimal,
    quoted,
    refuse,
    stem_of,
)
from facedet.data.readers.own import Choices, to_reading
from facedet.data.readers.own_folders import UNSPLIT, find_files, spellings, splits_by
from facedet.errors import FacedetError
from facedet.structures import Reading

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_XML = frozenset((".xml",))


class _Places(NamedTuple):
    """Where a split's files are."""

    annotations: Path
    pictures: Path
    listed: Path | None = None  # the file that names the pictures; None: all XML files


def read_voc(
    root: str | Path,
    split: str,
    *,
    classes: str | Sequence[str] = "face",
    **choices: Unpack[Choices],
) -> Reading:
    """Reads a split of a data set in Pascal VOC's form; the pictures are not opened.

    Args:
        root: the data set's folder.
        split: "train", "val", "test", or "all" where the data has no splits.
        classes: names of the objects that are faces, or "all"; see `own_data.select_faces`.
        **choices: see `own_data.to_reading`.

    Returns:
        As `own_data.to_reading`; difficult objects are to be ignored.

    Raises:
        FacedetError: a picture or file is missing, or an annotation is malformed.
        UsageError: an argument is none of its choices.
    """
    return to_reading(list_voc(root, split), split, classes, **choices)


def voc_splits(root: Path) -> list[str]:
    """The splits of a data set in Pascal VOC's form; none where it holds something else."""
    return splits_by(lambda split: _find_places(root, split) is not None)


def list_voc(root: str | Path, split: str, complain: Complain = refuse) -> Listing:
    """Lists the pictures and boxes of a split.

    Args:
        root: the data set's folder.
        split: its name.
        complain: called with each malformed file or object, which is passed over.

    Raises:
        FacedetError: the annotations are missing.
    """
    root = Path(root)
    places = _find_places(root, split)
    if places is None:
        raise FacedetError(
            f"{root}: no annotations of {split}; looked for ImageSets/Main/{split}.txt, "
            f"Annotations/{split}, {split}/Annotations and {split}/*.xml"
        )
    on_disk = {stem_of(file): file for file in reversed(find_files(places.pictures))}
    classes: dict[str, int] = {}
    pictures = []
    for stem in _stems(places):
        path = places.annotations / f"{stem}.xml"
        try:
            annotation = _parse(path)
        except FacedetError as error:
            complain(str(error))
            continue
        suffix = PurePosixPath(annotation.findtext("filename", "")).suffix or ".jpg"
        file = on_disk.get(stem, f"{stem}{suffix}")
        pictures.append(_listed(annotation, path, file, places.pictures, classes, complain))
    source = places.listed or places.annotations
    return Listing(pictures, source, places.pictures, "object {}", tuple(classes))


def write_voc(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes ROOT/Annotations/SPLIT/**.xml for ROOT/JPEGImages/SPLIT, and ImageSets/Main.

    Args:
        root: the new data set's folder.
        splits: by name, pictures with their sizes; all boxes are faces.

    Returns:
        What the format could not hold, in words: nothing.
    """
    (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
    for split, pictures in splits.items():
        for one in pictures:
            path = root / "Annotations" / split / f"{stem_of(one.file)}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            annotation = _to_xml(one)
            indent(annotation)
            path.write_bytes(tostring(annotation, encoding="utf-8"))
        names = "".join(f"{split}/{stem_of(one.file)}\n" for one in pictures)
        listed = root / "ImageSets" / "Main" / f"{split}.txt"
        listed.write_text(names, encoding="utf-8")
    return []


def _find_places(root: Path, split: str) -> _Places | None:
    """Where a split's files are; None where there are none."""
    annotations, pictures = _pair(root)
    places, beside = [], []
    for word in spellings(split):
        places.append(_Places(annotations / word, pictures / word))
        places.append(_Places(*_pair(root / word)))
        listed = root / "ImageSets" / "Main" / f"{word}.txt"
        if listed.is_file():
            places.append(_Places(annotations, pictures, listed))
        beside.append(root / word)
    if split == UNSPLIT:
        places.append(_Places(annotations, pictures))
        beside.append(root)
    for place in places:
        if place.listed is not None or next(place.annotations.rglob("*.xml"), None):
            return place
    for folder in beside:
        if next(folder.glob("*.xml"), None):
            return _Places(folder, folder)
    return None


def _pair(root: Path) -> tuple[Path, Path]:
    """The folders of annotations and of pictures in a folder."""
    names = (("Annotations", "annotations"), ("JPEGImages", "images"))
    annotations, pictures = (
        next((root / name for name in pair if (root / name).is_dir()), root / pair[0])
        for pair in names
    )
    return annotations, pictures


def _stems(places: _Places) -> Iterator[str]:
    """The pictures of a split, without suffix: as listed, or all that have an XML file."""
    if places.listed is None:
        yield from map(stem_of, find_files(places.annotations, _XML))
        return
    try:
        lines = places.listed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FacedetError(f"{places.listed} cannot be read: {error}") from error
    # The lists of single classes have a second column.
    yield from (clean_path(line.split()[0]) for line in lines if line.split())


def _parse(path: Path) -> Element:
    """The root of an XML file; one with a document type is refused, for only that can do harm."""

    def refuse_type(*_: object) -> None:
        raise FacedetError(f"{path}: has a document type (DOCTYPE), which is not read")

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_type
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise FacedetError(f"{path} cannot be read ({error.strerror})") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise FacedetError(f"{path} cannot be read as XML: {error}") from error
    annotation = builder.close()
    if annotation.tag != "annotation":
        raise FacedetError(f"{path}: the root is {quoted(annotation.tag)}, wanted annotation")
    return annotation


def _listed(
    annotation: Element,
    path: Path,
    file: str,
    folder: Path,
    classes: dict[str, int],
    complain: Complain,
) -> Listed:
    """One picture; classes that are new join `classes`."""
    boxes, ignore, kinds, places = [], [], [], []
    for number, item in enumerate(annotation.findall("object"), start=1):
        # Looking for paths such as bndbox/xmin would take most of the time.
        parts = {part.tag: part for part in item}
        name, difficult = (_text(parts.get(key)) for key in ("name", "difficult"))
        corners = {corner.tag: _text(corner) for corner in parts.get("bndbox", ())}
        try:
            box = [float(corners.get(key, "")) for key in _CORNERS]
        except ValueError:
            wish = "four numbers are wanted"
            complain(f"{path}, object {number}: bndbox is {quoted(corners)}: {wish}")
            continue
        if not name:
            complain(f"{path}, object {number}: has no name, the class is wanted")
            continue
        boxes.append(box)
        ignore.append(difficult == "1")
        kinds.append(classes.setdefault(name, len(classes)))
        places.append(number)
    return Listed(
        file,
        folder / file,
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(ignore, dtype=bool),
        np.array(kinds, dtype=np.int64),
        np.array(places, dtype=np.int64),
        _size(annotation),
        path,
    )


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _size(annotation: Element) -> tuple[int, int] | None:
    """(height, width) where both are whole numbers above 0."""
    texts = [_text(annotation.find(f"size/{key}")) for key in ("height", "width")]
    if all(text.isdecimal() and len(text) < 10 for text in texts):
        height, width = map(int, texts)
        return (height, width) if height and width else None
    return None


def _to_xml(one: Listed) -> Element:
    """The annotation of one picture."""
    annotation = Element("annotation")
    SubElement(annotation, "filename").text = PurePosixPath(one.file).name
    height, width = one.size or (0, 0)
    size = SubElement(annotation, "size")
    for key, side in (("width", width), ("height", height), ("depth", 3)):
        SubElement(size, key).text = str(side)
    for box, is_ignored in zip(one.boxes.tolist(), one.ignore.tolist(), strict=True):
        item = SubElement(annotation, "object")
        SubElement(item, "name").text = "face"
        SubElement(item, "difficult").text = str(int(is_ignored))
        corners = SubElement(item, "bndbox")
        for key, value in zip(_CORNERS, box, strict=True):
            SubElement(corners, key).text = decimal(value)
    return annotation
