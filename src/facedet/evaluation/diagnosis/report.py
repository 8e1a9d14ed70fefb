"""The tables of a diagnosis, and the one page that they make up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from facedet.evaluation.diagnosis.errors import Errors, sort_faces
from facedet.evaluation.diagnosis.matching import Verdicts
from facedet.structures import Record
from facedet.tables import pipe_table

# Upper ends, px, of all bins of face heights but the last.
HEIGHTS = (10, 20, 40, 80, 160, 320)
# Scores below which an evaluation, or whoever shows boxes, might drop them; 0 stands for none.
DROPPED = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# A set whose lowest score is above this was cut for pictures, not for an AP.
_CUT = 0.1
# What the values 0, 1, 2 of WIDER FACE's attributes mean.
MEANINGS = {
    "blur": ("clear", "normal", "heavy"),
    "expression": ("typical", "exaggerated"),
    "illumination": ("normal", "extreme"),
    "occlusion": ("none", "partial", "heavy"),
    "pose": ("typical", "atypical"),
    "invalid": ("no", "yes"),
}
# An AP that is a sum of recall steps misses 1 by rounding.
SOLVED = 1 - 1e-6
_IMAGE_BINS = (0.0, 0.25, 0.5, 0.75, 0.9)
_EVENTS = 10
_FATES = ("low-scored", "badly localised", "crowded out", "missed")

_KINDS = """\
Faces missed: no box reaches IoU 0.3; crowded out: boxes do, but match other faces or lie nearer to
them; low-scored: found below the operating score. Boxes badly localised: nearest to a face at IoU
0.3 or more, but too far to match it; near an ignored face: likewise, to a face that does not count;
duplicate: the face has a better-scored one; background: IoU below 0.3 with every face."""

Cell = str | int | float | None
Row = tuple[Cell, ...]


class Table(NamedTuple):
    """One table of the report; its name is that of its CSV file."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: list[Row]
    note: str = ""  # for the reader of the page


def table_of_subsets(verdicts: Verdicts, names: Sequence[str]) -> Table:
    """AP of each subset, and the recall that none of its detections can exceed."""
    faces = verdicts.in_subset.sum(dim=0).tolist()
    rows: list[Row] = [
        (name, verdicts.ap(place), verdicts.recall(place), faces[place])
        for place, name in enumerate(names)
    ]
    return Table("subsets", "Average precision", ("subset", "AP", "ceiling recall", "faces"), rows)


def table_of_operation(
    verdicts: Verdicts, names: Sequence[str], score: float, chosen: str
) -> Table:
    """Precision, recall and F1 of each subset where detections below a score are dropped.

    Args:
        verdicts: of the set.
        names: of the subsets.
        score: the operating score.
        chosen: how it was, for the title.
    """
    rows: list[Row] = []
    for place, name in enumerate(names):
        precision, recall = verdicts.precision(place, score), verdicts.recall(place, score)
        f1 = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
        false = verdicts.proposals[:, place] & ~verdicts.recalls[:, place]
        shown = int((false & (verdicts.scores >= score)).sum())
        rows.append((name, precision, recall, f1, shown))
    header = ("subset", "precision", "recall", "F1", "false boxes")
    return Table("operating_point", f"At the operating score {score:.4g} ({chosen})", header, rows)


def table_of_errors(errors: Sequence[Errors], ap: float) -> Table:
    """What every kind of error costs: the AP without it, and the gain over `ap`."""
    rows: list[Row] = [(*one, one.fixed - ap) for one in errors]
    header = ("kind", "number", "of", "at the operating score", "AP if fixed", "gain")
    return Table("errors", "Where the missing AP goes, each kind fixed alone", header, rows, _KINDS)


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
            odd = sorted(set(values.tolist()) - set(range(len(meanings))))
            named = [*enumerate(meanings), *((value, str(value)) for value in odd)]
            by_attribute += [row(f"{key}: {text}", values == value) for value, text in named]
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


