"""What is said of every face and box of a set, what errors cost, and the tables of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facedet.evaluation.benchmarks import WiderFace
from facedet.evaluation.diagnosis.errors import price_errors, sort_boxes, sort_faces
from facedet.evaluation.diagnosis.matching import judge_records
from facedet.evaluation.diagnosis.report import make_tables, page, tables_of_recall
from facedet.metrics.wider import WiderAP
from facedet.structures import Record

OPERATION = 0.7


def record(name, boxes, kept, **tags):
    """Boxes as x, y, w, h; kept [G] or [G, S]."""
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    kept = np.array(kept, dtype=bool)
    kept = kept[:, None] if kept.ndim == 1 else kept
    xyxy = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    ignore = np.zeros(len(boxes), dtype=bool)
    return Record(name, Path(f"{name}.jpg"), xyxy, ignore, {"subsets": kept, **tags})


# Faces of 10 x 10 px as the protocol counts sides; E does not count. G lies 5 px below F.
A, B, C, D, E, F, G = range(7)
FACES = record(
    "event/all kinds",
    [[x, 0, 9, 9] for x in (0, 100, 200, 300, 400, 500)] + [[500, 5, 9, 9]],
    [1, 1, 1, 1, 0, 1, 1],
)
ROWS = np.array(
    [
        [400, 0, 9, 9, 0.95],  # E, which does not count
        [0, 0, 9, 9, 0.9],  # A
        [500, 0, 9, 9, 0.85],  # F; its IoU with G is 50 / 150
        [0, 0, 9, 8, 0.8],  # A again, IoU 0.9
        [200, 0, 9, 3, 0.7],  # near C, IoU 0.4
        [400, 0, 9, 3, 0.65],  # near E, likewise
        [200, 0, 9, 2, 0.6],  # near C, IoU 0.3
        [600, 600, 9, 9, 0.55],  # background
        [0, 0, 9, 3, 0.5],  # near A, which is found
        [100, 0, 9, 9, 0.3],  # B
        [300, 0, 9, 1, 0.2],  # D, but for IoU 0.2: background
    ]
)
RECORDS = [
    record("event/none counts", [[0, 0, 9, 9]], [0]),
    FACES,
    record("event/without a box", np.zeros((0, 4)), np.zeros((0, 1))),
]
FOUND = {FACES.name: ROWS}


@pytest.fixture(params=[True, False], ids=["rounded", "not rounded"])
def verdicts(request):
    return judge_records(RECORDS, FOUND, integer_quirk=request.param)


def test_every_face_has_one_fate_and_every_false_box_one_kind(verdicts):
    fates = sort_faces(verdicts, 0, OPERATION)
    # The face of the first picture comes before A.
    places = {fate: (which.nonzero()[:, 0] - 1).tolist() for fate, which in fates.items()}
    assert places == {
        "found": [A, F],
        "low-scored": [B],
        "badly localised": [C],
        "crowded out": [G],
        "missed": [D],
    }
    kinds = sort_boxes(verdicts, 0)
    assert {kind: which.nonzero()[:, 0].tolist() for kind, which in kinds.items()} == {
        "badly localised": [4, 6, 8],
        "duplicate": [3],
        "near an ignored face": [5],
        "background": [7, 10],
    }


def test_ap_recall_and_f1_by_hand(verdicts):
    # Six faces; A and F at precision 1, B as the third of nine boxes.
    assert verdicts.ap(0) == pytest.approx((1 + 1 + 3 / 9) / 6)
    assert verdicts.recall(0) == 3 / 6
    # A score of its own is reached by F.
    assert verdicts.recall(0, 0.85) == 2 / 6
    # From 0.7 on: A, F, the duplicate and one near C.
    assert verdicts.recall(0, OPERATION) == 2 / 6
    assert verdicts.precision(0, OPERATION) == 2 / 4
    assert verdicts.precision(0, 0.96) == 0
    # 2 TP / (boxes + 6): 2/7 at 0.9, 4/8 at 0.85, 6/15 at 0.3.
    assert verdicts.best_f1_score(0) == 0.85
    values, faces = verdicts.image_aps(0)
    np.testing.assert_allclose(values, [np.nan, (2 + 3 / 9) / 6, np.nan])
    assert faces.tolist() == [0, 6, 0]


def test_what_errors_cost_by_hand(verdicts):
    errors = {one.kind: one for one in price_errors(verdicts, 0, OPERATION)}
    assert {kind: (one.number, one.of, one.shown) for kind, one in errors.items()} == {
        "missed": (1, "faces", 1),
        "crowded out": (1, "faces", 1),
        "low-scored": (1, "faces", 1),
        "badly localised": (3, "boxes", 1),
        "duplicate": (1, "boxes", 1),
        "near an ignored face": (1, "boxes", 0),
        "background": (2, "boxes", 0),
        "all unfound faces": (3, "faces", 3),
        "all false boxes": (7, "boxes", 2),
    }
    assert {kind: one.fixed for kind, one in errors.items()} == pytest.approx(
        {
            "missed": (2 + 3 / 9) / 5,
            "crowded out": (2 + 3 / 9) / 5,
            # B at 0.7 is, with the box near C, among five.
            "low-scored": (2 + 3 / 5) / 6,
            # 0.7 finds C, as the third of four; the others are gone: B is the fourth of seven.
            "badly localised": (2 + 3 / 4 + 4 / 7) / 6,
            # One box less before B.
            "duplicate": (2 + 3 / 8) / 6,
            "near an ignored face": (2 + 3 / 8) / 6,
            "background": (2 + 3 / 8) / 6,
            "all unfound faces": (2 + 3 / 9) / 3,
            "all false boxes": 3 / 6,
        }
    )


def test_equal_scores_are_chosen_together():
    two = record("e/a", [[0, 0, 9, 9], [50, 0, 9, 9]], [1, 1])
    wrong = [[200 + 20 * i, 0, 9, 9, 0.5] for i in range(4)]
    rows = np.array([[0, 0, 9, 9, 0.9], [50, 0, 9, 9, 0.5], *wrong])
    # 2 · 1 / (1 + 2) at 0.9, and 2 · 2 / (6 + 2) at 0.5, however the equal ones are ordered.
    assert judge_records([two], {"e/a": rows}).best_f1_score(0) == 0.9
    assert judge_records([two], {"e/a": rows[::-1].copy()}).best_f1_score(0) == 0.9


def test_nothing_detected_at_all():
    verdicts = judge_records(RECORDS, {})
    assert (verdicts.ap(0), verdicts.recall(0), verdicts.best_f1_score(0)) == (0, 0, 0)
    errors = {one.kind: one for one in price_errors(verdicts, 0, 0.5)}
    assert errors["missed"].number == 6
    assert all(one.fixed == 0 for one in errors.values())
    assert verdicts.image_aps(0)[0][1] == 0


def random_set(seed):
    """Eight pictures with two subsets, and boxes near faces, on them and anywhere."""
    rng = np.random.default_rng(seed)
    records, found = [], {}
    for index in range(8):
        number = int(rng.integers(0, 7))
        faces = np.hstack([rng.integers(0, 60, (number, 2)), rng.integers(5, 30, (number, 2))])
        name = f"event {index % 3}/{index}"
        records.append(record(name, faces, rng.random((number, 2)) < 0.7))
        near = np.repeat(faces, 3, axis=0) + rng.normal(0, 3, (3 * number, 4))
        rows = np.vstack([near, rng.uniform(1, 50, (5, 4))])
        if index != 5:
            found[name] = np.column_stack([rows, rng.random(len(rows)).round(2)])
    return records, found


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("quirk", [True, False])
def test_the_numbers_are_those_of_the_metric(seed, quirk):
    records, found = random_set(seed)
    verdicts = judge_records(records, found, 0.5, quirk)

    def metric(rows):
        metric = WiderAP(quirk, subsets=("a", "b"))
        for index, one in enumerate(records):
            WiderFace().feed(metric, one, rows.get(one.name, np.zeros((0, 5))), index)
        return metric

    curves, values = metric(found).curves(), metric(found).compute()
    left = {name: rows[rows[:, 4] >= 0.4] for name, rows in found.items()}
    dropped = metric(left).compute()
    for place, name in enumerate("ab"):
        assert verdicts.ap(place) == values[f"wider/{name}"].item()
        assert verdicts.recall(place) == pytest.approx(curves[name].recall[-1].item(), abs=1e-12)
        assert verdicts.ap(place, 0.4) == dropped[f"wider/{name}"].item()


@pytest.mark.parametrize("seed", range(4))
def test_faces_and_boxes_are_shared_out_and_fixing_never_harms(seed):
    verdicts = judge_records(*random_set(seed))
    for place in range(2):
        fates = torch.stack(list(sort_faces(verdicts, place, 0.5).values()))
        assert torch.equal(fates.sum(dim=0), verdicts.in_subset[:, place].long())
        kinds = torch.stack(list(sort_boxes(verdicts, place).values()))
        false = verdicts.proposals[:, place] & ~verdicts.recalls[:, place]
        assert torch.equal(kinds.sum(dim=0), false.long())
        errors = price_errors(verdicts, place, 0.5)
        assert min(one.fixed for one in errors) >= verdicts.ap(place) - 1e-12
        # Without false boxes, the AP is the ceiling recall.
        assert errors[-1].fixed == pytest.approx(verdicts.recall(place))


def test_tables_by_hand(verdicts):
    tables = {one.name: one for one in make_tables(verdicts, RECORDS, ["all"], 0, OPERATION)}
    (row,) = tables["subsets"].rows
    # AP, ceiling recall, faces; from 0.7 on precision, recall, F1 = 2 · 2 / (4 + 6), false boxes.
    expected = (7 / 18, 0.5, 6, 0.5, 1 / 3, 0.4, 2)
    assert (row[0], row[1:]) == ("all", pytest.approx(expected))
    rows = {row[0]: row[1:] for row in tables["ap_by_score"].rows}
    # AP, precision among the boxes that count (all but E's own), recall of six faces, boxes left.
    assert rows["0"] == (pytest.approx(7 / 18), 3 / 10, 3 / 6, 11)
    # From 0.5 on B is gone, and from 0.9 on F.
    assert rows["0.5"] == (pytest.approx(2 / 6), 2 / 8, 2 / 6, 9)
    assert rows["0.9"] == (pytest.approx(1 / 6), 1, 1 / 6, 2)
    # 0.165 = (2 + 3 / 4 + 4 / 7) / 6 - 7 / 18, see above.
    gains = {row[0]: row[-1] for row in tables["errors"].rows}
    assert gains["badly localised"] == pytest.approx((2 + 3 / 4 + 4 / 7) / 6 - 7 / 18)


def test_recall_in_groups():
    heights = [9, 10, 19, 320, 500, 40]
    tags = {"blur": np.array([0, 0, 2, 2, 2, 7]), "event": "one"}
    faces = record("one/a", [[700 * i, 0, 9, h] for i, h in enumerate(heights)], [1] * 6, **tags)
    other = record("two/b", [[0, 0, 9, 9]], [0], blur=np.zeros(1, int), event="two")
    third = record("three/c", [[0, 0, 9, 9]], [1], blur=np.ones(1, int), event="three")
    # The second face at 0.9, the fourth below the operating score.
    rows = np.array([[700, 0, 9, 10, 0.9], [2100, 0, 9, 320, 0.4]])
    records = [faces, other, third]
    verdicts = judge_records(records, {"one/a": rows})
    height, attribute, event = tables_of_recall(verdicts, records, 0, 0.5)
    # Faces, recall, ceiling recall, low-scored, badly localised, crowded out, missed.
    assert {row[0]: row[1:] for row in height.rows} == {
        "< 10 px": (2, 0, 0, 0, 0, 0, 2),  # that of the third picture as well
        "10 - 20 px": (2, 1 / 2, 1 / 2, 0, 0, 0, 1),
        "20 - 40 px": (0, None, None, 0, 0, 0, 0),
        "40 - 80 px": (1, 0, 0, 0, 0, 0, 1),
        "80 - 160 px": (0, None, None, 0, 0, 0, 0),
        "160 - 320 px": (0, None, None, 0, 0, 0, 0),
        ">= 320 px": (2, 0, 1 / 2, 1, 0, 0, 1),
    }
    # Only "blur" is in all records; the file's 7 has no meaning.
    assert [row[:4] for row in attribute.rows] == [
        ("blur: clear", 2, 1 / 2, 1 / 2),
        ("blur: normal", 1, 0, 0),
        ("blur: heavy", 3, 0, 1 / 3),
        ("blur: 7", 1, 0, 0),
    ]
    assert [row[:3] for row in event.rows] == [("three", 1, 0), ("one", 6, 1 / 6), ("two", 0, None)]


def test_page_is_aligned_and_short(verdicts):
    _, errors, _, _, events, _ = make_tables(verdicts, RECORDS, ["all"], 0, OPERATION)
    rows = [(f"event {i:02}", 1000, None, 0.5, 0, 0, 0, 0) for i in range(12)]
    text = page("A title", ["by whom"], [errors, events._replace(rows=rows)])
    assert text.startswith("# A title\n\nby whom  \n\n## Where the missing AP goes")
    assert "| missed               |      1 | faces |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines[:11]}) == 1
    assert "the 10 of 12 with the lowest recall" in text
    assert "| event 09 | 1,000 |      - |         0.5000 |" in text
    assert "event 10" not in text


def image_aps(scores, kept, faces=((0, 0, 9, 9), (20, 0, 9, 9)), **options):
    """Of three 10 x 10 px detections at 0, 20 and 40 px, the last of which is on no face."""
    rows = [[x, 0, 9, 9, score] for x, score in zip((0, 20, 40), scores, strict=True)]
    one = record("e/a", faces, kept)
    return judge_records([one], {"e/a": np.array(rows)}, **options).image_aps(0)[0].tolist()


def test_the_ap_of_an_image_by_hand():
    # Face at 0.9, false at 0.8, face at 0.5: half the recall at precision 1, half at 2/3.
    assert image_aps([0.9, 0.5, 0.8], [1, 1]) == pytest.approx([1 / 2 + 1 / 3])
    # The second face does not count: nor does what found it.
    assert image_aps([0.5, 0.9, 0.1], [1, 0]) == [1.0]
    # The false positive is better than the one face: precision 1/2.
    assert image_aps([0.5, 0.9, 0.8], [1, 0]) == [0.5]
    # The thresholds are multiples of 0.001: both scores pass 0.900 together, precision 1/2.
    # Spread over 0 … 1 they would not, and the AP would be 1.
    assert image_aps([0.9004, 0.9, 0.9001], [1, 0]) == [0.5]
    # IoU 0.6 and 0.9 of the detection: rounded, the first face has it, which counts.
    nested = ((0, 0, 9, 5), (0, 0, 9, 8))
    assert image_aps([0.9, 0.1, 0.1], [1, 0], nested, integer_quirk=False) == [0.0]
    assert image_aps([0.9, 0.1, 0.1], [1, 0], nested, integer_quirk=True) == [1.0]
