"""What is wrong with a data set: its annotations, its pictures, and between its splits."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facedet.data.formats import FORMATS
from facedet.data.picture_checks import (
    FINGERPRINT_BITS,
    UPRIGHT,
    PictureFacts,
    examine_all,
    fitting_reading,
    nearest_before,
)
from facedet.data.readers.layout import find_files
from facedet.data.readers.listing import Listed, Listing
from facedet.data.readers.own import (
    RELATIVE,
    is_sound,
    looks_relative,
    name_pictures,
    select_faces,
)
from facedet.errors import FacedetError

# What is looked for, in the order of the report.
KINDS = {
    "malformed": "annotations that cannot be read",
    "note": "annotations that are passed over, or look strange",
    "missing": "pictures that are listed and not there",
    "extra": "pictures that are there and not listed",
    "corrupt": "pictures that cannot be decoded",
    "truncated": "pictures whose file ends too early",
    "rotated": "pictures that EXIF turns, and that are read turned",
    "stored": "pictures that EXIF turns, though the annotations fit them as stored: data.upright="
    "false reads them so",
    "size_mismatch": "pictures of another size than the annotations say",
    "not_finite": "boxes that are not finite numbers",
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
_SLACK = 1.0  # px: rounding, and tools that count pixels from 1


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: str  # a key of `KINDS`
    split: str
    file: str  # of the picture, "" where none is meant
    place: str  # in the annotations, "" where none is meant
    detail: str
    box: int | None = None  # row of the box in its picture's boxes
    other: tuple[str, str] | None = None  # (split, file) of the picture that this one is like


class SplitFacts(NamedTuple):
    """A split and what its pictures are like."""

    listing: Listing
    pictures: list[PictureFacts | None]  # in the listing's order; None: not on disk


class SplitSummary(NamedTuple):
    """A split in numbers."""

    pictures: int  # listed
    faces: int
    ignored_boxes: int
    faceless_pictures: int
    face_sizes: list[float]  # px: square roots of areas that a 20th, half and all but a 20th reach


class Report(NamedTuple):
    """What `check` found."""

    splits: dict[str, SplitFacts]
    findings: list[Finding]  # in the order of `KINDS`

    def counts(self) -> dict[str, int]:
        """Findings by kind, those without any too."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS}

    def summary(self) -> dict[str, SplitSummary]:
        """The splits in numbers."""
        summaries = {}
        for split, (listing, _) in self.splits.items():
            sizes = face_sizes(listing)
            parts = np.quantile(sizes, (0.05, 0.5, 0.95)).round(1) if len(sizes) else np.zeros(0)
            faces = [int((~one.ignore).sum()) for one in listing.pictures]
            ignored = sum(len(one.ignore) for one in listing.pictures) - sum(faces)
            summaries[split] = SplitSummary(
                len(faces), sum(faces), ignored, faces.count(0), parts.tolist()
            )
        return summaries


