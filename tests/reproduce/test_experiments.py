"""The catalogue, verdicts, and how data and weights are found."""

import hashlib
import inspect
import re

import pytest

from facedet.config import CONF_DIR, presets
from facedet.errors import FacedetError
from facedet.reproduce.experiments import (
    Experiment,
    Judged,
    Measured,
    Outcome,
    Result,
    judge,
    read_catalogue,
    read_published,
    verdict,
)
from facedet.reproduce.resources import find_resources
from facedet.reproduce.run import FUNCTIONS
from facedet.weights.released_extd import RELEASED
from facedet.weights.zoo import NAMED

EXPERIMENTS, RESOURCES = read_catalogue()


def test_the_papers_experiments_are_all_there():
    ids = [experiment.id for experiment in EXPERIMENTS]
    expected = ["A", "F", *(f"E{number}" for number in range(1, 13))]
    expected += [f"S{number}" for number in range(1, 14)]
    assert ids == [*expected, "shipped"]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: one.id)
def test_an_experiment_can_be_run_or_says_why_not(experiment):
    assert bool(experiment.run) != bool(experiment.why_not)
    used = {*experiment.needs, *experiment.uses}
    assert used <= RESOURCES.keys()
    # What it is run with tells whether it was run before.
    if experiment.run == "benchmark":
        assert {*experiment.settings["networks"].values()} <= used
    assert experiment.run != "sweep" or "wider" in used
    for row in experiment.expected.values():
        assert 2 <= len(row) <= 3
        # A recollection that nobody has checked is never printed.
        assert row[1] in ("paper", "release", "computed", "listing", "seen in the picture")
    if experiment.run:
        function = inspect.signature(FUNCTIONS[experiment.run])
        function.bind(None, **experiment.settings)


def test_what_the_catalogue_names_exists():
    by_id = {experiment.id: experiment for experiment in EXPERIMENTS}
    for name in ("E1", "E2", "E3"):
        assert set(by_id[name].settings["presets"].values()) <= set(presets())
    for name, parts in by_id["shipped"].settings["networks"].items():
        assert name in NAMED
        for part in parts:
            assert (CONF_DIR / "experiment" / f"{part}.yaml").is_file()
    assert len(read_published()) == 22
    assert read_published()["DSFD"] == (0.9663, 0.9573, 0.9050)


def judged(ours, *expected, short_of=""):
    experiment = Experiment("X", "x", "x", "x", expected={"it": expected} if expected else {})
    return judge(experiment, Outcome({"it": ours}, short_of=short_of))[0]


@pytest.mark.parametrize(
    ("ours", "expected", "holds", "shown"),
    [
        (138.33, (138, "paper"), True, "138.3"),
        (138.6, (138, "paper"), False, "138.6"),
        (5.39729, (5.3973, "computed"), True, "5.39729"),
        (5.39724, (5.3973, "computed"), False, "5.39724"),
        (0.9215, (0.921, "listing", 0.005), True, "0.9215"),
        (0.9261, (0.921, "listing", 0.005), False, "0.9261"),
        (12880, (12880, "paper"), True, "12,880"),
        ("a, b", ("a, b", "computed"), True, "a, b"),
        ("a", ("a, b", "computed"), False, "a"),
        (Judged("0.3 and 0.2", True), ("higher", "paper"), True, "0.3 and 0.2"),
        (0.25, (), None, "0.2500"),
    ],
)
def test_a_value_and_its_expectation(ours, expected, holds, shown):
    result = judged(ours, *expected)
    assert (result.holds, result.ours) == (holds, shown)
    # Of some of the pictures only, say: nothing is judged.
    assert judged(ours, *expected, short_of="on 2 of 3 pictures").holds is None


def test_what_was_not_measured_is_shown_too():
    experiment = Experiment("X", "x", "x", "x", expected={"it": [0.921, "listing", 0.005]})
    expected = Result("it", "not measured", "0.921 ± 0.005", "listing")
    assert judge(experiment, Outcome({})) == [expected]


def test_what_takes_more_than_a_minute_says_so_from_a_measurement():
    for one in EXPERIMENTS:
        if one.measured is None:
            assert re.match(r"seconds|–|a time that was not measured", one.cost), one.id
        else:
            assert one.cost == "", one.id
            assert one.measured.seconds > 0
            if one.run == "sweep":
                assert one.measured.unit == "training"
    by_id = {one.id: one.measured.number for one in EXPERIMENTS if one.measured}
    # The cells that each trains, of sweeps/shf_ablation.yaml and shf_mining.yaml.
    assert (by_id["S7"], by_id["S8"], by_id["S12"]) == (2, 6, 9)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ((150.0,), "2 min of one core (measured: a machine)"),
        ((5.0, "picture", 243), "20 min of one core (243 pictures of 5 s; measured: a machine)"),
        # Of 6 cells with 2 seeds each.
        ((600.0, "training", 6), "2.0 h of one core (12 trainings of 600 s; measured: a machine)"),
    ],
)
def test_costs_in_words(measured, expected):
    measured = Measured(*measured)._replace(where="a machine")
    assert Experiment("X", "x", "x", measured=measured).takes(seeds=2) == expected
    assert Experiment("X", "x", "x", "seconds").takes(seeds=2) == "seconds"


