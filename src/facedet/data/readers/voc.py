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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from facedet.data.readers import layout
from facedet.data.readers.layout import clean_path, find_files, find_pictures, stem_of
from facedet.data.readers.own import Format, Listed, Listing, Row, box_of, decimal, quoted
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_XML = frozenset((".xml",))
_FOLDERS = ("Annotations", "annotations", "xmls", "labels")


class Voc(Format):
    """A folder of Pascal VOC's files."""

    title = "Pascal VOC"
    mark = "Annotations/*.xml"

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        return layout.splits_by(lambda split: _find_places(root, split))

    def list_pictures(self, root: str | Path, split: str) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        where = _find_places(root, split)
        if where is None:
            folders = f"Annotations/{split}, {split}/Annotations and {split}/*.xml"
            raise self.no_annotations(root, split, f"ImageSets/Main/{split}.txt, {folders}")
        folder, names = where
        problems: list[str] = []
        found: dict[str, tuple[list[Row], tuple[int, int] | None]] = {}
        for stem in _stems(folder, names):
            path = folder / f"{stem}.xml"
            try:
                annotation = _parse(path)
            except FacedetError as error:
                problems.append(str(error))
                continue
            name = PurePosixPath(annotation.findtext("filename", "").replace("\\", "/")).name
            file = f"{stem}{PurePosixPath(name).suffix or '.jpg'}"
            found[file] = list(_rows(annotation, path, problems)), _size(annotation)
        pictures, places = find_pictures(root, split, found)
        listed = [
            Listed(file, path, rows, size)
            for (file, path), (rows, size) in zip(places, found.values(), strict=True)
        ]
        kinds = dict.fromkeys(row.kind for one in listed for row in one.rows)
        return Listing(listed, names or folder, pictures, tuple(kinds), problems)


read_voc = Voc().read


class _Builder(ElementTree.TreeBuilder):
    """Drops namespaces, and refuses a document type, for only that can do harm."""

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        return super().start(tag.rpartition("}")[2], attrs)

    def doctype(self, *_: object) -> None:
        raise FacedetError("has a document type (DOCTYPE), which is not read")


def _find_places(root: Path, split: str) -> tuple[Path, Path | None] | None:
    """The folder of a split's XML files and the file that lists their names, if there is one."""
    words = layout.spellings(split)
    main = next((root / name for name in _FOLDERS if (root / name).is_dir()), root / _FOLDERS[0])
    for word in words:
        for place in (main / word, *(root / word / name for name in _FOLDERS)):
            if find_files(place, _XML):
                return place, None
        names = root / "ImageSets" / "Main" / f"{word}.txt"
        if names.is_file():
            return main, names
    if split == layout.UNSPLIT and find_files(main, _XML):
        return main, None
    beside = [root / word for word in words] + [root] * (split == layout.UNSPLIT)
    return next(((place, None) for place in beside if any(place.glob("*.xml"))), None)


def _stems(folder: Path, names: Path | None) -> Iterator[str]:
    """The pictures of a split, without suffix: as listed, or all that have an XML file."""
    if names is None:
        yield from map(stem_of, find_files(folder, _XML))
        return
    for line in filter(str.strip, read_text(names).splitlines()):
        name = clean_path(line.strip())
        # The lists of single classes have a second column; some lists name files.
        bare = re.sub(r"\s+(-1|0|1)$", "", name)
        ways = (name, bare, stem_of(bare), PurePosixPath(stem_of(bare)).name)
        yield next((way for way in ways if (folder / f"{way}.xml").is_file()), bare)


def _parse(path: Path) -> Element:
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(path.read_bytes())
        annotation = parser.close()
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise FacedetError(f"{path} cannot be read as XML: {error}") from error
    except FacedetError as error:
        raise FacedetError(f"{path}: {error}") from error
    if annotation.tag != "annotation":
        raise FacedetError(f"{path}: the root is {quoted(annotation.tag)}, expected annotation")
    return annotation


def _rows(annotation: Element, path: Path, problems: list[str]) -> Iterator[Row]:
    for number, item in enumerate(annotation.findall("object"), start=1):
        # Looking for paths such as bndbox/xmin would take most of the time.
        parts = {part.tag: part for part in item}
        texts = {tag: (part.text or "").strip() for tag, part in parts.items()}
        corners = {one.tag: (one.text or "").strip() for one in parts.get("bndbox", ())}
        box, name = box_of(corners.get(key, "") for key in _CORNERS), texts.get("name")
        if box is None:
            said = f"bndbox is {quoted(corners)}, expected four finite numbers"
            problems.append(f"{path}, object {number}: {said}")
        elif not name:
            problems.append(f"{path}, object {number}: has no name, expected its class")
        else:
            yield Row(box, f"object {number}", name, texts.get("difficult") == "1")


def _size(annotation: Element) -> tuple[int, int] | None:
    """(height, width) where both are whole numbers above 0."""
    texts = [annotation.findtext(f"size/{key}", "").strip() for key in ("height", "width")]
    if not all(text.isdecimal() and len(text) < 10 for text in texts):
        return None
    height, width = map(int, texts)
    return (height, width) if height and width else None


def voc_xml(
    file_name: str,
    size: tuple[int, int],
    faces: Iterable[tuple[Sequence[float], Mapping[str, Any]]],
) -> str:
    """The annotation of one picture.

    Args:
        file_name: of the picture; its folders are left out.
        size: (height, width) of the picture in pixels.
        faces: boxes, xyxy pixels, each with what else is said of it: `difficult`, `score`.
    """
    annotation = Element("annotation")
    SubElement(annotation, "filename").text = PurePosixPath(file_name).name
    sides = SubElement(annotation, "size")
    for key, side in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        SubElement(sides, key).text = str(side)
    for box, about in faces:
        item = SubElement(annotation, "object")
        for key, value in {"name": "face", **about}.items():
            SubElement(item, key).text = str(value)
        corners = SubElement(item, "bndbox")
        for key, value in zip(_CORNERS, box, strict=True):
            SubElement(corners, key).text = decimal(value)
    ElementTree.indent(annotation)
    return ElementTree.tostring(annotation, encoding="unicode") + "\n"