def face_sizes(listing: Listing) -> np.ndarray:
    """Square roots of areas [F] in px, of faces of zero size and boxes to be ignored none."""
    boxes = [one.boxes[~one.ignore & is_sound(one.boxes)] for one in listing.pictures]
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
        splits: names of the splits to look at.
        classes: whose boxes are faces; see `own.select_faces`.
        workers: processes that open pictures.

    Raises:
        FacedetError: none of its classes is asked for.
    """
    findings: list[Finding] = []
    listings = {}
    for split in splits:
        complain = partial(_complain, findings, split)
        try:
            listing = FORMATS[format].list_pictures(root, split, complain)
        except FacedetError as error:
            complain(str(error))
            continue
        findings += [Finding("note", split, "", "", note) for note in listing.notes]
        listings[split], _ = select_faces(listing, classes)
        name_pictures(listing, split, complain)
        if looks_relative(listing):
            complain(f"{listing.source}: {RELATIVE}")
    facts = _open_pictures(listings, workers)
    in_parts = FORMATS[format].in_parts
    for split, (listing, pictures) in facts.items():
        for one, fact in zip(listing.pictures, pictures, strict=True):
            for finding in (*_picture(one, fact, in_parts), *_boxes(one, fact)):
                place = "" if finding.box is None else listing.place.format(one.places[finding.box])
                findings.append(finding._replace(split=split, place=place))
    findings += _extra(listings)
    findings += _alike(facts)
    order = {kind: at for at, kind in enumerate(KINDS)}
    return Report(facts, sorted(findings, key=lambda finding: order[finding.kind]))


def _complain(findings: list[Finding], split: str, text: str) -> None:
    findings.append(Finding("malformed", split, "", "", text))


def _open_pictures(listings: dict[str, Listing], workers: int) -> dict[str, SplitFacts]:
    """The splits with what their pictures are like, each picture opened once."""
    # Each path once; of a name that is too long for a file, `Path.is_file` raises.
    paths = dict.fromkeys(one.path for part in listings.values() for one in part.pictures)
    present = [path for path in paths if os.path.isfile(path)]
    known = dict(zip(present, examine_all(present, workers), strict=True))
    return {
        split: SplitFacts(listing, [known.get(one.path) for one in listing.pictures])
        for split, listing in listings.items()
    }


def _picture(one: Listed, fact: PictureFacts | None, in_parts: bool) -> Iterator[Finding]:
    """What is wrong with a picture by itself."""
    if fact is None:
        yield Finding("missing", "", one.file, "", "")
    elif fact.problem:
        kind = "truncated" if "truncated" in fact.problem.casefold() else "corrupt"
        yield Finding(kind, "", one.file, "", fact.problem)
    else:
        fits = fitting_reading(fact, one.boxes[is_sound(one.boxes)], one.size, in_parts)
        if fact.orientation != UPRIGHT:
            kind = "stored" if fits == "as stored" else "rotated"
            text = f"the annotations fit the picture {fits or 'as stored and turned'}"
            yield Finding(kind, "", one.file, "", f"EXIF orientation {fact.orientation}; {text}")
        if one.size not in (None, fact.size) and fits != "as stored":
            said, real = (f"{width} x {height}" for height, width in (one.size, fact.size))
            yield Finding("size_mismatch", "", one.file, "", f"{real} px, annotated as {said}")


def _boxes(one: Listed, fact: PictureFacts | None) -> Iterator[Finding]:
    """What is wrong with the boxes of a picture; an unknown size has no outside."""
    height, width = fact.size if fact is not None else (0, 0)
    seen: dict[tuple[float, ...], int] = {}
    sound = is_sound(one.boxes)
    for row, box in enumerate(one.boxes.tolist()):
        shown = ", ".join(f"{value:g}" for value in box)
        if not sound[row]:
            yield Finding("not_finite", "", one.file, "", shown, row)
            continue
        x1, y1, x2, y2 = box
        side = min(x2 - x1, y2 - y1)
        if side <= 0:
            yield Finding("zero_size", "", one.file, "", shown, row)
        elif side < _TINY:
            yield Finding("tiny", "", one.file, "", f"{shown}: {side:g} px", row)
        beyond = max(-x1, -y1, x2 - width, y2 - height)
        if height and beyond > _SLACK:
            text = f"{shown}: {beyond:g} px outside {width} x {height}"
            yield Finding("outside", "", one.file, "", text, row)
        key = tuple(round(value, 2) for value in box)
        if key in seen:
            yield Finding("duplicate_box", "", one.file, "", shown, row)
        seen.setdefault(key, row)


def _extra(listings: dict[str, Listing]) -> Iterator[Finding]:
    """Pictures in the splits' folders that no split lists."""
    known = {os.path.normpath(one.path) for part in listings.values() for one in part.pictures}
    for split, listing in listings.items():
        for file in find_files(listing.folder):
            path = os.path.normpath(listing.folder / file)
            if path not in known:
                # The folders of two splits may be one, or one inside the other.
                known.add(path)
                yield Finding("extra", split, file, "", "")


def _alike(splits: dict[str, SplitFacts]) -> Iterator[Finding]:
    """Pictures that are like an earlier one, byte for byte or to the eye."""
    rows = [
        (group, split, one, fact)
        for group, (split, (listing, facts)) in enumerate(splits.items())
        for one, fact in zip(listing.pictures, facts, strict=True)
        if fact is not None and not fact.problem
    ]
    first: dict[tuple[str, str], str] = {}  # by digest and split, the first such picture
    for _, split, one, fact in rows:
        for earlier in splits:
            known = first.get((fact.digest, earlier))
            if known is not None:
                kind = "duplicate" if earlier == split else "leak"
                yield _like(kind, split, one.file, earlier, known, "the same bytes as")
        first.setdefault((fact.digest, split), one.file)
    visible = [row for row in rows if row[3].fingerprint]
    prints = [row[3].fingerprint for row in visible]
    for later, before, bits in nearest_before(prints, [row[0] for row in visible]):
        (group, split, one, fact), (other_group, other, other_one, other_fact) = (
            visible[later],
            visible[before],
        )
        if fact.digest != other_fact.digest:
            kind = "near_duplicate" if group == other_group else "near_leak"
            text = f"{bits} of {FINGERPRINT_BITS} bits unlike"
            yield _like(kind, split, one.file, other, other_one.file, text)


def _like(kind: str, split: str, file: str, other: str, other_file: str, text: str) -> Finding:
    return Finding(kind, split, file, "", f"{text} {other}/{other_file}", other=(other, other_file))
