"""Drawings: where the lines are, what fits where, and what is told apart from a photo."""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from facedet.errors import FacedetError
from facedet.plots import (
    FALSE_ALARM,
    FOUND,
    MISSED,
    Box,
    Point,
    draw_boxes,
    is_drawn,
    judge_boxes,
    plot_histogram,
    plot_precision_recall,
    plot_trade_off,
    save_picture,
    sheet,
)


def black(height, width):
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_a_box_is_drawn_on_a_copy():
    picture = black(100, 100)
    drawn = draw_boxes(picture, [Box([10, 20, 60, 80], MISSED)])
    assert not picture.any()
    # 100 / 500 px round to the thinnest line, 1 px, along the corners' rows and columns.
    for row, column in ((20, 10), (20, 60), (80, 10), (80, 60), (50, 10), (20, 30)):
        assert tuple(drawn[row, column]) == MISSED
    changed = drawn.any(axis=2)
    # Two rows of 51 pixels, and two columns of 59 between them.
    assert changed.sum() == 2 * 51 + 2 * 59
    assert tuple(draw_boxes(picture, [Box([10, 20, 60, 80])])[20, 10]) == FOUND


@pytest.mark.parametrize(
    "corners", [[-50, -50, 300, 300], [90, 0, 150, 5], [0, 95, 5, 160], [-1e6, -1e6, 1e6, 1e6]]
)
def test_a_text_stays_inside_wherever_the_box_is(corners):
    blank = draw_boxes(black(100, 100), [Box(corners)])
    drawn = draw_boxes(black(100, 100), [Box(corners, text="0.99")])
    # Its plate has the box's colour: more pixels than the box alone.
    assert (drawn != blank).any(axis=2).sum() > 50


def test_a_text_that_would_hide_a_face_is_left_out():
    below, above, beside = [10, 40, 20, 50], [18, 32, 26, 40], [60, 32, 68, 40]
    for other, is_hidden in ((above, True), (beside, False)):
        plain = draw_boxes(black(100, 100), [Box(below), Box(other)])
        drawn = draw_boxes(black(100, 100), [Box(below, text="0.99"), Box(other)])
        assert (drawn == plain).all() == is_hidden


def test_a_picture_smaller_than_its_text():
    assert draw_boxes(black(1, 1), [Box([0, 0, 1, 1], text="0.99")]).shape == (1, 1, 3)


def test_sheet_puts_pictures_row_by_row_in_white_cells():
    pictures = [np.full((10, 20, 3), value, dtype=np.uint8) for value in (10, 20, 30)]
    joined = sheet(pictures, columns=2, cell=24)
    assert joined.shape == (48, 48, 3)
    # Fitted to 20 px of 24, from 2 px on: columns 2 … 21, and as the picture is flat, rows 2 … 11.
    assert joined[5, 5, 0] == 10
    assert joined[5, 24 + 5, 0] == 20
    assert joined[24 + 5, 5, 0] == 30
    assert (joined[24:, 24:] == 255).all()
    assert joined[12, 5, 0] == 255


def test_boxes_of_a_diverging_training_are_drawn_as_far_as_they_are_inside():
    drawn = draw_boxes(black(20, 20), [Box([-1e30, 5, 1e30, 3e38]), Box([1e9, 1e9, 2e9, 2e9])])
    # Of the first one the upper edge; the second one lies outside.
    assert tuple(drawn[5, 10]) == FOUND
    drawn[5] = 0
    assert not drawn.any()


def test_judge_boxes():
    """IoU of a box with itself shifted by a third of its side: (20 · 30) / (2 · 900 - 600) = 0.5.

    Shifted by half: (15 · 30) / (1800 - 450) = 1/3.
    """
    faces = torch.tensor([[0.0, 0.0, 30.0, 30.0], [100.0, 0.0, 130.0, 30.0]])
    found = torch.tensor([[10.0, 0.0, 40.0, 30.0], [115.0, 0.0, 145.0, 30.0]])
    drawn = [(box.colour, box.text) for box in judge_boxes(found, [0.75, 0.5], faces)]
    assert drawn == [(MISSED, ""), (FOUND, "0.75"), (FALSE_ALARM, "0.50")]
    assert judge_boxes(found, [0.75, 0.5], faces)[0].corners == faces[1].tolist()
    none = torch.zeros(0, 4)
    assert [box.colour for box in judge_boxes(none, [], faces)] == [MISSED] * 2
    assert [box.colour for box in judge_boxes(found, [0.75, 0.5], none)] == [FALSE_ALARM] * 2


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1), (3, 2)])
def test_sheet_of_extreme_pictures(size):
    # 1 x 3000 fitted to 28 px would be 0.009 px high.
    assert (sheet([black(*size)], columns=1, cell=32) == 0).any()


