import csv

from facedet.loggers.csv import CsvHistory


def rows(folder):
    with (folder / "logs" / "metrics.csv").open(newline="") as stream:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(stream)]


def write(folder, *logged, resume=None):
    history = CsvHistory(str(folder))
    if resume is not None:
        history.resume(resume)
    for step, values in logged:
        history.log_metrics(values, step)
    history.save()


def test_a_row_per_step_and_a_column_that_comes_later(tmp_path):
    write(tmp_path, (0, {"loss": 2.0}), (1, {"loss": 1.5, "ap": 0.25}))
    assert rows(tmp_path) == [
        {"step": "0", "loss": "2.0"},
        {"step": "1", "loss": "1.5", "ap": "0.25"},
    ]


def test_a_resumed_run_keeps_the_rows_of_the_steps_done(tmp_path):
    write(tmp_path, (0, {"loss": 2.0}), (1, {"loss": 1.5}), (2, {"loss": 9.0}))
    write(tmp_path, (2, {"loss": 1.0}), (3, {"loss": 0.5, "ap": 0.5}), resume=2)
    assert [row["loss"] for row in rows(tmp_path)] == ["2.0", "1.5", "1.0", "0.5"]
    assert rows(tmp_path)[3]["ap"] == "0.5"


def test_a_run_that_begins_afresh_begins_a_new_file(tmp_path):
    write(tmp_path, (0, {"loss": 2.0}))
    write(tmp_path, (0, {"other": 1.0}))
    assert rows(tmp_path) == [{"step": "0", "other": "1.0"}]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    write(tmp_path, (0, {"loss": 2.0}), (1, {"loss": 1.5}))
    path = tmp_path / "logs" / "metrics.csv"
    path.write_text(path.read_text() + "1.")
    write(tmp_path, (2, {"loss": 1.0}), resume=2)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2"]


def test_a_row_sent_twice_is_one(tmp_path):
    write(tmp_path, (5, {"loss": 2.0}), (5, {"loss": 2.0}), (5, {"ap": 1.0}))
    assert len(rows(tmp_path)) == 2