AGREES, DIFFERS = Result("a", "1", "1", "paper", True), Result("b", "3", "2", "paper", False)
MEASURED, ABSENT = Result("c", "3"), Result("d", "not measured", "faster", "paper")
AGAINST = Result("e", "1.2 x", "faster", "paper", False, is_claim=True)


@pytest.mark.parametrize(
    ("results", "label", "short_of", "expected"),
    [
        ([AGREES, MEASURED], "", "", "holds"),
        ([AGREES, DIFFERS], "", "", "differs"),
        ([AGREES], "short training", "", "holds (short training)"),
        ([AGREES, AGAINST], "", "", "contradicted"),
        ([AGAINST, DIFFERS], "", "", "differs"),
        ([AGREES, AGREES, ABSENT], "a CPU", "", "holds (a CPU); 1 of 3 not measured"),
        ([AGREES, AGAINST, ABSENT], "", "", "contradicted; 1 of 3 not measured"),
        ([MEASURED], "short training", "", "not run: nothing to compare with is published"),
        ([MEASURED], "", "a GPU", "not run: a GPU"),
        ([], "", "", "not run: nothing to compare with is published"),
    ],
)
def test_verdict(results, label, short_of, expected):
    assert verdict(results, label, short_of) == expected


@pytest.fixture
def empty_released(monkeypatch):
    """The authors' weights are empty files."""
    for name in RELEASED:
        monkeypatch.setitem(RELEASED, name, hashlib.sha256().hexdigest())


@pytest.mark.usefixtures("empty_released")
def test_all_kinds_of_resources(tmp_path):
    (tmp_path / "sets" / "faces" / "wider_face_split").mkdir(parents=True)
    curve = tmp_path / "tools" / "plot" / "val" / "DSFD" / "wider_pr_info_DSFD_easy_val.mat"
    curve.parent.mkdir(parents=True)
    curve.touch()
    (tmp_path / "EXTD_64.pth").touch()
    (tmp_path / "extd_32.safetensors").touch()
    (tmp_path / "extd_48.txt").touch()
    (tmp_path / "faces" / "originalPics").mkdir(parents=True)
    assert find_resources([tmp_path], RESOURCES) == {
        "wider": tmp_path / "sets" / "faces",
        "curves": tmp_path / "tools" / "plot" / "val",
        "extd_64": tmp_path / "EXTD_64.pth",
        "extd_32": tmp_path / "extd_32.safetensors",
        "fddb_pictures": tmp_path / "faces",
    }


@pytest.mark.usefixtures("empty_released")
def test_other_weights_under_a_released_name(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    for name in ("a/EXTD_64.pth", "extd_32.pth", "extd_48.safetensors"):
        (tmp_path / name).write_text("others")
    (tmp_path / "EXTD_48.pth").write_text("others")
    assert find_resources([tmp_path], RESOURCES) == {"extd_48": tmp_path / "extd_48.safetensors"}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert f"{tmp_path / 'a' / 'EXTD_64.pth'} is not taken: not the authors' file" in lines[-1]
    # Another folder may hold the right ones.
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "EXTD_64.pth").touch()
    assert find_resources([tmp_path], RESOURCES)["extd_64"] == tmp_path / "b" / "EXTD_64.pth"


@pytest.mark.usefixtures("empty_released")
def test_which_folders_are_searched(tmp_path):
    # Not those of pictures, hidden ones, and those five levels below.
    for place in ("WIDER_val/images", ".cache", "1/2/3/4/5"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "EXTD_32.pth").touch()
    assert find_resources([tmp_path], RESOURCES) == {}
    for place in ("1/2/3/4", "1"):
        (tmp_path / place / "EXTD_32.pth").touch()
    # The first that is found counts.
    found = find_resources([tmp_path / "1/2/3", tmp_path], RESOURCES)
    assert found == {"extd_32": tmp_path / "1/2/3/4/EXTD_32.pth"}
    with pytest.raises(FacedetError, match="nowhere: no such folder"):
        find_resources([tmp_path / "nowhere"], RESOURCES)
