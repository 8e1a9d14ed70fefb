"""What is wrong with a data set: its annotations, its pictures, and between its splits."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.formats import FORMATS
from facedet.data.picture_checks import (
    NEAR,
    SLACK,
    UPRIGHT,
    PictureFacts,
    examine_all,
    fitting_reading,
    signs_of,
)
from facedet.data.readers.layout import find_files
from facedet.data.readers.own import Listed, Listing, problems_of, select_faces
from facedet.errors import FacedetError

# What is looked for, in the order of the report.
KINDS = {
    "malformed": "annotations that cannot be read",
    "note": "annotations that are ignored, or look strange",
    "missing": "pictures that are listed and not there",
    "extra": "pictures that are there and not listed",
    "corrupt": "pictures that cannot be decoded",
    "truncated": "pictures whose file ends too early",
    "rotated": "pictures that EXIF turns, and that are read turned",
    "stored": "pictures that EXIF turns, though the annotations fit them as stored: data.upright="
    "false reads them so",
    "size_mismatch": "pictures of another size than the annotations say",
    "zero_size": "boxes whose width or height is zero or less",
    "outside": "boxes that reach more than 1 px out of their picture",
    "tiny": "boxes of less than 3 px",
    "duplicate_box": "boxes that stand twice in one picture",
    "duplicate": "pictures with the same bytes as another one of their split",
    "near_duplicate": "pictures much like another one of their split",
    "leak": "pictures with the same bytes as one of another split",
    "near_leak": "pictures much like one of another split",
}
_TINY = 3.0  # px: less than a cell of the finest level, of stride 4


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: str  # a key of `KINDS`
    split: str
    file: str = ""  # of the picture, "" where none is meant
    place: str = ""  # in the annotations, "" where none is meant
    detail: str = ""
    box: int | None = None  # row of the box in its picture's boxes
    other: tuple[str, str] | None = None  # (split, file) of the picture that this one is like


class Report(NamedTuple):
    """What `check` found."""

    listings: dict[str, Listing]  # by split
    facts: dict[Path, PictureFacts]  # of the pictures on disk
    findings: list[Finding]  # in the order of `KINDS`

    def counts(self) -> dict[str, int]:
        """Findings by kind, those without any too."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS}

    def sound(self) -> dict[tuple[str, str], Listed]:
        """By split and file, the pictures that can be decoded."""
        return {
            (split, one.file): one
            for split, listing in self.listings.items()
            for one in listing.pictures
            if one.path in self.facts and not self.facts[one.path].problem
        }

    def summary(self) -> dict[str, dict[str, Any]]:
        """The splits in numbers; of the faces' sizes the quantiles .05, .5 and .95 in px."""
        summaries = {}
        for split, listing in self.listings.items():
            sizes = face_sizes(listing)
            faces = [int((~one.ignore).sum()) for one in listing.pictures]
            parts = np.quantile(sizes, (0.05, 0.5, 0.95)).round(1).tolist() if len(sizes) else []
            summaries[split] = {
                "pictures": len(faces),
                "faces": sum(faces),
                "ignored_boxes": sum(len(one.rows) for one in listing.pictures) - sum(faces),
                "faceless_pictures": faces.count(0),
                "face_sizes": parts,
            }
        return summaries


def face_sizes(listing: Listing) -> np.ndarray:
    """Square roots of areas [F] in px, of faces of zero size and boxes to be ignored none."""
    boxes = [one.boxes[~one.ignore] for one in listing.pictures]
    sides = np.concatenate([np.zeros((0, 4)), *boxes])
    sides = sides[:, 2:] - sides[:, :2]
    return np.sqrt(sides[(sides > 0).all(axis=1)].prod(axis=1))