def table_of_dropping(verdicts: Verdicts, names: Sequence[str], subset: int) -> Table:
    """AP, and precision and recall of one subset, where detections below a score are dropped."""
    rows: list[Row] = []
    for lowest in DROPPED:
        values = [verdicts.ap(place, lowest) for place in range(len(names))]
        shown = verdicts.precision(subset, lowest), verdicts.recall(subset, lowest)
        rows.append((f"{lowest:g}", *values, *shown, int((verdicts.scores >= lowest).sum())))
    header = ("score from", *(f"AP {name}" for name in names), "precision", "recall", "boxes left")
    note = f"Precision and recall: of the {names[subset]} faces."
    title = "What is left if detections below a score are dropped"
    return Table("ap_by_score", title, header, rows, note)


def table_of_images(values: np.ndarray) -> Table:
    """How the AP of single images is distributed.

    Args:
        values: [I] in [0, 1], not a number for images that do not count.
    """
    values = values[~np.isnan(values)]
    edges = [*_IMAGE_BINS, SOLVED]
    rows: list[Row] = []
    for low, high in zip(edges, [*edges[1:], np.inf], strict=True):
        number = int(((values >= low) & (values < high)).sum())
        label = "1 (solved)" if low == SOLVED else f"{low:g} - {1 if high == SOLVED else high:g}"
        rows.append((label, number, number / len(values) if len(values) else None))
    title = "AP of single images, scores not stretched"
    return Table("image_ap_shares", title, ("AP", "images", "share"), rows)


def page(title: str, made_with: Sequence[str], findings: Sequence[str], tables: list[Table]) -> str:
    """The report as Markdown that is also to be read as it stands.

    Args:
        title: of the page.
        made_with: what was measured with what, a line each.
        findings: the sentences to read first.
        tables: in their order; of the events, the first ten are shown.
    """
    lines = [f"# {title}", "", *(f"{line}  " for line in made_with), ""]
    lines += [f"- {text}" for text in findings]
    for table in tables:
        note, rows = "", table.rows
        if table.name == "recall_events" and len(rows) > _EVENTS:
            note = f", the {_EVENTS} of {len(rows)} with the lowest recall"
            rows = rows[:_EVENTS]
        texts = [[_text(cell) for cell in row] for row in rows]
        numbers = [False, *[True] * (len(table.header) - 1)]
        lines += ["", f"## {table.title}{note}", "", *pipe_table(table.header, texts, numbers)]
        lines += ["", table.note] if table.note else []
    return "\n".join(lines) + "\n"


def headline(
    subset: str, ap: float, errors: Sequence[Errors], heights: Table, lowest: float
) -> list[str]:
    """The sentences that answer the question: what costs most, and at which faces.

    Args:
        subset: the faces that count.
        ap: of the subset.
        errors: of `price_errors`.
        heights: of `tables_of_recall`.
        lowest: score among all detections.
    """
    single = [one for one in errors if not one.kind.startswith("all ")]
    sums = ", ".join(f"without {one.kind} {one.fixed:.3f}" for one in errors[len(single) :])
    lines = [f"AP on {subset} faces {ap:.4f}; {sums}."]
    costs = ", ".join(
        f"{one.kind} ({one.number:,} {one.of}) {one.fixed - ap:+.3f}"
        for one in sorted(single, key=lambda one: -one.fixed)[:3]
        if one.fixed > ap
    )
    if costs:
        lines.append(f"What would gain most, fixed alone: {costs}.")
    lost = [sum(row[4:]) for row in heights.rows]  # type: ignore[arg-type]
    if total := sum(lost):
        number = max(lost)
        name, faces, rate = heights.rows[lost.index(number)][:3]
        lines.append(
            f"Of the {total:,} faces not found at the operating score, {number:,} "
            f"({number / total:.0%}) have a height of {name}: recall {rate:.2f} of {faces:,} faces."
        )
    if lowest > _CUT:
        lines.append(
            f"No detection has a score below {lowest:.3g}: the files were cut there, and an AP "
            "needs scores down to 0.02 or lower."
        )
    return lines


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
