"""`facedet diagnose`: detections and annotations to the tables, the page and the pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.readers.wider import (
    count_all_faces,
    pictures_folder,
    read_ground_truth,
    read_wider_annotations,
    subset_names,
)
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.benchmarks import WiderFace
from facedet.evaluation.detect import save_sheet
from facedet.evaluation.diagnosis import plots, report
from facedet.evaluation.diagnosis.errors import NEAR
from facedet.evaluation.diagnosis.matching import Verdicts, judge_records
from facedet.evaluation.scoring import match_pictures
from facedet.files import replacing, replacing_table
from facedet.metrics.functional import is_rounded
from facedet.structures import Record

# A set whose lowest score is above this was cut for pictures, not for an AP.
_CUT = 0.1


class Diagnosis(NamedTuple):
    """What was judged, how, and what came out."""

    records: list[Record]
    found: dict[str, np.ndarray]  # by record name, [N, 5] as x, y, w, h, score
    subset: int  # column of the faces that count
    score: float  # the operating score
    verdicts: Verdicts
    tables: dict[str, report.Table]
    title: str
    made_with: list[str]  # the origin of the numbers, a line each
    notes: list[str]  # what is odd about the files

    @property
    def page(self) -> str:
        """The report as Markdown."""
        return report.page(self.title, self.made_with, list(self.tables.values()))


def diagnose(
    data: Path,
    detections: Path,
    described: Mapping[str, Any],
    *,
    only_present: bool = False,
    split: str = "val",
    ground_truth: Path | None = None,
    subset: str | None = None,
    iou: float = 0.5,
    integer_quirk: bool = True,
    score: float | None = None,
) -> Diagnosis:
    """Judges every face and every box, and makes the tables.

    The arguments are those of `facedet diagnose`; `described` is the metrics.json of the run that
    wrote the detections, {} if not known. The IoU is rounded (`integer_quirk`) where it is 0.5.

    Raises:
        FacedetError: a file cannot be read, or there is nothing to judge.
        UsageError: an argument does not suit the data.
    """
    if iou <= NEAR:
        raise UsageError(f"--iou {iou:g}: expected above {NEAR}, from which a box is near a face")
    quirk = is_rounded(integer_quirk, iou)
    truth = _read_truth(data, split, ground_truth)
    found = WiderFace().read_detections(detections)
    records, notes = match_pictures(WiderFace(), truth, found, detections, data, only_present)
    names = subset_names(records)
    name = subset or names[-1]
    if name not in names:
        raise UsageError(f"--subset {name}: the data has {', '.join(names)}")
    place = names.index(name)
    verdicts = judge_records(records, found, iou, quirk)
    if not verdicts.in_subset[:, place].any():
        raise FacedetError(f"{data}: none of the {len(records):,} pictures has a {name} face")
    rounding = "rounded as by the official toolbox" if quirk else "not rounded"
    scores = verdicts.scores
    if len(odd := scores[(scores < 0) | (scores > 1)]):
        where = "; ".join([str(detections), *notes])
        raise FacedetError(f"{where}: a score is {odd[0]:g}, expected 0 to 1")
    made_with = [
        _origin(detections, described),
        f"{len(records):,} of {len(truth):,} pictures, {len(scores):,} detections, "
        f"IoU {iou:g} ({rounding}); counted are the {name} faces, others are ignored",
    ]
    if score is None:
        score = verdicts.best_f1_score(place)
        made_with.append(f"operating score {score:.4g}, of the best F1 on {name} faces")
    if len(scores) and scores.min() > _CUT:
        made_with.append(
            f"no detection has a score below {scores.min():.3g}: the files were cut there, and an "
            "AP needs scores down to 0.02 or lower"
        )
    tables = {t.name: t for t in report.make_tables(verdicts, records, names, place, score)}
    title = f"Why the AP on {name} faces is {verdicts.ap(place):.4f}"
    return Diagnosis(records, found, place, score, verdicts, tables, title, made_with, notes)


def _read_truth(data: Path, split: str, lists: Path | None) -> list[Record]:
    """All annotated pictures; where there are no lists, every face of any size is in "all"."""
    folder = lists or data / "ground_truth"
    if lists or (folder / f"wider_face_{split}.mat").is_file():
        pictures = pictures_folder(data, split)
        records = read_ground_truth(folder, split)
        return [record._replace(path=pictures / f"{record.name}.jpg") for record in records]
    reading = read_wider_annotations(data, split, zero_size="keep", faceless="keep")
    count_all_faces(reading.records)
    return reading.records


def _origin(detections: Path, described: Mapping[str, Any]) -> str:
    """Where the detections come from."""
    if not described:
        return f"detections {Path(*detections.parts[-2:])}"
    weights, versions = (described.get(key) or {} for key in ("weights", "versions"))
    return (
        f"protocol {described.get('protocol')}, weights {weights.get('file')}, sha256 "
        f"{str(weights.get('sha256'))[:12]}, facedet {versions.get('facedet')}"
    )


def save(output: Path, one: Diagnosis, worst: int) -> list[str]:
    """Writes the page, a CSV file of every table, the AP of every picture, and the pictures.

    `worst` pictures, those with the lowest AP, are on the sheet. Returns notes on those that are
    not on disk; raises `FacedetError` where a file cannot be written, or a picture not be read.
    """
    for table in one.tables.values():
        with replacing_table(output / f"{table.name}.csv") as rows:
            rows.writerows([table.header, *table.rows])
    values, faces = one.verdicts.image_aps(one.subset)
    with replacing_table(output / "image_ap.csv", errors="backslashreplace") as rows:
        rows.writerow(["name", "faces", "AP"])
        for record, number, value in zip(one.records, faces, values, strict=True):
            rows.writerow([record.name, number, f"{value:.6f}" if number else ""])
    with replacing(output / "report.md") as aside:
        links = "\n![the tables as bars](diagnosis.png)\n![AP of images](image_ap.png)\n"
        aside.write_text(one.page + links, encoding="utf-8")
    caption = "\n".join([one.title, *one.made_with])
    plots.plot_diagnosis(output / "diagnosis.png", one.tables, caption)
    plots.plot_image_aps(output / "image_ap.png", values, caption)
    # The lowest AP first, of equal ones that of more faces.
    order = sorted(faces.nonzero()[0].tolist(), key=lambda place: (values[place], -faces[place]))
    there = [place for place in order if one.records[place].path.is_file()]
    if there:
        records, captions = [], []
        for place in there[:worst]:
            record = one.records[place]
            # Only the faces of the subset can be missed.
            subsets = {"subsets": record.tags["subsets"][:, [one.subset]]}
            records.append(record._replace(tags=subsets))
            captions.append(f"AP {values[place]:.2f}, {faces[place]:,} faces  {record.name}")
        sheet = output / "worst.jpg"
        save_sheet(sheet, records, one.found, one.score, captions, columns=3, cell=640)
    if len(there) == len(order):
        return []
    fate = "the sheet worst.jpg is of the others" if there else "there is no sheet worst.jpg"
    return [f"{len(order) - len(there):,} of {len(order):,} pictures are not on disk: {fate}"]
