"""`facedet reproduce`: what is run, what is not, and what is said of it."""

import json

import pytest

from facedet.cli import main
from facedet.errors import FacedetError
from facedet.reproduce import registry
from facedet.reproduce.experiments import PAPER, Experiment, Outcome, Result
from facedet.reproduce.results import save_seconds, seconds_before


@pytest.fixture
def runs(monkeypatch):
    """Experiments of our own, and the names of those that ran."""
    ran = []

    def run(name, holds=True):
        def call(resources, folder):
            ran.append(name)
            (folder / "made.csv").write_text("1\n")
            return Outcome([Result("it", "1", "1", PAPER, holds)], files=["made.csv"])

        return call

    def fail(resources, folder):
        ran.append("X4")
        raise FacedetError("photo.jpg: no such file")

    experiments = [
        Experiment("X1", "first", "It is one.", "seconds", run=run("X1")),
        Experiment("X2", "second", "It is two.", "hours", run=run("X2"), within_hour=False),
        Experiment("X3", "third", "It is three.", "seconds", ("fddb",), run("X3")),
        Experiment("X4", "fourth", "It is four.", "seconds", run=fail),
        Experiment("X5", "fifth", "It is five.", "–", why_not="the server only"),
    ]
    monkeypatch.setattr(registry, "EXPERIMENTS", experiments)
    monkeypatch.delenv("FACEDET_DATA", raising=False)
    return ran


def call(*words):
    return main(["reproduce", *map(str, words)])


def test_those_within_an_hour_are_run_and_all_are_reported(runs, tmp_path, capsys):
    assert call("--output", tmp_path) == 1  # one failed
    assert runs == ["X1", "X4"]
    out, err = capsys.readouterr()
    assert "X4: photo.jpg: no such file" in err
    report = (tmp_path / "REPRODUCE.md").read_text()
    verdicts = [line.rsplit(" | ")[-1] for line in report.splitlines() if line.startswith("| X")]
    assert verdicts[0] == "holds |"
    assert verdicts[1] == "not run: not asked for; facedet reproduce X2 takes hours |"
    assert verdicts[2].startswith("not run: needs FDDB's ellipses")
    assert verdicts[3] == "not run: photo.jpg: no such file |"
    assert verdicts[4] == "not run: the server only |"
    assert "X5        not run: the server only" in out


def test_what_was_run_is_not_run_again_unless_told(runs, tmp_path, capsys):
    assert call("X1", "--output", tmp_path) == 0
    assert call("x1", "X2", "--output", tmp_path) == 0
    assert runs == ["X1", "X2"]
    assert "X1: was run before" in capsys.readouterr().out
    assert call("X1", "--again", "--output", tmp_path) == 0
    assert runs == ["X1", "X2", "X1"]
    # A run of one leaves the others' results in the report.
    assert "| X2 |" in (tmp_path / "REPRODUCE.md").read_text()
    assert "2 holds" in (tmp_path / "REPRODUCE.md").read_text()


@pytest.mark.parametrize("end", [KeyboardInterrupt(), FacedetError("no more disk")])
def test_the_time_is_that_of_all_starts(end, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def run(resources, folder):
        clock[0] += 30.0
        if len(starts) < 3:
            starts.append(1)
            raise end
        return Outcome([])

    starts = []
    experiment = Experiment("X1", "first", "It is one.", "seconds", run=run)
    monkeypatch.setattr(registry, "EXPERIMENTS", [experiment])
    for _ in range(3):
        assert call("X1", "--output", tmp_path) != 0
    assert call("X1", "--output", tmp_path) == 0
    content = json.loads((tmp_path / "X1" / "result.json").read_text())
    assert content["seconds"] == 120.0
    # From its beginning once more, which is one start.
    assert call("X1", "--again", "--output", tmp_path) == 0
    assert json.loads((tmp_path / "X1" / "result.json").read_text())["seconds"] == 30.0


def test_the_time_of_other_inputs_is_not_counted(tmp_path):
    save_seconds(tmp_path, {"wider": "here"}, 30.0)
    assert seconds_before(tmp_path, {"wider": "here"}) == 30.0
    assert seconds_before(tmp_path, {"wider": "there"}) == 0.0
    (tmp_path / "broken_off.json").write_text('{"seconds"')
    assert seconds_before(tmp_path, {"wider": "here"}) == 0.0


def test_the_list_runs_nothing(runs, tmp_path, capsys):
    assert call("--list", "--output", tmp_path / "out") == 0
    assert not runs
    assert not (tmp_path / "out").exists()
    out = capsys.readouterr().out
    assert "takes hours" in out
    assert "not run: the server only" in out
    assert "not found" in out


def test_an_unknown_one(runs, capsys):
    assert call("X9") == 2
    assert "X9 is no experiment; there are X1, X2" in capsys.readouterr().err


def test_a_place_of_data_in_the_environment(runs, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ellipses.txt").touch()
    (folder / "x_DiscROC.txt").touch()
    monkeypatch.setenv("FACEDET_DATA", str(folder))
    assert call("X3", "--output", tmp_path / "out") == 0
    assert runs == ["X3"]


def test_the_papers_experiments_are_all_there():
    ids = [experiment.id for experiment in registry.EXPERIMENTS]
    wanted = ["A", *(f"E{number}" for number in range(1, 13))]
    wanted += [f"S{number}" for number in range(1, 14)]
    assert ids[: len(wanted)] == wanted


def test_every_experiment_runs_or_says_why_not():
    for experiment in registry.EXPERIMENTS:
        assert (experiment.run is None) == bool(experiment.why_not), experiment.id


def test_counting_holds(tmp_path, capsys):
    assert call("E1", "--output", tmp_path) == 0
    assert "E1        holds" in capsys.readouterr().out