def test_saved_pictures_are_known_as_drawn(tmp_path):
    save_picture(tmp_path / "a_faces.jpg", black(8, 8))
    Image.fromarray(black(8, 8)).save(tmp_path / "photo_faces.jpg")
    (tmp_path / "text_faces.jpg").write_text("no picture")
    assert is_drawn(tmp_path / "a_faces.jpg")
    for name in ("photo_faces.jpg", "text_faces.jpg", "nowhere.jpg"):
        assert not is_drawn(tmp_path / name)
    with pytest.raises(FacedetError, match=r"a\.webp cannot be written: .* limit of 16383"):
        save_picture(tmp_path / "a.webp", black(1, 16_384))
    save_picture(tmp_path / "sheet.png", black(8, 8))
    assert Image.open(tmp_path / "sheet.png").size == (8, 8)


def test_precision_recall_is_drawn_without_the_window_system(tmp_path):
    path = tmp_path / "curves.png"
    # In a process of its own: another test may have imported pyplot already.
    code = (
        "import sys, numpy as np; from pathlib import Path; from facedet import plots;"
        "curves = {'easy': (np.array([0., 1., .5]), np.array([0., .5, 1.]))};"
        f"plots.plot_precision_recall(Path({str(path)!r}), curves, {{'easy': .75}}, 'title');"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    image = Image.open(path)
    assert image.size == (720, 600)  # 6 x 5 inches at 120 dpi
    assert len(set(image.convert("L").getdata())) > 10


def test_a_curve_without_any_detection(tmp_path):
    zeros = np.zeros(5)
    plot_precision_recall(tmp_path / "a.png", {"easy": (zeros, zeros)}, {"easy": 0.0}, "nothing")
    assert (tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize("values", [{}, {"a": []}, {"a": [5.0]}, {"a": [1.0, 1000.0], "b": [7.5]}])
def test_a_histogram_of_many_few_and_no_numbers(tmp_path, values):
    series = {name: np.array(numbers) for name, numbers in values.items()}
    plot_histogram(tmp_path / "a.png", series, "px", "title")
    assert Image.open(tmp_path / "a.png").size == (720, 480)  # 6 x 4 inches at 120 dpi


def test_the_histograms_bars(tmp_path, monkeypatch):
    """Every number is in a bar, the smallest and the largest too."""
    from matplotlib.axes import Axes

    counted = {}
    draw = Axes.hist

    def hist(self, series, edges, **options):
        heights, *rest = draw(self, series, edges, **options)
        counted[options["label"]] = (heights.sum(), len(heights))
        return heights, *rest

    monkeypatch.setattr(Axes, "hist", hist)
    series = {"a": np.geomspace(3, 3000, 17), "b": np.full(4, 3000.0)}
    plot_histogram(tmp_path / "a.png", series, "px", "title")
    assert counted == {"a": (17, 40), "b": (4, 40)}


@pytest.mark.parametrize("costs", [(1.0, 2.0), (1.0, 200.0), (1.0, 1.0)])
def test_trade_offs_are_drawn_side_by_side(tmp_path, costs):
    points = [Point(costs[0], 0.5, None, "2", True), Point(costs[1], 0.75, 0.125, "1", True)]
    path = tmp_path / "pareto.png"
    plot_trade_off(path, {"parameters": points, "ms": points[:1]}, "wider/hard", "title")
    # (0.8 + 2 * 4.6) inches x 4.6 inches at 120 dots per inch.
    assert Image.open(path).size == (1200, 552)


@pytest.fixture
def saved_figures(monkeypatch):
    """The figures that were written, in their order."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda *given: figures.append(given[0]) or save(*given))
    return figures


def test_names_of_trade_offs_lie_inside_and_not_over_each_other(tmp_path, saved_figures):
    crowd = [Point(5.0, 0.5, None, f"beaten {i}", False) for i in range(6)]
    best = [Point(1.0, 0.5, None, "left", True), Point(9.0, 1.0, None, "a long name", True)]
    plot_trade_off(tmp_path / "a.png", {"ms": [*crowd, *best]}, "AP", "title")
    (axes,) = saved_figures[0].axes
    boxes = [text.get_window_extent() for text in axes.texts]
    # Four corners of the point that six share.
    assert sorted(text.get_text() for text in axes.texts) == [
        "a long name", "beaten 0", "beaten 1", "beaten 2", "beaten 3", "left",
    ]  # fmt: skip
    assert all(axes.bbox.contains(*corner) for box in boxes for corner in (box.min, box.max))
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_names_of_trade_offs_lie_beside_all_points(tmp_path, saved_figures):
    # The second point is where the first one's name would go.
    points = [Point(1.0, 0.5, None, "a long name", True), Point(1.3, 0.52, None, "b", True)]
    points += [Point(3.0, 0.8, None, "c", True), Point(0.0, 0.1, None, "d", True)]
    plot_trade_off(tmp_path / "a.png", {"ms": points}, "AP", "title")
    (axes,) = saved_figures[0].axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(points)
    for place in axes.transData.transform([point[:2] for point in points]):
        assert not any(box.contains(*place) for box in boxes)