def check(
    root: Path,
    format: str,
    splits: Sequence[str],
    classes: str | Sequence[str] = "face",
    workers: int = 2,
) -> Report:
    """Looks at all annotations and opens all pictures; nothing is changed.

    Args:
        root: the data set's folder.
        format: a key of `FORMATS`.
        splits: to look at.
        classes: whose boxes are faces; see `own.select_faces`.
        workers: processes that open pictures.

    Raises:
        FacedetError: none of its classes is asked for.
    """
    findings: list[Finding] = []
    listings = {}
    for split in splits:
        try:
            listing = FORMATS[format].list_pictures(root, split)
        except FacedetError as error:
            findings.append(Finding("malformed", split, detail=str(error)))
            continue
        findings += [Finding("note", split, detail=note) for note in listing.notes]
        listings[split], _ = select_faces(listing, classes)
        problems = problems_of(listings[split], split)
        findings += [Finding("malformed", split, detail=problem) for problem in problems]
    # Each path once; of a name that is too long for a file, `Path.is_file` raises.
    paths = dict.fromkeys(one.path for part in listings.values() for one in part.pictures)
    present = [path for path in paths if os.path.isfile(path)]
    facts = dict(zip(present, examine_all(present, workers), strict=True))
    for split, listing in listings.items():
        for one in listing.pictures:
            fact = facts.get(one.path)
            findings += _picture(split, one, fact, FORMATS[format].is_relative)
            findings += _boxes(split, one, fact)
    report = Report(listings, facts, findings)
    findings += [*_extra(listings), *_alike(report)]
    findings.sort(key=lambda finding: list(KINDS).index(finding.kind))
    return report


def _picture(
    split: str, one: Listed, fact: PictureFacts | None, is_relative: bool
) -> Iterator[Finding]:
    if fact is None:
        yield Finding("missing", split, one.file)
    elif fact.problem:
        kind = "truncated" if "truncated" in fact.problem.casefold() else "corrupt"
        yield Finding(kind, split, one.file, detail=fact.problem)
    else:
        fits = fitting_reading(fact, one.boxes, one.size, is_relative)
        if fact.orientation != UPRIGHT:
            kind = "stored" if fits == "as stored" else "rotated"
            text = f"EXIF orientation {fact.orientation}; the annotations fit the picture "
            yield Finding(kind, split, one.file, detail=text + (fits or "as stored and turned"))
        if one.size not in (None, fact.size) and fits != "as stored":
            said, real = (f"{width} x {height}" for height, width in (one.size, fact.size))
            text = f"{real} px, annotated as {said}"
            yield Finding("size_mismatch", split, one.file, detail=text)


def _boxes(split: str, one: Listed, fact: PictureFacts | None) -> Iterator[Finding]:
    """What is wrong with the boxes of a picture; an unknown size has no outside."""
    height, width = fact.size if fact is not None else (0, 0)
    seen: set[tuple[float, ...]] = set()
    for at, row in enumerate(one.rows):
        x1, y1, x2, y2 = row.box
        side, beyond = min(x2 - x1, y2 - y1), max(-x1, -y1, x2 - width, y2 - height)
        key = tuple(round(value, 2) for value in row.box)
        wrong = {}
        if side <= 0:
            wrong["zero_size"] = ""
        elif side < _TINY:
            wrong["tiny"] = f": {side:g} px"
        if height and beyond > SLACK:
            wrong["outside"] = f": {beyond:g} px outside {width} x {height}"
        if key in seen:
            wrong["duplicate_box"] = ""
        seen.add(key)
        shown = ", ".join(f"{value:g}" for value in row.box)
        for kind, text in wrong.items():
            yield Finding(kind, split, one.file, row.place, shown + text, at)


def _extra(listings: dict[str, Listing]) -> Iterator[Finding]:
    """Pictures in the splits' folders that no split lists."""
    known = {os.path.normpath(one.path) for part in listings.values() for one in part.pictures}
    for split, listing in listings.items():
        for file in find_files(listing.folder):
            path = os.path.normpath(listing.folder / file)
            if path not in known:
                # The folders of two splits may be one, or one inside the other.
                known.add(path)
                yield Finding("extra", split, file)


def _alike(report: Report) -> Iterator[Finding]:
    """Pictures that are like an earlier one, byte for byte or to the eye."""
    pictures = report.sound()
    keys, facts = list(pictures), [report.facts[one.path] for one in pictures.values()]
    signs = signs_of([fact.fingerprint for fact in facts])
    first: dict[str, int] = {}  # by digest, the first such picture
    for at, ((split, file), fact) in enumerate(zip(keys, facts, strict=True)):
        before = first.setdefault(fact.digest, at)
        prefix, text = "", "the same bytes as"
        if before == at and at:
            # Of two vectors of +1 and -1 the product counts equal places minus different ones.
            bits = (signs.shape[1] - signs[:at] @ signs[at]) / 2
            if bits.min() <= NEAR:
                before = int(bits.argmin())
                prefix, text = "near_", f"{bits[before]:.0f} of {signs.shape[1]} bits unlike"
        if before != at:
            other = keys[before]
            kind = prefix + ("duplicate" if other[0] == split else "leak")
            detail = f"{text} {other[0]}/{other[1]}"
            yield Finding(kind, split, file, detail=detail, other=other)
