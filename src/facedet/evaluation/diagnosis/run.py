"""`facedet diagnose`: detections and annotations to the tables, the page and the pictures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.images import read_rgb
from facedet.data.readers.wider import (
    count_all_faces,
    read_ground_truth,
    read_wider_annotations,
    subset_names,
)
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.benchmarks import WiderFace
from facedet.evaluation.diagnosis import plots, report
from facedet.evaluation.diagnosis.errors import NEAR, price_errors
from facedet.evaluation.diagnosis.matching import Verdicts, judge_records
from facedet.evaluation.scoring import column_hint, presence_notes
from facedet.files import replacing, replacing_table
from facedet.plots import is_drawn, save_picture, sheet
from facedet.structures import Record


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
    findings: list[str]
    notes: list[str]  # what is odd about the files

    @property
    def page(self) -> str:
        """The report as Markdown."""
        return report.page(self.title, self.made_with, self.findings, list(self.tables.values()))


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

    Args:
        data: the WIDER FACE folder.
        detections: folder, zip or .npz.
        described: metrics.json of the run that wrote them; {} if not known.
        only_present: leave out pictures without detections; otherwise their faces are missed.
        split: of the data.
        ground_truth: folder of the lists; None: ground_truth in the data.
        subset: of the faces that count; None: the last, hard.
        iou: from which a box matches a face.
        integer_quirk: round the IoU to 0 or 1; only where `iou` is 0.5.
        score: the operating score; None: that of the best F1 on the subset.

    Raises:
        FacedetError: a file cannot be read, or there is nothing to judge.
        UsageError: an argument does not suit the data.
    """
    if iou <= NEAR:
        raise UsageError(f"--iou {iou:g}: expected above {NEAR}, from which a box is near a face")
    quirk = integer_quirk and iou == 0.5
    truth = _read_truth(data, split, ground_truth)
    found = WiderFace().read_detections(detections)
    present = [record for record in truth if record.name in found]
    if not present:
        first = f", the first is {min(found)}" if found else ""
        raise FacedetError(f"{detections}: none of its {len(found):,} images is in {data}{first}")
    notes = presence_notes(WiderFace(), truth, found, only_present)
    hint = column_hint(present, found, WiderFace.columns)
    notes += [f"{detections}: {hint}"] if hint else []
    records = present if only_present else truth
    _check_scores(records, found, hint or "")
    names, place = _find_subset(data, records, subset)
    verdicts = judge_records(records, found, iou, quirk)
    chosen = f"best F1 on {names[place]} faces" if score is None else "as asked for"
    score = verdicts.best_f1_score(place) if score is None else score
    tables, findings = _tables(records, verdicts, (names, place), (score, chosen))
    aps = {str(name): ap for name, ap, *_ in tables["subsets"].rows}
    rounding = "rounded as by the official toolbox" if quirk else "not rounded"
    made_with = [
        *_origin(detections, described, aps),
        f"{len(records):,} of {len(truth):,} pictures, {len(verdicts.scores):,} detections, "
        f"IoU {iou:g} ({rounding}); counted are the {names[place]} faces, others are ignored",
    ]
    title = f"Why the AP on {names[place]} faces is {aps[names[place]]:.4f}"
    text = (tables, title, made_with, findings, notes)
    return Diagnosis(records, found, place, score, verdicts, *text)


def read_metrics(folder: Path) -> dict[str, Any]:
    """What an evaluation says of itself; {} where it says nothing."""
    path = folder / "metrics.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise FacedetError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{path} holds no report of facedet evaluate")
    return content


def _read_truth(data: Path, split: str, lists: Path | None) -> list[Record]:
    """All annotated pictures; where there are no lists, every face of any size is in "all"."""
    folder = lists or data / "ground_truth"
    if lists or (folder / f"wider_face_{split}.mat").is_file():
        pictures = data / f"WIDER_{split}" / "images"
        records = read_ground_truth(folder, split)
        return [record._replace(path=pictures / f"{record.name}.jpg") for record in records]
    reading = read_wider_annotations(data, split, zero_size="keep", faceless="keep")
    count_all_faces(reading.records)
    return reading.records


def _check_scores(records: Sequence[Record], found: Mapping[str, np.ndarray], hint: str) -> None:
    """Refuses scores that neither a threshold in 0 … 1 nor a single picture's AP suits."""
    for record in records:
        scores = found.get(record.name, np.zeros((0, 5)))[:, 4]
        odd = (scores < 0) | (scores > 1)
        if odd.any():
            said = f"{record.name} has a score of {scores[odd][0]:g}, expected 0 to 1"
            raise FacedetError(f"{said}; {hint}" if hint else said)


def _find_subset(
    data: Path, records: Sequence[Record], name: str | None
) -> tuple[tuple[str, ...], int]:
    """The names of the subsets, and the place of the one that is asked for."""
    names = subset_names(records)
    name = name or names[-1]
    if name not in names:
        raise UsageError(f"--subset {name}: the data has {', '.join(names)}")
    place = names.index(name)
    if not any((record.tags["subsets"][:, place] & ~record.ignore).any() for record in records):
        raise FacedetError(f"{data}: none of the {len(records):,} pictures has a {name} face")
    return names, place


