"""FDDB: regions in pixels and curves by hand, and what the official tool wrote for detections."""

import pickle

import cv2
import numpy as np
import pytest
import torch

from facedet.data.readers.fddb import read_fddb_ground_truth
from facedet.errors import UsageError
from facedet.evaluation.benchmarks import Fddb
from facedet.evaluation.detection_files import read_fddb_detections
from facedet.metrics.fddb import (
    EllipseDetections,
    EllipseTarget,
    FddbRoc,
    merge_steps,
    picture_steps,
    rate_below,
)
from facedet.metrics.regions import draw_ellipses, draw_rectangles, similarities
from facedet.structures import Detections

SIZE = (12, 20)  # 12 px high, 20 px wide


def ellipse(ra, rb, degrees, cx, cy):
    return np.array([[ra, rb, np.radians(degrees), cx, cy]])


def pixels(shape, size=SIZE):
    """(x, y) of all pixels of one ellipse."""
    drawn = draw_ellipses(shape, size)
    rows, columns = np.nonzero(drawn.masks[0])
    x1, y1 = drawn.windows[0, :2]
    assert drawn.areas[0] == len(rows)
    return sorted(zip((columns + x1).tolist(), (rows + y1).tolist(), strict=True))


def test_rectangles_by_hand():
    boxes = [[0, 0, 9, 4], [-5, -5, 4, 4], [15, 8, 99, 99], [30, 0, 40, 5], [-9, -9, -2, -2]]
    # 10 x 5; 5 x 5; 5 x 4; outside to the right; outside to the left.
    assert draw_rectangles(np.array(boxes, float), SIZE).areas.tolist() == [50, 25, 20, 0, 0]
    # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 3.51 -> 4: x from 0 to 2, y from 2 to 4; corners may be swapped.
    for corners in ([0.5, 1.5, 2.5, 3.51], [2.5, 3.51, 0.5, 1.5]):
        assert draw_rectangles(np.array([corners]), SIZE).windows.tolist() == [[0, 2, 3, 5]]


def test_flat_ellipses_by_hand():
    # A line along the first axis.
    assert pixels(ellipse(3, 0, 0, 8, 5)) == [(x, 5) for x in range(5, 12)]
    assert pixels(ellipse(3, 0, 90, 8, 5)) == [(8, y) for y in range(2, 9)]
    # The angle turns clockwise on the screen.
    line = pixels(ellipse(4, 0, 45, 8, 5))
    assert (10, 7) in line
    assert (10, 3) not in line
    # Axes are cut and centres rounded: 3.99 -> 3; 8.5 -> 8 and 5.5 -> 6, half to even.
    assert pixels(ellipse(3.99, 0.99, 0, 8.5, 5.5)) == [(x, 6) for x in range(5, 12)]
    # Cut at the borders.
    assert pixels(ellipse(3, 0, 0, 1, 5)) == [(x, 5) for x in range(5)]
    drawn = draw_ellipses(ellipse(3, 2, 0, 99, 5), SIZE)
    assert (drawn.areas.tolist(), drawn.masks[0].size) == ([0], 0)


def test_similarity_by_hand():
    line = ellipse(3, 0, 0, 8, 5)  # x from 5 to 11
    boxes = np.array([[5, 5, 11, 5], [9, 5, 13, 5], [0, 0, 3, 3]], float)
    # 7 of 7; 3 shared of 7 + 5 - 3; none.
    expected = [[1.0, 3 / 9, 0.0]]
    np.testing.assert_allclose(similarities(line, boxes, SIZE), expected)
    np.testing.assert_allclose(similarities(boxes, line, SIZE), np.transpose(expected))
    # What lies beyond the border counts for nothing: inside both are x from 16 to 19; in a wider
    # picture the line ends at 22, the box at 30: 7 of 15.
    line, box = ellipse(3, 0, 0, 19, 5), np.array([[16, 5, 30, 5]], float)
    assert similarities(line, box, SIZE).item() == 1.0
    assert similarities(line, box, (12, 99)).item() == pytest.approx(7 / 15)


