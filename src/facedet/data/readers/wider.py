"""WIDER FACE (Yang et al., 2016): a folder becomes records.

ROOT/WIDER_val/images/EVENT/IMAGE.jpg
ROOT/wider_face_split/wider_face_val.mat, or wider_face_val_bbx_gt.txt, or val/label.txt; of the
    test pictures wider_face_test_filelist.txt, their names
ROOT/ground_truth/wider_{easy,medium,hard}_val.mat     the evaluation subsets, of val only
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.data.readers.layout import SPELLINGS, UNSPLIT, name_of
from facedet.data.readers.own import Format, Listed, Listing, Row
from facedet.data.readers.selection import find_folder, select
from facedet.data.readers.wider_annotations import (
    ATTRIBUTES,
    SUBSETS,
    add_subsets,
    annotation_files,
    read_annotations,
)
from facedet.errors import FacedetError
from facedet.structures import Reading, Record


def read_wider(root: str | Path, split: str, **choices: Any) -> Reading:  # noqa: ANN401
    """Reads a split of WIDER FACE; the pictures are not opened.

    Some boxes of the official files have a width or height of zero or less, such as the dummy box
    of a picture without a face. Dropping them and the pictures they leave empty is EXTD's
    training list: 12,876 of 12,880 pictures, 159,393 of 159,424 boxes.

    Args:
        root: the folder that holds WIDER_{split} and wider_face_split.
        split: "train", "val", or "test", whose pictures have no boxes.
        **choices: images, zero_size and faceless, see `selection.select`.

    Returns:
        Records in the file's order, boxes xyxy with x2 = x + w. Tags: "event", one int array [G]
        per name of `ATTRIBUTES`, and "subsets" [G, 3] bool (easy, medium, hard) where the split
        has lists.

    Raises:
        FacedetError: a picture or file is missing, or an annotation is malformed.
    """
    return select(_read_records(Path(root), split), pictures_folder(Path(root), split), **choices)


def read_wider_annotations(root: str | Path, split: str, **choices: Any) -> Reading:  # noqa: ANN401
    """Reads a split's annotations as `read_wider` does, whether or not the pictures are there."""
    return select(_read_records(Path(root), split), None, **choices)


def read_ground_truth(folder: str | Path, split: str = "val") -> list[Record]:
    """Reads what the WIDER FACE protocol scores against: all boxes, those of zero size too.

    The folder holds wider_face_{split}.mat and wider_{easy,medium,hard}_{split}.mat, itself or in
    ground_truth; the pictures need not exist. Tags as of `read_wider`.

    Raises:
        FacedetError: a file is missing, broken, or disagrees with another.
    """
    folder = find_folder(Path(folder), ["ground_truth"])
    records = _records(
        folder / f"wider_face_{split}.mat", pictures_folder(folder.parent, split), split
    )
    if not add_subsets(folder, split, records):
        raise FacedetError(
            f"{folder} holds no wider_easy_{split}.mat beside wider_face_{split}.mat"
        )
    return records


def count_all_faces(records: Sequence[Record]) -> None:
    """Puts the faces above zero size of a split without lists in one subset: "subsets" [G, 1]."""
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


def pictures_folder(root: Path, split: str) -> Path:
    """The folder of a split's event folders."""
    official = f"WIDER_{split}/images"
    # Unpacked once more, or arranged as for other detectors.
    others = [f"WIDER_{split}/{official}", f"{split}/images", "images"]
    found = find_folder(root, [official, *others])
    return root / official if found == root else found


def _read_records(root: Path, split: str) -> list[Record]:
    files = annotation_files(root, split)
    source = next((file for file in files if file.is_file()), None)
    if source is None:
        names = f"{files[1].name} nor {files[2].name}"
        raise FacedetError(
            f"{files[1].parent} holds neither {names}; nor is there {split}/label.txt"
        )
    records = _records(source, pictures_folder(root, split), split)
    add_subsets(root / "ground_truth", split, records)
    return records


def _records(source: Path, folder: Path, split: str) -> list[Record]:
    records: dict[str, Record] = {}
    for file, rows in read_annotations(source):
        name = name_of(file, split)
        if name in records:
            raise FacedetError(f"{source} lists {name} twice")
        attributes = rows[:, 4:].astype(np.int64).T
        tags: dict[str, Any] = dict(zip(ATTRIBUTES, attributes, strict=True))
        tags["event"] = name.split("/")[0]
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]).astype(np.float32)
        records[name] = Record(name, folder / file, boxes, np.zeros(len(boxes), bool), tags)
    return list(records.values())


class Wider(Format):
    """WIDER FACE's format as one among the others."""

    title = "WIDER FACE"
    mark = "wider_face_split/ or train/label.txt"
    loses = "the attributes of faces and the easy, medium and hard lists"
    upright = False  # as the official annotations

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        return [
            split
            for split in (*SPELLINGS, UNSPLIT)
            if any(file.is_file() for file in annotation_files(root, split))
        ]

    def read(self, root: str | Path, split: str, **choices: Any) -> Reading:  # noqa: ANN401
        """`read_wider`; the format has no classes, so any are its faces."""
        choices.pop("classes", None)
        return read_wider(root, split, **choices)

    def list_pictures(self, root: str | Path, split: str) -> Listing:
        """Lists a split; faces in none of its three lists are to be ignored.

        So the protocol takes them. The dummy box of a picture without a face is left out.
        """
        folder = pictures_folder(Path(root), split)
        pictures = []
        for record in _read_records(Path(root), split):
            is_dummy = len(record.boxes) == 1 and not record.boxes.any()
            boxes = record.boxes[:0] if is_dummy else record.boxes
            listed = record.tags.get("subsets", np.ones((len(record.boxes), 1))).any(axis=1)
            rows = [
                Row(box.tolist(), f"box {number}", is_ignored=not is_listed)
                for number, (box, is_listed) in enumerate(zip(boxes, listed, strict=False), start=1)
            ]
            pictures.append(Listed(record.path.relative_to(folder).as_posix(), record.path, rows))
        return Listing(pictures, Path(root) / "wider_face_split", folder)
