"""The tables of a diagnosis, and the one page that they make up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facedet.evaluation.diagnosis.errors import KINDS, price_errors, sort_faces
from facedet.evaluation.diagnosis.matching import Verdicts
from facedet.structures import Record
from facedet.tables import pipe_table

# Upper ends, px, of all bins of face heights but the last.
HEIGHTS = (10, 20, 40, 80, 160, 320)
# Scores below which an evaluation, or whoever shows boxes, might drop them; 0 stands for none.
DROPPED = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# What the values 0, 1, 2 of WIDER FACE's attributes mean.
MEANINGS = {
    "blur": ("clear", "normal", "heavy"),
    "expression": ("typical", "exaggerated"),
    "illumination": ("normal", "extreme"),
    "occlusion": ("none", "partial", "heavy"),
    "pose": ("typical", "atypical"),
    "invalid": ("no", "yes"),
}
_EVENTS = 10  # those with the lowest recall are on the page
_FATES = ("low-scored", "badly localised", "crowded out", "missed")

Cell = str | int | float | None
Row = tuple[Cell, ...]


class Table(NamedTuple):
    """One table of the report; its name is that of its CSV file."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: list[Row]
    note: str = ""  # for the reader of the page


def make_tables(
    verdicts: Verdicts, records: Sequence[Record], names: Sequence[str], subset: int, score: float
) -> list[Table]:
    """All tables, in the order of the page, at the operating score.

    `names` are the subsets; where a table is of one only, its faces are those of `subset`.
    """
    subsets: list[Row] = []
    dropping: list[Row] = []
    for place, name in enumerate(names):
        precision, recall = verdicts.precision(place, score), verdicts.recall(place, score)
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
        shown = int((verdicts.false(place) & (verdicts.scores >= score)).sum())
        faces = int(verdicts.in_subset[:, place].sum())
        known = verdicts.ap(place), verdicts.recall(place), faces
        subsets.append((name, *known, precision, recall, f1, shown))
    for lowest in DROPPED:
        aps = [verdicts.ap(place, lowest) for place in range(len(names))]
        rates = verdicts.precision(subset, lowest), verdicts.recall(subset, lowest)
        dropping.append((f"{lowest:g}", *aps, *rates, int((verdicts.scores >= lowest).sum())))
    ap = verdicts.ap(subset)
    errors: list[Row] = [(*one, one.fixed - ap) for one in price_errors(verdicts, subset, score)]
    return [
        Table(
            "subsets",
            f"Average precision; precision and recall from score {score:.4g} on",
            ("subset", "AP", "ceiling recall", "faces", "precision", "recall", "F1", "false boxes"),
            subsets,
        ),
        Table(
            "errors",
            "Where the missing AP goes, each kind fixed alone",
            ("kind", "number", "of", "at the operating score", "AP if fixed", "gain"),
            errors,
            KINDS,
        ),
        *tables_of_recall(verdicts, records, subset, score),
        Table(
            "ap_by_score",
            "What is left if detections below a score are dropped",
            ("score from", *(f"AP {name}" for name in names), "precision", "recall", "boxes left"),
            dropping,
            f"Precision and recall: of the {names[subset]} faces.",
        ),
    ]


def tables_of_recall(
    verdicts: Verdicts, records: Sequence[Record], subset: int, score: float
) -> list[Table]:
    """What became of the faces by height, by attribute and by event.

    Attributes that not every record has are left out. Of the events, those with the lowest
    recall come first.
    """
    faces = verdicts.in_subset[:, subset].numpy()
    fates = {name: mask.numpy() for name, mask in sort_faces(verdicts, subset, score).items()}
    matched = faces & verdicts.found().numpy()

    def row(label: str, group: np.ndarray) -> Row:
        total = int((group & faces).sum())
        rates = [
            int((group & which).sum()) / total if total else None
            for which in (fates["found"], matched)
        ]
        return label, total, *rates, *(int((group & fates[name]).sum()) for name in _FATES)

    boxes = np.concatenate([record.boxes for record in records])
    bins = np.digitize(boxes[:, 3] - boxes[:, 1], HEIGHTS)
    ranges = [f"{low} - {high} px" for low, high in zip(HEIGHTS[:-1], HEIGHTS[1:], strict=True)]
    labels = [f"< {HEIGHTS[0]} px", *ranges, f">= {HEIGHTS[-1]} px"]
    by_height = [row(label, bins == place) for place, label in enumerate(labels)]
    by_attribute = []
    for key, meanings in MEANINGS.items():
        if all(key in record.tags for record in records):
            values = np.concatenate([record.tags[key] for record in records])
            named = dict(enumerate(meanings))
            by_attribute += [
                row(f"{key}: {named.get(value, value)}", values == value)
                for value in sorted({*named, *values.tolist()})
            ]
    events = [record.tags.get("event", "") for record in records]
    of_face = np.array(events)[verdicts.image.numpy()]
    by_event = [row(event, of_face == event) for event in sorted(set(events))]
    by_event.sort(key=lambda one: (one[2] is None, one[2], one[0]))
    header = ("faces", "recall", "ceiling recall", *_FATES)
    return [
        Table("recall_height", "Faces by height", ("height", *header), by_height),
        Table("recall_attributes", "Faces by attribute", ("attribute", *header), by_attribute),
        Table("recall_events", "Faces by event", ("event", *header), by_event),
    ]


def page(title: str, lines: Sequence[str], tables: Sequence[Table]) -> str:
    """The report as Markdown to be read as it stands; `lines` say what was measured."""
    text = [f"# {title}", "", *(f"{line}  " for line in lines)]
    for table in tables:
        note, rows = "", table.rows
        if table.name == "recall_events" and len(rows) > _EVENTS:
            note = f", the {_EVENTS} of {len(rows)} with the lowest recall"
            rows = rows[:_EVENTS]
        cells = [[_text(cell) for cell in row] for row in rows]
        numbers = [False, *[True] * (len(table.header) - 1)]
        text += ["", f"## {table.title}{note}", "", *pipe_table(table.header, cells, numbers)]
        text += ["", table.note] if table.note else []
    return "\n".join(text) + "\n"


def _text(cell: Cell) -> str:
    if isinstance(cell, int | float):
        return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4f}"
    return cell or "-"