def test_nothing_has_no_similarity():
    outside = np.array([[30, 30, 40, 40]], float)
    assert similarities(outside, outside, SIZE).item() == 0.0
    assert similarities(np.zeros((0, 5)), outside, SIZE).shape == (0, 1)
    assert similarities(ellipse(3, 2, 0, 8, 5), np.zeros((0, 4)), SIZE).shape == (1, 0)


def whole_mask(shape, size):
    """A region on a mask of the picture's size."""
    mask = np.zeros(size, np.uint8)
    if len(shape) == 5:
        centre = np.rint(shape[3:]).astype(int).tolist()
        axes = shape[:2].astype(int).tolist()
        cv2.ellipse(mask, centre, axes, float(np.degrees(shape[2])), 0, 360, 1, -1)
    else:
        corners = np.rint(shape).astype(int).tolist()
        cv2.rectangle(mask, corners[:2], corners[2:], 1, -1)
    return mask.astype(bool)


@pytest.mark.parametrize("columns", [(5, 4), (4, 5), (5, 5), (4, 4)])
def test_windows_say_what_whole_masks_say(columns):
    rng = np.random.default_rng(0)
    size = (70, 90)

    def shapes(kind):
        if kind == 5:
            low, high = [2, 2, -4, -10, -10], [40, 30, 4, 100, 80]
            return rng.uniform(low, high, (15, 5))
        low = rng.uniform(-20, 80, (15, 2))
        return np.hstack([low, low + rng.uniform(0, 50, (15, 2))])

    a, b = (shapes(kind) for kind in columns)
    masks = [[whole_mask(shape, size) for shape in some] for some in (a, b)]
    shared = np.array([[np.sum(x & y) for y in masks[1]] for x in masks[0]])
    union = np.array([[np.sum(x | y) for y in masks[1]] for x in masks[0]])
    assert (shared > 0).sum() > 20
    np.testing.assert_array_equal(similarities(a, b, size), shared / np.maximum(union, 1))


def steps(similarity, scores):
    return picture_steps(np.array(similarity, float), np.array(scores, float))


@pytest.mark.parametrize(
    ("similarity", "scores", "expected"),
    [
        # Alone, the best detection takes the second face: 0.7. With the other one it still does:
        # 0.55 + 0.7 is more than 0.6 + 0.
        ([[0.6, 0.55], [0.7, 0.0]], [0.9, 0.8], [[0.9, 1, 0, 0.7], [0.8, 1, 0, 0.55]]),
        # A larger sum may lose a hit: 0.45 + 0.45 is more than 0.6, and neither is above 0.5.
        ([[0.6, 0.45], [0.45, 0.0]], [0.9, 0.8], [[0.9, 1, 0, 0.6], [0.8, -1, 2, 0.3]]),
        # A hit is above the threshold.
        ([[0.5]], [0.9], [[0.9, 0, 1, 0.5]]),
        ([[0.500001]], [0.9], [[0.9, 1, 0, 0.500001]]),
        # The better-scored one has the face first and loses it to the other: 0.8 is more.
        ([[0.8, 0.7]], [0.2, 0.4], [[0.4, 1, 0, 0.7], [0.2, 0, 1, 0.1]]),
        # Equal scores are one step.
        ([[0.8, 0.0, 0.0]], [0.5, 0.5, 0.4], [[0.5, 1, 1, 0.8], [0.4, 0, 1, 0]]),
        # Detections that touch no face only add false positives.
        ([[0, 0.9, 0]], [0.9, 0.5, 0.1], [[0.9, 0, 1, 0], [0.5, 1, 0, 0.9], [0.1, 0, 1, 0]]),
        (np.zeros((2, 0)), [], np.zeros((0, 4))),
        (np.zeros((0, 2)), [0.9, 0.5], [[0.9, 0, 1, 0], [0.5, 0, 1, 0]]),
    ],
)
def test_steps_of_a_picture_by_hand(similarity, scores, expected):
    np.testing.assert_allclose(steps(similarity, scores), expected, atol=1e-15)


