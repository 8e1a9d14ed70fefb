"""WIDER FACE (Yang et al., 2016): a folder becomes records.

ROOT/WIDER_val/images/EVENT/IMAGE.jpg
ROOT/wider_face_split/wider_face_val.mat, or wider_face_val_bbx_gt.txt; of the test pictures
    wider_face_test_filelist.txt, their names
ROOT/ground_truth/wider_{easy,medium,hard}_val.mat     the evaluation subsets, of val only
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facedet.data.crowds.wider_writer import write_wider
from facedet.data.readers.layout import SPELLINGS, UNSPLIT, name_of
from facedet.data.readers.listing import Complain, Listed, Listing, Row, listed, quoted, refuse
from facedet.data.readers.own import Format
from facedet.data.readers.selection import check_choice, drop, find_folder, select
from facedet.data.readers.wider_annotations import (
    ATTRIBUTES,
    SUBSETS,
    Entry,
    annotation_files,
    read_labels,
    read_list,
    read_mat,
    read_subsets,
    read_txt,
)
from facedet.errors import FacedetError
from facedet.structures import Reading, Record


def read_wider(
    root: str | Path,
    split: str,
    *,
    annotations: str = "auto",
    images: str = "all",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """Reads a split of WIDER FACE whose pictures are on disk.

    The pictures are not opened, so nothing is known of boxes that reach outside them; x and y
    may be negative. Some boxes of the official files have a width or height of zero or less:
    those are the "zero-size" boxes. Dropping them and the pictures they leave empty is EXTD's
    training list: 12,876 of 12,880 pictures, 159,393 of 159,424 boxes.

    Args:
        root: the folder that holds WIDER_{split} and wider_face_split.
        split: "train", "val", or "test", whose pictures have no boxes.
        annotations: "mat", "txt", or "auto", which prefers the .mat.
        images: "all" or "present", see `selection.select`.
        zero_size: "drop" or "keep" boxes of no area. A picture without a face holds one dummy box
            of zero size in both official files.
        faceless: "drop" or "keep" pictures that have no box then.

    Returns:
        Records in the file's order, boxes xyxy with x2 = x + w. Tags: "event", one int array [G]
        per name of `ATTRIBUTES`, and "subsets" [G, 3] bool (easy, medium, hard) where the split
        has lists.

    Raises:
        FacedetError: a picture or file is missing, or an annotation is malformed.
        UsageError: an argument is none of its choices.
    """
    records = _read_records(root, split, annotations)
    folder = _pictures(root, split)
    return select(records, folder, images=images, zero_size=zero_size, faceless=faceless)


def read_wider_annotations(
    root: str | Path,
    split: str,
    *,
    annotations: str = "auto",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """Reads a split's annotations as `read_wider` does, whether or not the pictures are there."""
    return drop(_read_records(root, split, annotations), zero_size, faceless)


def read_ground_truth(folder: str | Path, split: str = "val") -> list[Record]:
    """Reads what the WIDER FACE protocol scores against.

    Args:
        folder: holds wider_face_{split}.mat and wider_{easy,medium,hard}_{split}.mat, itself or
            in its subfolder ground_truth.
        split: the split's name.

    Returns:
        Every listed picture with all its boxes, those of zero size too, as the official toolbox
        has them; tags as of `read_wider`. The pictures need not exist.

    Raises:
        FacedetError: a file is missing, broken, or disagrees with another.
    """
    folder = find_folder(Path(folder), ["ground_truth"])
    entries = read_mat(folder / f"wider_face_{split}.mat")
    subsets = read_subsets(folder, split, entries)
    if subsets is None:
        raise FacedetError(
            f"{folder} holds no wider_easy_{split}.mat beside wider_face_{split}.mat"
        )
    return _records(entries, subsets, _pictures(folder.parent, split), split)


def count_all_faces(records: Sequence[Record]) -> None:
    """Puts the faces of a split that has no lists, but for those of zero size, in one subset.

    They are changed in place: "subsets" [G, 1].
    """
    for record in records:
        sides = record.boxes[:, 2:] - record.boxes[:, :2]
        record.tags.setdefault("subsets", (sides > 0).all(axis=1, keepdims=True))


def require_subsets(records: Sequence[Record], root: Path) -> None:
    """Raises `FacedetError` where a record does not say which faces are easy, medium and hard."""
    if any("subsets" not in record.tags for record in records):
        raise FacedetError(
            f"{root}: its faces are in no lists, expected "
            "ground_truth/wider_{easy,medium,hard}_val.mat of the WIDER FACE evaluation tools"
        )


def subset_names(records: Sequence[Record]) -> tuple[str, ...]:
    """The names of the columns of the records' "subsets": those of the lists, or "all"."""
    return SUBSETS if records[0].tags["subsets"].shape[1] == len(SUBSETS) else ("all",)


_READERS = {"list": read_list, "mat": read_mat, "txt": read_txt, "labels": read_labels}


def _pictures(root: str | Path, split: str) -> Path:
    """The folder of a split's event folders."""
    official = f"WIDER_{split}/images"
    # Unpacked once more, or arranged as for other detectors.
    others = [f"WIDER_{split}/{official}", f"{split}/images", "images"]
    found = find_folder(Path(root), [official, *others])
    return Path(root) / official if found == Path(root) else found


