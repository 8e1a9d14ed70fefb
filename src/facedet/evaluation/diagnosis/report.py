"""The tables of a diagnosis, and the one page that they make up."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facedet.evaluation.diagnosis.errors import Errors, sort_faces
from facedet.evaluation.diagnosis.matching import Verdicts, is_found, precision, recall, subset_ap
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
Faces missed: no box reaches IoU 0.3; crowded out: boxes do, but mean other faces or lie nearer to
them; low-scored: found below the operating score. Boxes badly localised: nearest to a face at IoU
0.3 or more, but too far to mean it; near an ignored face: likewise, to a face that does not count;
duplicate: the face has a better-scored one; background: IoU below 0.3 with every face."""

Cell = str | int | float | None


class Table(NamedTuple):
    """One table of the report; its name is that of its CSV file."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    note: str = ""  # for the reader of the page


def table_of_subsets(verdicts: Verdicts, names: Sequence[str]) -> Table:
    """AP of each subset, and the recall that none of its detections can exceed."""
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            subset_ap(verdicts, place),
            recall(verdicts, place),
            int(verdicts.kept[:, place].sum()),
        )
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
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(names):
        found, right = recall(verdicts, place, score), precision(verdicts, place, score)
        f1 = 2 * found * right / (found + right) if found + right else 0.0
        false = verdicts.proposals[:, place] & ~verdicts.recalls[:, place]
        false &= verdicts.scores >= score
        rows.append((name, right, found, f1, int(false.sum())))
    header = ("subset", "precision", "recall", "F1", "false boxes")
    return Table("operating_point", f"At the operating score {score:.4g} ({chosen})", header, rows)


def table_of_errors(errors: Sequence[Errors], ap: float) -> Table:
    """What every kind of error costs: the AP without it, and the gain over `ap`."""
    rows: list[tuple[Cell, ...]] = [
        (one.kind, one.number, one.of, one.shown, one.mended, one.mended - ap) for one in errors
    ]
    header = ("kind", "number", "of", "at the operating score", "AP if mended", "gain")
    title = "Where the missing AP goes, each kind mended alone"
    return Table("errors", title, header, rows, _KINDS)


def tables_of_recall(
    verdicts: Verdicts, records: Sequence[Record], subset: int, score: float
) -> list[Table]:
    """What became of the faces by height, by attribute and by event.

    Attributes that not every record has are left out. Of the events, those with the lowest
    recall come first.
    """
    boxes = np.concatenate([record.boxes for record in records])
    heights = boxes[:, 3] - boxes[:, 1]
    names = [f"< {HEIGHTS[0]} px"]
    names += [f"{low} - {high} px" for low, high in zip(HEIGHTS[:-1], HEIGHTS[1:], strict=True)]
    bins = np.digitize(heights, HEIGHTS)
    shared = _Shared(verdicts, subset, score)
    by_height = [shared.row(name, bins == at) for at, name in enumerate([*names, ">= 320 px"])]
    by_attribute = []
    for key, meanings in MEANINGS.items():
        if all(key in record.tags for record in records):
            values = np.concatenate([record.tags[key] for record in records])
            odd = sorted(set(values.tolist()) - set(range(len(meanings))))
            labels = [*enumerate(meanings), *((value, str(value)) for value in odd)]
            by_attribute += [shared.row(f"{key}: {text}", values == at) for at, text in labels]
    events = [record.tags.get("event", "") for record in records]
    places = np.array(events)[verdicts.image.numpy()]
    by_event = [shared.row(event, places == event) for event in sorted(set(events))]
    by_event.sort(key=lambda row: (row[2] is None, row[2], row[0]))
    header = ("faces", "recall", "ceiling recall", *_FATES)
    return [
        Table("recall_height", "Faces by height", ("height", *header), by_height),
        Table("recall_attributes", "Faces by attribute", ("attribute", *header), by_attribute),
        Table("recall_events", "Faces by event", ("event", *header), by_event),
    ]


class _Shared:
    """What became of a subset's faces, to be counted in groups."""

    def __init__(self, verdicts: Verdicts, subset: int, score: float) -> None:
        self.kept = verdicts.kept[:, subset].numpy()
        self.ceiling = is_found(verdicts).numpy()
        fates = sort_faces(verdicts, subset, score)
        self.found = fates["found"].numpy()
        self.lost = [fates[fate].numpy() for fate in _FATES]

    def row(self, label: str, group: np.ndarray) -> tuple[Cell, ...]:
        """Faces, recall, ceiling recall, and how many were lost in which way."""
        total = int((group & self.kept).sum())
        rates = [
            int((group & self.kept & which).sum()) / total if total else None
            for which in (self.found, self.ceiling)
        ]
        return label, total, *rates, *(int((group & which).sum()) for which in self.lost)


