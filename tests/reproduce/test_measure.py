"""Which numbers of an evaluation are compared, on reports made by hand."""

from pathlib import Path

import pytest

from facedet.reproduce import measure
from facedet.reproduce.experiments import Run, judge, read_catalogue

EXPERIMENTS = {experiment.id: experiment for experiment in read_catalogue()[0]}
ROOT, WEIGHTS = Path("/data"), Path("/weights.pth")


def report(values, missing=0):
    weights = {"file": "w.pth", "sha256": "0123456789abcdef"}
    return {"images": 3226 - missing, "missing_pictures": missing, "weights": weights, **values}


def wider(easy, medium=0.0, hard=0.0):
    return {"wider/easy": easy, "wider/medium": medium, "wider/hard": hard}


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """Judges an experiment of the catalogue on reports by the folder's name; keeps the calls."""

    def judge_on(name, reports, resources):
        calls = []

        def evaluate(root, weights, protocol, folder, data="wider"):
            calls.append((root, weights, protocol, data))
            return reports[folder.name]

        monkeypatch.setattr(measure, "evaluate_weights", evaluate)
        experiment = EXPERIMENTS[name]
        function = getattr(measure, experiment.run)
        outcome = function(Run(resources, tmp_path / name, print), **experiment.settings)
        return {one.name: one for one in judge(experiment, outcome)}, outcome, calls

    return judge_on


def test_all_pictures_are_held_to_the_published_value(judged):
    resources = {"wider": ROOT, "extd_64": WEIGHTS}
    found, outcome, calls = judged("E4", {"FPN-64": report(wider(0.9219, 0.9))}, resources)
    assert calls == [(ROOT, WEIGHTS, "wider", "wider")]
    assert found["FPN-64 easy"].holds
    assert (found["FPN-64 medium"].ours, found["FPN-64 medium"].holds) == ("0.9000", None)
    assert (outcome.images, outcome.weights) == (3226, "w.pth (0123456789ab)")


def test_some_of_the_pictures_are_not_compared(judged):
    resources = {"wider": ROOT, "extd_64": WEIGHTS}
    found, outcome, _ = judged("E4", {"FPN-64": report(wider(0.9219), 2983)}, resources)
    assert found["FPN-64 easy"].holds is None
    assert outcome.short_of == "on 243 of 3,226 pictures only"


def test_weights_that_are_not_there_are_left_out(judged):
    resources = {"wider": ROOT, "extd_32": WEIGHTS}
    found, _, calls = judged("E6", {"FPN-32": report(wider(0.9))}, resources)
    assert len(calls) == 1
    assert found["FPN-48"].ours == "not run: no weights"


@pytest.mark.parametrize(
    ("name", "key", "resource", "value"),
    [
        ("S4", "fddb/discrete_1000", "fddb_pictures", 0.9871),
        ("S5", "pascal/ap", "pascal", 0.9899),
        ("S6", "afw/ap", "afw", 0.9962),
    ],
)
def test_the_other_benchmarks(judged, name, key, resource, value):
    resources = {resource: ROOT, "smallhardface": WEIGHTS}
    found, _, calls = judged(name, {"SmallHardFace": report({key: value})}, resources)
    data = key.partition("/")[0]
    assert calls == [(ROOT, WEIGHTS, data, data)]
    assert [one.holds for one in found.values()] == [True]


def test_sizes_of_the_pyramid(judged, monkeypatch):
    values = {(100, 300): 0.95, (600, 1000, 1400): 0.7861}
    reports = [
        report(wider(easy)) | {"settings": {"scales": {"sides": list(sides)}}}
        for sides, easy in values.items()
    ]
    monkeypatch.setattr(measure, "evaluate_sweep", lambda name, *_: reports)
    found, _, _ = judged("S9", {}, {"wider": ROOT, "smallhardface": WEIGHTS})
    assert found["easy of 100, 300"].ours == "0.9500"
    assert found["easy of 600, 1000, 1400"].holds
