"""The tables of a diagnosis, the one page that they make up, and its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.evaluation.diagnosis.matching import KINDS, Verdicts, price_errors, sort_faces
from facedet.plots import drawing
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
# An AP that is a sum of recall steps misses 1 by rounding.
SOLVED = 1 - 1e-6
_STRONG, _PALE, _LOSS = "#1f77b4", "#aec7e8", "#d62728"
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


def plot_diagnosis(path: Path, tables: dict[str, Table], title: str) -> None:
    """Writes recall by height and by attribute, AP by score and the cost of errors as a PNG."""
    with drawing(path, (13, 9.5), dpi=110) as figure:
        ((heights, errors), (attributes, scores)) = figure.subplots(2, 2)
        for axes, key in ((heights, "recall_height"), (attributes, "recall_attributes")):
            rows = [row for row in tables[key].rows if row[1]]
            labels = [f"{row[0]} ({row[1]:,})" for row in rows]
            series = {"boxes of any score": (3, _PALE), "operating score": (2, _STRONG)}
            for name, (column, colour) in series.items():
                values = [row[column] for row in rows]
                _bars(axes, tables[key].title, labels, values, colour, name)
            axes.set(xlim=(0, 1.02), xlabel="recall (number of faces at the labels)")
            axes.legend(loc="lower right", fontsize=8)
        rows = sorted(
            (row for row in tables["errors"].rows if not str(row[0]).startswith("all ")),
            key=lambda row: -row[5],  # type: ignore[operator]
        )
        labels = [f"{row[0]}\n{row[1]:,} {row[2]}, {row[5]:+.4f}" for row in rows]
        _bars(errors, tables["errors"].title, labels, [row[5] for row in rows], _LOSS)
        errors.set_xlabel("gain in AP")
        table = tables["ap_by_score"]
        columns = np.array(table.rows, dtype=np.float64).T
        for name, curve in zip(table.header[1:-1], columns[1:-1], strict=True):
            scores.plot(columns[0], curve, "o-" if name.startswith("AP ") else "--", label=name)
        scores.set(xlabel="score", ylim=(0, 1.02), xlim=(-0.02, 1))
        scores.set_title(table.title, fontsize=10)
        scores.legend(fontsize=8)
        scores.grid(alpha=0.3)
        figure.suptitle(title, fontsize=11)


def plot_image_aps(path: Path, values: np.ndarray, title: str) -> None:
    """Writes the sorted AP of single images and their histogram as a PNG.

    In the manner of arXiv 1811.11662, figure 1; of `values` [I] those that are no number are left
    out.
    """
    values = np.sort(values[~np.isnan(values)])[::-1]
    solved = int((values >= SOLVED).sum())
    with drawing(path, (10, 4), dpi=110) as figure:
        curve, bars = figure.subplots(1, 2)
        curve.fill_between(np.arange(len(values)), values, step="post", color=_PALE)
        curve.axvline(solved, color="black", linewidth=0.8, linestyle="--")
        curve.set(xlabel="images, best first", ylabel="AP of the image", ylim=(0, 1.02))
        share = f"{solved / max(len(values), 1):.1%}"
        curve.set_title(f"{solved:,} of {len(values):,} images solved, AP 1 ({share})", fontsize=9)
        bars.hist(values, np.linspace(0, 1, 21).tolist(), color=_STRONG)
        bars.set(xlabel="AP of the image", ylabel="images", xlim=(0, 1))
        figure.suptitle(title, fontsize=9)


def _bars(
    axes: Any, title: str, labels: list[str], values: list, colour: str, name: str = ""  # noqa: ANN401
) -> None:  # fmt: skip
    """Bars from above to below."""
    places = range(len(labels))[::-1]
    axes.barh(places, values, color=colour, height=0.6, label=name or None)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
