"""Tables and pictures of studies."""

import csv

from PIL import Image

from facedet.evaluation.study_files import markdown, plot_bars, plot_lines, save_csv

ROWS = [
    {"scales": "all", "pictures": 3226, "easy": 0.957},
    {"scales": "without 100", "pictures": 12, "easy": None},
]


def test_markdown():
    assert markdown(ROWS).splitlines() == [
        "| scales      | pictures |   easy |",
        "|-------------|---------:|-------:|",
        "| all         |    3,226 | 0.9570 |",
        "| without 100 |       12 |      – |",
    ]


def test_csv_carries_the_stamp_in_every_row(tmp_path):
    save_csv(tmp_path / "new" / "a.csv", ROWS, {"protocol": "wider", "images": 3226})
    rows = list(csv.DictReader((tmp_path / "new" / "a.csv").open()))
    assert list(rows[0].values()) == ["all", "3226", "0.957", "wider", "3226"]
    assert list(rows[1].values()) == ["without 100", "12", "", "wider", "3226"]


def test_pictures(tmp_path):
    plot_bars(tmp_path / "bars.png", ["all", "only 100"], {"easy": [1.0, 0.2]}, "title")
    # 0.4 inches a bar would be less than the least width, 6 inches of 120 px.
    assert Image.open(tmp_path / "bars.png").size == (720, 600)
    series = {"easy": ([0.1, 0.5], [0.9, 0.8])}
    plot_lines(tmp_path / "lines.png", series, ("minimal score", "AP"), "title")
    assert Image.open(tmp_path / "lines.png").size == (780, 600)


def test_logarithmic_axes(tmp_path):
    series = {"a": ([320, 640], [12.0, 50.0]), "b": ([320, 1600], [500.0, 9000.0])}
    plot_lines(tmp_path / "log.png", series, ("side, px", "ms"), "title", log=True)
    assert Image.open(tmp_path / "log.png").size == (780, 600)