@pytest.fixture
def roc():
    """Two pictures, four faces, of which the fourth has no detection."""
    one, two = steps([[0.8, 0.0], [0.0, 0.6]], [0.9, 0.5]), steps([[0.0, 0.4]], [0.9, 0.3])
    return merge_steps(np.vstack([one, two]), 4)


def test_curves_of_a_set_by_hand(roc):
    assert roc.threshold.tolist() == [0.3, 0.5, 0.9]
    # At 0.9: a hit and a false alarm; at 0.5 one more hit; at 0.3 a pair of 0.4, which is none.
    assert roc.false_positives.tolist() == [2, 1, 1]
    np.testing.assert_allclose(roc.discrete, [2 / 4, 2 / 4, 1 / 4])
    np.testing.assert_allclose(roc.continuous, [1.8 / 4, 1.4 / 4, 0.8 / 4])
    np.testing.assert_allclose(roc.precision, [2 / 4, 2 / 3, 1 / 2])


def test_rate_below_a_number_of_false_positives(roc):
    # Fewer than 2: the row of 0.5. Fewer than 3: the lowest threshold. Fewer than 1: none.
    assert rate_below(roc.false_positives, roc.discrete, 2).item() == 0.5
    assert rate_below(roc.false_positives, roc.continuous, 3).item() == pytest.approx(0.45)
    assert rate_below(roc.false_positives, roc.discrete, 1).item() == 0.0


LINE = torch.tensor([[3.0, 0.0, 0.0, 8.0, 5.0]], dtype=torch.float64)  # x from 5 to 11 at y = 5
AROUND = torch.tensor([[5.0, 5.0, 11.0, 5.0]], dtype=torch.float64)


def target(index=0, size=None, ellipses=LINE, boxes=AROUND):
    return EllipseTarget(boxes, ellipses, index, size)


def found(*rows):
    values = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4])


def test_values_by_hand():
    metric = FddbRoc(false_positives=(1, 2))
    # 5 of 7 px of the line; then a false alarm.
    metric.update([found([5, 5, 9, 5, 0.9], [0, 0, 2, 2, 0.5])], [target()])
    metric.update([found()], [target(1)])
    values = {name: value.item() for name, value in metric.compute().items()}
    rates = {"discrete": 1 / 2, "continuous": 5 / 7 / 2}
    expected = {f"fddb/{name}_{n}": rate for name, rate in rates.items() for n in (1, 2)}
    assert values == pytest.approx(expected)
    assert (metric.images, metric.detections, metric.curves().faces) == (2, 2, 2)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_picture_seen_twice_counts_once():
    once, twice = FddbRoc(), FddbRoc()
    for metric, indices in ((once, (0, 1)), (twice, (1, 0, 1))):
        for index in indices:
            metric.update([found([5, 5, 9 + index, 5, 0.9])], [target(index)])
    assert twice.compute() == once.compute()
    assert (twice.images, twice.detections) == (2, 2)
    assert pickle.loads(pickle.dumps(twice)).compute() == once.compute()
    twice.reset()
    assert twice.images == 0
    assert {value.item() for value in FddbRoc().compute().values()} == {0.0}


def test_the_size_of_a_picture_cuts_its_regions():
    # To the right of x = 7 there is nothing: both are 3 px, instead of 7 and 15.
    detection = found([5, 5, 19, 5, 0.9])
    for size, side, expected in (((20, 8), 450, 1.0), (None, 450, 7 / 15), (None, 8, 1.0)):
        metric = FddbRoc(side=side)
        metric.update([detection], [target(size=size)])
        assert metric.compute()["fddb/continuous_1000"].item() == pytest.approx(expected)
    assert metric.settings()["border"] == "0 pictures' own, 1 at 8 px"


