"""Results on disk, and the report that shows them."""

import pytest

from facedet.reproduce.experiments import Experiment, Result
from facedet.reproduce.run import Done, Line, read_done, save_done, write_report

AGREES, MEASURED = Result("one", "1", "1", "paper", True), Result("seen", "3")
DIFFERS = Result("two", "3", "2", "paper", False)


def experiment(name="E1"):
    return Experiment(name, "a | title", "The paper says <one>.", "seconds", protocol="by hand")


def done(results=(AGREES, MEASURED), inputs=None):
    files = ["a.png", "b.csv"]
    return Done(
        list(results), 1234, "w (abc)", "", files, "a machine", "2026-01-02T03:04", 61.4,
        30.2, inputs or {},
    )  # fmt: skip


def test_a_result_comes_back_for_the_same_inputs_only(tmp_path):
    save_done(tmp_path, done(inputs={"wider": "/a"}))
    assert read_done(tmp_path, {"wider": "/a"}) == done(inputs={"wider": "/a"})
    assert read_done(tmp_path, {"wider": "/b"}) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"results": [{"x": 1}]}'])
def test_a_damaged_result_is_none(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    assert read_done(tmp_path, {}) is None


def test_the_report(tmp_path):
    against = Result("three", "0.1", "higher", "paper", False, is_claim=True)
    lines = [
        Line(experiment(), done()),
        Line(experiment("E2"), done([DIFFERS])),
        Line(experiment("E3"), done([against, AGREES])),
        Line(experiment("E5"), None, "the server only"),
    ]
    write_report(tmp_path, lines)
    text = (tmp_path / "REPRODUCE.md").read_text()
    assert "4 experiments: 1 holds, 1 differs, 1 contradicted, 0 undecided, 1 not run." in text
    rows = [line for line in text.splitlines() if line.startswith("| E")]
    # A bar within a cell would end it.
    assert rows[0] == (
        "| E1 | a \\| title | one: 1 (paper) | one: 1; seen: 3 | by hand | 1,234 | w (abc) | "
        "a machine | 61 s, 30 s of one core | holds |"
    )
    assert rows[1].endswith("| differs |")
    assert rows[2].endswith("| contradicted |")
    assert rows[3] == (
        "| E5 | a \\| title | The paper says <one>. | – | – | – | – | – | – | "
        "not run: the server only |"
    )
    assert "![a.png](E1/a.png)" in text
    assert "\n[b.csv](E1/b.csv)" in text
    assert "## E5" not in text


def test_of_many_results_those_that_differ_are_shown_first(tmp_path):
    many = [*(Result(str(number), "1", "1", "paper", True) for number in range(5)), DIFFERS]
    write_report(tmp_path, [Line(experiment(), done(many))])
    text = (tmp_path / "REPRODUCE.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| E1"))
    assert "two: 3; 0: 1; 1: 1; 2: 1; 2 more below" in row