def _read_records(root: str | Path, split: str, annotations: str) -> list[Record]:
    """All pictures of the file that `annotations` chooses, with all their boxes."""
    check_choice("annotations", annotations, ("auto", *_READERS))
    files = annotation_files(root, split)
    if annotations == "auto":
        there = [kind for kind, file in files.items() if file.is_file()]
        if not there:
            names = f"{files['mat'].name} nor {files['txt'].name}"
            raise FacedetError(f"{files['mat'].parent} holds neither {names}")
        annotations = there[0]
    if annotations not in files:
        raise FacedetError(f"{root} holds no {split}/label.txt nor {split}/labelv2.txt")
    entries = _READERS[annotations](files[annotations])
    subsets = read_subsets(Path(root) / "ground_truth", split, entries)
    return _records(entries, subsets, _pictures(root, split), split)


def _records(
    entries: Sequence[Entry], subsets: list[np.ndarray] | None, folder: Path, split: str
) -> list[Record]:
    """Records of entries and of their subset masks."""
    records = []
    for place, entry in enumerate(entries):
        attributes = entry.rows[:, 4:].astype(np.int64).T
        name = name_of(entry.file, split)
        tags: dict[str, Any] = dict(zip(ATTRIBUTES, attributes, strict=True))
        tags["event"] = name.split("/")[0]
        if subsets is not None:
            tags["subsets"] = subsets[place]
        corners = np.hstack([entry.rows[:, :2], entry.rows[:, :2] + entry.rows[:, 2:4]])
        ignore = np.zeros(len(corners), dtype=bool)
        boxes = corners.astype(np.float32)
        records.append(Record(name, folder / entry.file, boxes, ignore, tags))
    return records


class Wider(Format):
    """WIDER FACE's format as one among the others: listed, and written from any of them."""

    title = "WIDER FACE"
    mark = "wider_face_split/ or train/label.txt"
    needs_sizes = False
    loses = "the attributes of faces and the easy, medium and hard lists"

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        return [
            split
            for split in (*SPELLINGS, UNSPLIT)
            if any(file.is_file() for file in annotation_files(root, split).values())
        ]

    def read(self, root: str | Path, split: str, **choices: Any) -> Reading:  # noqa: ANN401
        """`read_wider`; the format has no classes, so any are its faces."""
        choices.pop("classes", None)
        return read_wider(root, split, **choices)

    def list_pictures(self, root: str | Path, split: str, complain: Complain = refuse) -> Listing:
        """Lists a split; faces in none of its three lists are to be ignored.

        So the protocol takes them. The dummy box of a picture without a face is left out.
        """
        records = _read_records(root, split, "auto")
        folder = _pictures(root, split)
        pictures = []
        for record in records:
            subsets = record.tags.get("subsets")
            ignore = np.zeros(len(record.boxes), bool) if subsets is None else ~subsets.any(axis=1)
            rows = [
                Row(box, number, is_ignored=bool(is_ignored))
                for number, (box, is_ignored) in enumerate(
                    zip(record.boxes.tolist(), ignore, strict=True), start=1
                )
                if len(record.boxes) > 1 or any(box)
            ]
            file = record.path.relative_to(folder).as_posix()
            pictures.append(listed(file, record.path, rows))
        return Listing(pictures, Path(root) / "wider_face_split", folder, "box {}")

    def picture_place(self, split: str, file: str) -> str:
        """Where the format keeps a picture.

        Raises:
            FacedetError: the picture is no JPEG by its name.
        """
        if PurePosixPath(file).suffix.lower() not in (".jpg", ".jpeg"):
            raise FacedetError(f"{quoted(file)} is no .jpg, all that WIDER FACE's format holds")
        return f"WIDER_{split}/images/{name_of(file, split)}.jpg"

    def write(self, root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
        """Writes wider_face_split, and ground_truth with lists of all faces not to be ignored."""
        moved, farthest, ignored = 0, 0.0, 0
        for split, pictures in splits.items():
            records = []
            for one in pictures:
                whole, has_size = np.rint(one.boxes), one.boxes[:, 2:] > one.boxes[:, :2]
                # A face of half a pixel may not become empty.
                floor = np.where(has_size, whole[:, :2] + 1, whole[:, 2:])
                whole[:, 2:] = np.maximum(whole[:, 2:], floor)
                shifts = np.abs(whole - one.boxes).max(axis=1, initial=0.0)
                moved += int((shifts > 1e-3).sum())
                farthest = max(farthest, float(shifts.max(initial=0.0)))
                ignored += int(one.ignore.sum())
                tags = {"subsets": np.repeat(~one.ignore[:, None], len(SUBSETS), axis=1)}
                boxes = whole.astype(np.float32)
                records.append(Record(name_of(one.file, split), one.path, boxes, one.ignore, tags))
            write_wider(root, split, records)
        notes = {
            f"{moved:,} boxes are rounded to whole pixels, by at most {farthest:.2f} px": moved,
            f"{ignored:,} boxes to be ignored are left out of the lists that scores are taken on, "
            "but a training has them as faces": ignored,
        }
        return [note for note, number in notes.items() if number]
