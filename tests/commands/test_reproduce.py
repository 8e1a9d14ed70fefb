"""`facedet reproduce`: what is run, what is not, and what is said of it."""

import pytest

from facedet.errors import FacedetError
from facedet.reproduce import experiments
from facedet.reproduce.experiments import Experiment, Outcome, read_catalogue
from facedet.reproduce.resources import Resource
from facedet.reproduce.run import FUNCTIONS


@pytest.fixture
def runs(monkeypatch):
    """Experiments of our own, and the names of those that ran."""
    ran = []

    def pass_it(run, name):
        ran.append(name)
        (run.folder / "made.csv").write_text("1\n")
        return Outcome({"it": 1}, files=["made.csv"])

    def fail(run):
        ran.append("X4")
        raise FacedetError("photo.jpg: no such file")

    monkeypatch.setitem(FUNCTIONS, "pass", pass_it)
    monkeypatch.setitem(FUNCTIONS, "fail", fail)

    def one(name, cost="seconds", needs=(), **more):
        expected = {"it": [1, "paper"]}
        settings = {"name": name}
        return Experiment(
            name, name, "It is one.", cost, needs, "pass", settings, expected=expected, **more
        )

    found = [
        one("X1"),
        one("X2", "hours", within_hour=False),
        one("X3", needs=("afw",)),
        Experiment("X4", "fourth", "It is four.", "seconds", run="fail"),
        Experiment("X5", "fifth", "It is five.", "–", why_not="the server only"),
    ]
    resources = read_catalogue()[1]
    monkeypatch.setattr(experiments, "read_catalogue", lambda: (found, resources))
    monkeypatch.delenv("FACEDET_DATA", raising=False)
    return ran


def test_those_within_an_hour_are_run_and_all_are_reported(cli, runs, tmp_path):
    result = cli("reproduce", "--output", tmp_path)
    assert result.code == 1  # one failed
    assert runs == ["X1", "X4"]
    assert "X4: photo.jpg: no such file" in result.err
    report = (tmp_path / "REPRODUCE.md").read_text()
    verdicts = [line.rsplit(" | ")[-1] for line in report.splitlines() if line.startswith("| X")]
    assert verdicts[0] == "holds |"
    assert verdicts[1] == "not run: not asked for; facedet reproduce X2 takes hours |"
    assert verdicts[2].startswith("not run: needs AFW with")
    assert verdicts[3] == "not run: photo.jpg: no such file |"
    assert verdicts[4] == "not run: the server only |"
    assert "X5        not run: the server only" in result.out


def test_what_was_run_is_not_run_again_without_the_flag(cli, runs, tmp_path):
    assert cli("reproduce", "X1", "--output", tmp_path).code == 0
    result = cli("reproduce", "x1", "X2", "--output", tmp_path)
    assert (result.code, "X1: was run before" in result.out) == (0, True)
    assert runs == ["X1", "X2"]
    assert cli("reproduce", "X1", "--again", "--output", tmp_path).code == 0
    assert runs == ["X1", "X2", "X1"]
    # A run of one leaves the others' results in the report.
    report = (tmp_path / "REPRODUCE.md").read_text()
    assert "| X2 |" in report
    assert "2 holds" in report


@pytest.fixture
def counted(monkeypatch):
    """The catalogue's experiments do nothing but add their settings to a list."""
    ran = []

    def note(run, **settings):
        ran.append(settings)
        return Outcome({"it": 1})

    for name in FUNCTIONS:
        monkeypatch.setitem(FUNCTIONS, name, note)
    return ran


# What an experiment needs, what arrives after its first run, and more words of the second.
CURVES = "val/{0}/wider_pr_info_{0}_easy_val.mat"
PICTURE = "WIDER_{0}/images/0--Parade/{1}.jpg"


@pytest.mark.parametrize(
    ("name", "there", "arrives", "words"),
    [
        ("A", [CURVES.format("DSFD")], CURVES.format("SRN"), []),
        ("E4", ["wider_face_split/x.mat", "extd_64.safetensors"], PICTURE.format("val", 1), []),
        ("E6", ["wider_face_split/x.mat", "extd_32.safetensors"], "extd_48.safetensors", []),
        ("E11", [], "extd_64.safetensors", []),
        ("E11", ["wider_face_split/x.mat"], PICTURE.format("val", 1), []),
        ("E7", [], "wider_face_split/x.mat", []),
        ("F", ["SmallHardFaceDiscROC.txt"], "SmallHardFaceDiscROC.txt", []),
        ("E12", ["extd_64.safetensors"], "extd_64.safetensors", []),
        ("S4", ["originalPics/1.jpg", "smallhardface.pth"], None, ["--limit", "5"]),
        ("S6", ["new_annotations_AFW.mat", "smallhardface.pth"], None, ["--limit", "5"]),
    ],
)
def test_other_inputs_are_run_again(cli, counted, tmp_path, name, there, arrives, words):
    data = tmp_path / "data"
    data.mkdir()

    def write(place, text):
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        (data / place).write_text(text)

    def run(*more):
        result = cli("reproduce", name, "--data", data, "--output", tmp_path / "out", *more)
        assert result.code == 0, result.err
        return len(counted)

    for place in there:
        write(place, "first")
    assert (run(), run()) == (1, 1)
    if arrives:
        write(arrives, "a later one")
        write(arrives + "~", "nothing that counts")
    assert (run(*words), run(*words)) == (2, 2)


def test_the_list_reads_no_data(cli, runs, tmp_path, monkeypatch):
    (tmp_path / "new_annotations_AFW.mat").touch()
    monkeypatch.setattr(Resource, "contents", lambda *_: pytest.fail("read what it only lists"))
    assert f": {tmp_path}" in cli("reproduce", "--list", "--data", tmp_path).out


def test_the_list_runs_nothing(cli, runs, tmp_path):
    result = cli("reproduce", "--list", "--output", tmp_path / "out")
    assert (result.code, runs, list(tmp_path.iterdir())) == (0, [], [])
    for said in ("takes hours", "not run: the server only", "not found"):
        assert said in result.out


def test_an_unknown_one(cli, runs):
    cli("reproduce", "X9").check_error(2, "X9 is no experiment; there are X1, X2")


def test_a_place_of_data_in_the_environment(cli, runs, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "new_annotations_AFW.mat").touch()
    monkeypatch.setenv("FACEDET_DATA", str(folder))
    assert cli("reproduce", "X3", "--output", tmp_path / "out").code == 0
    assert runs == ["X3"]


def test_a_command_that_fails_is_named(cli, runs, monkeypatch, tmp_path):
    monkeypatch.setattr("facedet.commands.train.run", lambda args: 143)
    monkeypatch.setitem(FUNCTIONS, "fail", lambda run: run.call("train", "seed=3"))
    result = cli("reproduce", "X4", "--output", tmp_path)
    assert result.code == 1
    assert "X4: facedet train seed=3: ended with 143; the same" in result.err


def test_counting_holds(cli, tmp_path):
    result = cli("reproduce", "E1", "--output", tmp_path)
    assert (result.code, "E1        holds" in result.out) == (0, True)
