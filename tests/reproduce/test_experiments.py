"""Verdicts, and the report that shows them."""

from pathlib import Path

import pytest

from facedet.reproduce.experiments import (
    PAPER,
    Experiment,
    Outcome,
    Result,
    check_number,
    verdict,
)
from facedet.reproduce.results import Done, Line, read_done, save_done, told, write_report

MEASURED = Result("seen", "3")
AGREES = Result("one", "1", "1", PAPER, True)
DIFFERS = Result("two", "3", "2", PAPER, False)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome([AGREES]), "holds"),
        (Outcome([AGREES, MEASURED]), "holds"),
        (Outcome([AGREES, DIFFERS]), "differs"),
        (Outcome([AGREES], label="short training"), "holds (short training)"),
        (Outcome([MEASURED]), "not run: nothing to compare with is published"),
        (Outcome([MEASURED], short_of="a GPU"), "not run: a GPU"),
        (Outcome([]), "not run: nothing to compare with is published"),
    ],
)
def test_verdict(outcome, expected):
    assert verdict(outcome) == expected


@pytest.mark.parametrize(
    ("ours", "tolerance", "holds"),
    [(1.0, 0.0, True), (1.001, 0.0, False), (1.5, 0.5, True), (0.49, 0.5, False)],
)
def test_a_number_within_its_tolerance(ours, tolerance, holds):
    assert check_number("x", ours, 1.0, tolerance, PAPER).holds is holds


def experiment(name="E1", run=None):
    return Experiment(name, "a | title", "The paper says <one>.", "seconds", run=run)


def done(results=(AGREES, MEASURED), files=("a.png", "b.csv"), inputs=None):
    outcome = Outcome(list(results), "by hand", 1234, "w (abc)", files=list(files))
    return Done(outcome, "a machine", "2026-01-02T03:04", 61.4, inputs or {})


def test_a_result_comes_back_for_the_same_inputs_only(tmp_path):
    save_done(tmp_path, done(inputs={"wider": "/a"}))
    assert read_done(tmp_path, {"wider": "/a"}) == done(inputs={"wider": "/a"})
    assert read_done(tmp_path, {"wider": "/b"}) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"outcome": {"results": [{"x": 1}]}}'])
def test_a_damaged_result_is_none(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    assert read_done(tmp_path, {}) is None


def test_the_report(tmp_path):
    lines = [
        Line(experiment(), done(), ""),
        Line(experiment("E2"), done([DIFFERS]), ""),
        Line(experiment("E5"), None, "the server only"),
    ]
    markdown, page = (path.read_text() for path in write_report(tmp_path, lines))
    assert "3 experiments: 1 holds, 1 differs, 1 not run." in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| E")]
    # A bar within a cell would end it.
    assert rows[0] == (
        "| E1 | a \\| title | one: 1 (paper) | one: 1; seen: 3 | by hand | 1,234 | w (abc) | "
        "a machine | 61 s | holds |"
    )
    assert rows[1].endswith("| differs |")
    assert rows[2] == (
        "| E5 | a \\| title | The paper says <one>. | – | – | – | – | – | – | "
        "not run: the server only |"
    )
    assert "![a.png](E1/a.png)" in markdown
    assert "\n[b.csv](E1/b.csv)" in markdown
    assert "## E5" not in markdown
    assert "The paper says &lt;one&gt;." in page
    assert '<tr class="differs">' in page
    assert '<tr class="not">' in page
    assert '<img src="E1/a.png"' in page


def test_of_many_results_those_that_differ_are_shown_first(tmp_path):
    many = [*(Result(str(number), "1", "1", PAPER, True) for number in range(5)), DIFFERS]
    write_report(tmp_path, [Line(experiment(), done(many), "")])
    row = next(
        line
        for line in (tmp_path / "REPRODUCE.md").read_text().splitlines()
        if line.startswith("| E1")
    )
    assert "two: 3; 0: 1; 1: 1; 2: 1; 2 more below" in row


def test_what_was_not_run_never_holds():
    assert told(Line(experiment(), None, "no data")) == "not run: no data"


def test_a_report_needs_a_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot be written"):
        write_report(Path(tmp_path / "file"), [])