def _origin(detections: Path, described: Mapping[str, Any], aps: dict[str, Any]) -> list[str]:
    """Where the detections come from, and where their evaluation had another AP."""
    if not described:
        return [f"detections {Path(*detections.parts[-2:])}"]
    weights, versions = described.get("weights"), described.get("versions")
    parts = [f"protocol {described.get('protocol')}"]
    if isinstance(weights, dict):
        parts.append(f"weights {weights.get('file')}, sha256 {str(weights.get('sha256'))[:12]}")
    if isinstance(versions, dict):
        parts.append(f"facedet {versions.get('facedet')}")
    lines = [", ".join(parts)]
    before = {name: described.get(f"wider/{name}") for name in aps}
    known = {name: value for name, value in before.items() if isinstance(value, float)}
    if any(abs(value - aps[name]) > 1e-4 for name, value in known.items()):
        values = ", ".join(f"{name} {value:.4f}" for name, value in known.items())
        lines.append(f"metrics.json has another AP: {values} on {described.get('images')} pictures")
    return lines


def _tables(
    records: Sequence[Record],
    verdicts: Verdicts,
    subsets: tuple[tuple[str, ...], int],
    operation: tuple[float, str],
) -> tuple[dict[str, report.Table], list[str]]:
    """All tables by name, in the order of the page, and the sentences above them."""
    (names, subset), (score, chosen) = subsets, operation
    ap = verdicts.ap(subset)
    errors = price_errors(verdicts, subset, score)
    heights, *others = report.tables_of_recall(verdicts, records, subset, score)
    tables = [
        report.table_of_subsets(verdicts, names),
        report.table_of_operation(verdicts, names, score, chosen),
        report.table_of_errors(errors, ap),
        *(heights, *others),
        report.table_of_dropping(verdicts, names, subset),
        report.table_of_images(verdicts.image_aps(subset)),
    ]
    lowest = verdicts.scores.min().item() if len(verdicts.scores) else 0.0
    findings = report.headline(names[subset], ap, errors, heights, lowest)
    return {table.name: table for table in tables}, findings


def save(output: Path, one: Diagnosis, worst: int) -> list[str]:
    """Writes the page, a CSV file of every table, the AP of every picture, and the pictures.

    Args:
        output: folder of the report.
        one: the diagnosis.
        worst: pictures on the sheet of those with the lowest AP.

    Returns:
        Notes on pictures that are not on the sheet.
    """
    for table in one.tables.values():
        with replacing_table(output / f"{table.name}.csv") as rows:
            rows.writerow(table.header)
            rows.writerows(table.rows)
    values, faces = one.verdicts.image_aps(one.subset), one.verdicts.image_faces(one.subset)
    with replacing_table(output / "image_ap.csv", errors="backslashreplace") as rows:
        rows.writerow(["name", "faces", "AP"])
        for record, number, value in zip(one.records, faces, values, strict=True):
            rows.writerow([record.name, number, f"{value:.6f}" if number else ""])
    caption = "\n".join([one.title, *one.made_with])
    plots.plot_diagnosis(output / "diagnosis.png", one.tables, caption)
    plots.plot_image_aps(output / "image_ap.png", values, caption)
    pictures = {"diagnosis.png": "the tables as bars", "image_ap.png": "AP of single images"}
    notes = _draw_worst(output / "worst.jpg", one, values, faces, worst)
    if is_drawn(output / "worst.jpg"):
        pictures["worst.jpg"] = "the images of lowest AP; green: found, red: missed, yellow: false"
    with replacing(output / "report.md") as aside:
        links = "".join(f"\n![{note}]({name})\n" for name, note in pictures.items())
        aside.write_text(one.page + links, encoding="utf-8")
    return notes


def _draw_worst(
    path: Path, one: Diagnosis, values: np.ndarray, faces: np.ndarray, count: int
) -> list[str]:
    """Draws the pictures of lowest AP, those with more faces first; notes what is not there."""
    order = sorted(faces.nonzero()[0].tolist(), key=lambda place: (values[place], -faces[place]))
    there = [place for place in order if one.records[place].path.is_file()]
    notes = []
    if len(there) < len(order):
        missing = f"{len(order) - len(there):,} of {len(order):,} pictures are not on disk"
        notes.append(f"{missing}: {'the sheet is of the others' if there else 'there is no sheet'}")
    drawn: list[np.ndarray] = []
    for place in there:
        record = one.records[place]
        try:
            rgb = read_rgb(record.path, record.upright)
        except FacedetError as error:
            notes.append(f"not on the sheet: {error}")
            continue
        caption = f"AP {values[place]:.2f}, {faces[place]:,} faces  {record.name}"
        rows = one.found.get(record.name, np.zeros((0, 5)))
        judged = one.verdicts.picture(place, one.subset, one.score)
        drawn.append(plots.draw_verdicts(rgb, record, rows, judged, caption))
        if len(drawn) == count:
            break
    if drawn:
        save_picture(path, sheet(drawn, columns=3, cell=plots.CELL))
    elif is_drawn(path):  # an earlier report's
        path.unlink()
    return notes