def test_boxes_in_place_of_ellipses_are_labelled():
    disc = torch.tensor([[4.0, 4.0, 0.0, 8.0, 8.0]], dtype=torch.float64)
    boxes = torch.tensor([[4.0, 4.0, 12.0, 12.0]], dtype=torch.float64)
    detection = found([4, 4, 12, 12, 0.9])
    masks, quick = FddbRoc(), FddbRoc(ellipses="boxes")
    for metric in (masks, quick):
        metric.update([detection], [target(ellipses=disc, boxes=boxes)])
    assert quick.compute()["fddb/continuous_1000"].item() == 1.0
    # A disc fills about 0.785 of its square.
    assert 0.6 < masks.compute()["fddb/continuous_1000"].item() < 0.8
    assert (masks.settings()["ellipses"], quick.settings()["ellipses"]) == ("masks", "boxes")
    with pytest.raises(UsageError, match="ellipses='box' is none of masks, boxes"):
        FddbRoc(ellipses="box")


def test_detections_may_be_ellipses():
    metric = FddbRoc()
    ellipse = EllipseDetections(AROUND, torch.tensor([0.9]), LINE)
    metric.update([ellipse], [target()])
    assert metric.compute()["fddb/continuous_1000"].item() == 1.0


# The pictures are not there. In these nine a face is or is not found depending on where the picture
# ends; the widths (px) are those with which the tool's continuous curve has the steps it has.
WIDTHS = {
    "2002/07/22/big/img_494": 403, "2002/07/25/big/img_844": 303, "2002/08/03/big/img_151": 406,
    "2002/08/15/big/img_291": 372, "2002/08/23/big/img_311": 357, "2003/01/13/big/img_432": 272,
    "2003/01/13/big/img_459": 302, "2003/01/15/big/img_425": 313, "2003/01/17/big/img_17": 313,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "reference" / "fddb"


@pytest.fixture(scope="module")
def stored(folder):
    """Rows of the tool: threshold, false positives, discrete, continuous, precision."""
    discrete, continuous, precision = (
        np.loadtxt(folder / f"fddb_mtcnn_lqy_{kind}.txt") for kind in ("DiscROC", "ContROC", "PR")
    )
    rows = [discrete[:, 2], discrete[:, 1], discrete[:, 0], continuous[:, 0], precision[:, 0]]
    return np.column_stack(rows)


def score(folder):
    records = [
        record._replace(tags=record.tags | {"size": (450, WIDTHS[record.name])})
        if record.name in WIDTHS
        else record
        for record in read_fddb_ground_truth(folder / "ellipses.txt")
    ]
    found = read_fddb_detections(folder / "fddb_mtcnn_lqy_result.txt")
    metric = FddbRoc()
    for index, record in enumerate(records):
        Fddb().feed(metric, record, found[record.name], index)
    return metric


@pytest.mark.data
def test_every_row_is_the_tools(folder, stored):
    metric = score(folder)
    roc = metric.curves()
    assert (metric.images, metric.detections, roc.faces) == (2845, 7375, 5171)
    threshold, false_positives, discrete, continuous, precision = stored.T
    # The tool prints six digits.
    np.testing.assert_allclose(roc.threshold, threshold, atol=6e-7)
    np.testing.assert_array_equal(roc.false_positives, false_positives)
    np.testing.assert_allclose(roc.discrete, discrete, atol=6e-7)
    np.testing.assert_allclose(roc.precision, precision, atol=6e-7)
    # Other pictures' right borders move the similarity of a pair without deciding on a hit.
    np.testing.assert_allclose(roc.continuous, continuous, atol=7e-4)
    row = np.flatnonzero(false_positives < 1000)[0]
    assert metric.compute()["fddb/discrete_1000"].item() == pytest.approx(discrete[row], abs=6e-7)