def table_of_dropping(verdicts: Verdicts, names: Sequence[str], subset: int) -> Table:
    """AP, and precision and recall of one subset, where detections below a score are dropped."""
    rows: list[tuple[Cell, ...]] = []
    for lowest in DROPPED:
        values = [subset_ap(verdicts, place, lowest) for place in range(len(names))]
        shown = precision(verdicts, subset, lowest), recall(verdicts, subset, lowest)
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
    rows: list[tuple[Cell, ...]] = []
    for low, high in zip(edges, [*edges[1:], np.inf], strict=True):
        number = int(((values >= low) & (values < high)).sum())
        label = "1 (solved)" if low == SOLVED else f"{low:g} - {1 if high == SOLVED else high:g}"
        rows.append((label, number, number / len(values) if len(values) else None))
    title = "AP of single images, scores not stretched"
    return Table("image_ap_shares", title, ("AP", "images", "share"), rows)


def page(title: str, stamp: Sequence[str], findings: Sequence[str], tables: Sequence[Table]) -> str:
    """The report as Markdown that is also to be read as it stands.

    Args:
        title: of the page.
        stamp: what was measured with what, a line each.
        findings: the sentences to read first.
        tables: in their order; of the events, the first ten are shown.
    """
    lines = [f"# {title}", "", *(f"{line}  " for line in stamp), ""]
    lines += [f"- {text}" for text in findings]
    for table in tables:
        note = ""
        if table.name == "recall_events" and len(table.rows) > _EVENTS:
            note = f", the {_EVENTS} of {len(table.rows)} with the lowest recall"
            table = table._replace(rows=table.rows[:_EVENTS])
        lines += ["", f"## {table.title}{note}", "", *_markdown(table)]
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
    worst = sorted(single, key=lambda one: -one.mended)[:3]
    costs = ", ".join(
        f"{one.kind} ({one.number:,} {one.of}) {one.mended - ap:+.3f}"
        for one in worst
        if one.mended > ap
    )
    sums = ", ".join(f"without {one.kind} {one.mended:.3f}" for one in errors[len(single) :])
    lines = [f"AP on {subset} faces {ap:.4f}; {sums}."]
    if costs:
        lines.append(f"What would gain most, mended alone: {costs}.")
    unfound = {row[0]: sum(row[4:]) for row in heights.rows}  # type: ignore[arg-type]
    total = sum(unfound.values())
    if total:
        name, number = max(unfound.items(), key=lambda item: item[1])
        faces, rate = next(row[1:3] for row in heights.rows if row[0] == name)
        lines.append(
            f"Of the {total:,} faces not found at the operating score, {number:,} "
            f"({number / total:.0%}) have a height of {name}: recall {rate:.2f} of {faces:,} faces."
        )
    if lowest > _CUT:
        lines.append(
            f"No detection has a score below {lowest:.3g}: the files were cut there, and an AP "
            "wants scores down to 0.02 or lower."
        )
    return lines


def as_data(table: Table) -> list[dict[str, Any]]:
    """A table as one object per row, for JSON."""
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def describe_run(report: Mapping[str, Any]) -> str:
    """What an evaluation's metrics.json says of weights, protocol and version, as one line."""
    weights, versions = report.get("weights"), report.get("versions")
    parts = [f"protocol {report.get('protocol')}"]
    if isinstance(weights, dict):
        parts.append(f"weights {weights.get('file')}, sha256 {str(weights.get('sha256'))[:12]}")
    if isinstance(versions, dict):
        parts.append(f"facedet {versions.get('facedet')}")
    return ", ".join(parts)


def _markdown(table: Table) -> list[str]:
    rows = [[_text(cell) for cell in row] for row in table.rows]
    return pipe_table(table.header, rows, [False, *[True] * (len(table.header) - 1)])


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
