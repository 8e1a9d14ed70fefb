"""Pascal VOC's XML files (Everingham et al., 2010).

ROOT/Annotations/**.xml, ROOT/JPEGImages, ROOT/ImageSets/Main/{train,val}.txt
or ROOT/Annotations/{train,val}, ROOT/JPEGImages/{train,val}
or ROOT/{train,valid}/Annotations, ROOT/{train,valid}/JPEGImages
or ROOT/{train,valid} with the XML files beside the pictures

"annotations", "xmls" and "labels" do for the former, "images" for the latter. Corners are taken as
they stand: some tools count pixels from 1, some from 0, and the files do not say which. Difficult
objects are to be ignored.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, TreeBuilder, indent, tostring
from xml.parsers import expat

from facedet.data.readers.layout import (
    UNSPLIT,
    clean_path,
    find_files,
    match_files,
    spellings,
    splits_by,
    stem_of,
)
from facedet.data.readers.listing import (
    Complain,
    Listed,
    Listing,
    Row,
    decimal,
    listed,
    quoted,
    refuse,
)
from facedet.data.readers.own import Format
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_XML = frozenset((".xml",))


class _Places(NamedTuple):
    """Where a split's files are."""

    annotations: Path
    pictures: Path
    listed: Path | None = None  # the file that names the pictures; None: all XML files


class Voc(Format):
    """A folder of Pascal VOC's files."""

    title = "Pascal VOC"
    mark = "Annotations/*.xml"

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        return splits_by(lambda split: _find_places(root, split) is not None)

    def list_pictures(self, root: str | Path, split: str, complain: Complain = refuse) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        places = _find_places(root, split)
        if places is None:
            expected = (
                f"ImageSets/Main/{split}.txt, Annotations/{split}, {split}/Annotations and "
                f"{split}/*.xml"
            )
            raise self.no_annotations(root, split, expected)
        classes: dict[str, None] = {}
        found = []
        for stem in _stems(places):
            path = places.annotations / f"{stem}.xml"
            try:
                annotation = _parse(path)
            except FacedetError as error:
                complain(str(error))
                continue
            name = PurePosixPath(annotation.findtext("filename", "").replace("\\", "/")).name
            file = f"{stem}{PurePosixPath(name).suffix or '.jpg'}"
            rows = list(_rows(annotation, path, complain))
            classes |= dict.fromkeys(row.kind for row in rows)
            found.append((file, rows, _size(annotation), path))
        files = match_files(places.pictures, [file for file, *_ in found])
        pictures = [
            listed(file, places.pictures / file, rows, size, path)
            for file, (_, rows, size, path) in zip(files, found, strict=True)
        ]
        source = places.listed or places.annotations
        return Listing(pictures, source, places.pictures, "object {}", tuple(classes))

    def picture_place(self, split: str, file: str) -> str:
        """Where the format keeps a picture."""
        return f"JPEGImages/{split}/{file}"

    def write(self, root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
        """Writes ROOT/Annotations/SPLIT/**.xml and ImageSets/Main; the format holds everything."""
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        for split, pictures in splits.items():
            for one in pictures:
                path = root / "Annotations" / split / f"{stem_of(one.file)}.xml"
                path.parent.mkdir(parents=True, exist_ok=True)
                annotation = _to_xml(one)
                indent(annotation)
                path.write_bytes(tostring(annotation, encoding="utf-8"))
            names = "".join(f"{split}/{stem_of(one.file)}\n" for one in pictures)
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text(names, encoding="utf-8")
        return []


read_voc = Voc().read


def _find_places(root: Path, split: str) -> _Places | None:
    """Where a split's files are; None where there are none."""
    annotations, pictures = _pair(root)
    places, beside = [], []
    for word in spellings(split):
        places.append(_Places(annotations / word, pictures / word))
        places.append(_Places(*_pair(root / word)))
        names = root / "ImageSets" / "Main" / f"{word}.txt"
        if names.is_file():
            places.append(_Places(annotations, pictures, names))
        beside.append(root / word)
    if split == UNSPLIT:
        places.append(_Places(annotations, pictures))
        beside.append(root)
    for place in places:
        if place.listed is not None or find_files(place.annotations, _XML):
            return place
    for folder in beside:
        if next(folder.glob("*.xml"), None):
            return _Places(folder, folder)
    return None


def _pair(root: Path) -> tuple[Path, Path]:
    """The folders of annotations and of pictures in a folder."""
    names = (("Annotations", "annotations", "xmls", "labels"), ("JPEGImages", "images"))
    annotations, pictures = (
        next((root / name for name in group if (root / name).is_dir()), root / group[0])
        for group in names
    )
    return annotations, pictures


def _stems(places: _Places) -> Iterator[str]:
    """The pictures of a split, without suffix: as listed, or all that have an XML file."""
    if places.listed is None:
        yield from map(stem_of, find_files(places.annotations, _XML))
        return
    for line in filter(str.strip, read_text(places.listed).splitlines()):
        name = clean_path(line.strip())
        # The lists of single classes have a second column; some lists name files.
        bare = re.sub(r"\s+(-1|0|1)$", "", name)
        ways = (name, bare, stem_of(bare), PurePosixPath(stem_of(bare)).name)
        there = (way for way in ways if (places.annotations / f"{way}.xml").is_file())
        yield next(there, bare)


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
        raise FacedetError(f"{path}: the root is {quoted(annotation.tag)}, expected annotation")
    return annotation


def _rows(annotation: Element, path: Path, complain: Complain) -> Iterator[Row]:
    """The boxes of one picture."""
    for number, item in enumerate(annotation.findall("object"), start=1):
        # Looking for paths such as bndbox/xmin would take most of the time.
        parts = {part.tag: part for part in item}
        name, difficult = (_text(parts.get(key)) for key in ("name", "difficult"))
        corners = {corner.tag: _text(corner) for corner in parts.get("bndbox", ())}
        try:
            box = [float(corners.get(key, "")) for key in _CORNERS]
        except ValueError:
            text = f"bndbox is {quoted(corners)}, expected four numbers"
            complain(f"{path}, object {number}: {text}")
            continue
        if name:
            yield Row(box, number, name, difficult == "1")
        else:
            complain(f"{path}, object {number}: has no name, expected its class")


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
