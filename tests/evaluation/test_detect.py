"""Detecting over a data set, and what the sheet of pictures shows."""

import numpy as np
import pytest
import torch
from PIL import Image

from facedet.evaluation.detect import detect_records, judge, save_sheet
from facedet.plots import FALSE_ALARM, FOUND, MISSED, evenly
from facedet.structures import Detections, Record
from reference.one_face import save_picture
from reference.refused_weights import complaint


def record(folder, name, boxes=((10, 10, 30, 30),), subsets=None):
    path = save_picture(folder / f"{name}.jpg", (64, 48))
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    tags = {} if subsets is None else {"subsets": np.array(subsets, dtype=bool)}
    return Record(name, path, boxes, np.zeros(len(boxes), dtype=bool), tags)


def at(*boxes, note=""):
    """A detector that finds these boxes in every picture."""
    found = Detections(torch.tensor(boxes).reshape(-1, 4), torch.full((len(boxes),), 0.75), note)
    return lambda rgb: found


class Writer:
    """Takes detections, and says whether it was closed."""

    def __init__(self):
        self.boxes, self.closed = {}, False

    def has(self, name):
        return name == "e/there"

    def add(self, name, detections):
        self.boxes[name] = detections.boxes.tolist()

    def close(self):
        self.closed = True


def test_pictures_are_written_in_order_and_resumed(tmp_path):
    records = [record(tmp_path, name) for name in ("e/a", "e/there", "e/b")]
    seen, writer = [], Writer()

    def detect(rgb):
        seen.append(rgb.shape)
        return at([1.0, 2.0, 11.0, 22.0], note="in tiles")(rgb)

    names = ["e/a", "e/there", "e/b"]
    assert detect_records(detect, records, writer) == dict.fromkeys(names, "in tiles")
    assert seen == [(48, 64, 3)] * 3
    assert writer.boxes == {name: [[1, 2, 11, 22]] for name in names}
    assert writer.closed
    assert detect_records(detect, [], writer) == {}
    resumed = Writer()
    assert detect_records(at(), records, resumed, resume=True) == {}
    assert list(resumed.boxes) == ["e/a", "e/b"]


def test_what_was_found_before_an_interruption_is_written(tmp_path):
    writer = Writer()

    def interrupted(rgb):
        if writer.boxes:
            raise KeyboardInterrupt
        return at([1.0, 1.0, 5.0, 5.0])(rgb)

    records = [record(tmp_path, "e/a"), record(tmp_path, "e/b")]
    with pytest.raises(KeyboardInterrupt):
        detect_records(interrupted, records, writer)
    assert (list(writer.boxes), writer.closed) == (["e/a"], True)


def test_unreadable_pictures_do_not_stop_the_rest(tmp_path, capsys):
    records = [record(tmp_path, f"e/a{i}") for i in range(5)]
    records[0].path.write_text("no picture")
    records[4].path.unlink()
    writer = Writer()
    complaint(detect_records, at(), records, writer, words=["2 of 5 pictures cannot be read"])
    assert list(writer.boxes) == ["e/a1", "e/a2", "e/a3"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [str(records[0].path), str(records[4].path)]


def colours(found, one):
    return [(box.colour, box.text) for box in judge(np.array(found).reshape(-1, 5), one)]


def test_judge_tells_found_missed_and_false_alarm(tmp_path):
    one = record(tmp_path, "e/a", [(10, 10, 30, 30), (40, 10, 60, 30)])
    found = [
        [10, 10, 20, 20, 0.9],  # the first face exactly
        [0, 40, 5, 5, 0.5],  # nowhere near
        [40, 10, 20, 20, 0.49],  # the second face, with a score that is not shown
    ]
    assert colours(found, one) == [(MISSED, ""), (FOUND, "0.90"), (FALSE_ALARM, "0.50")]
    assert colours([], record(tmp_path, "e/a")) == [(MISSED, "")]


def test_faces_to_ignore_and_those_that_count_nowhere_are_not_missed(tmp_path):
    boxes = [(10, 10, 30, 30), (40, 10, 60, 30)]
    ignored, unlisted = (record(tmp_path, "e/a", boxes, s) for s in (None, [[0, 0], [0, 1]]))
    ignored.ignore[0] = True
    for one in (ignored, unlisted):
        (missed,) = judge(np.zeros((0, 5)), one)
        assert list(missed.corners) == [40, 10, 60, 30]
        # Found all the same, they are no false alarms.
        found = [[10, 10, 20, 20, 0.9], [40, 10, 20, 20, 0.9]]
        assert colours(found, one) == [(FOUND, "0.90")] * 2


def test_sheet_shows_pictures_of_the_whole_set(tmp_path):
    records = [record(tmp_path, f"e/a{i}") for i in range(6)]
    assert [one.name for one in evenly(records, 4)] == ["e/a0", "e/a2", "e/a3", "e/a5"]
    # Four cells of 420 px in a row; a picture of which nothing is said has no detections.
    save_sheet(tmp_path / "out" / "sheet.png", records[:1], {})
    assert Image.open(tmp_path / "out" / "sheet.png").size == (1680, 420)
