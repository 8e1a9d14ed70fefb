"""Which numbers of an evaluation are compared, on reports made by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facedet.reproduce import measure
from facedet.reproduce.experiments import Outcome, Run, judge, read_catalogue, verdict

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

    def judge_on(name, reports, resources, **choices):
        calls = []

        def evaluate(run, weights, protocol, folder, data="wider", resource="wider", split="val"):
            calls.append((run.resources[resource], weights, protocol, data))
            assert split == ("train" if name == "S1" else "val")
            return reports[folder.name] | {"limit": run.limit}

        monkeypatch.setattr(measure, "evaluate_weights", evaluate)
        experiment = EXPERIMENTS[name]
        function = getattr(measure, experiment.run)
        folder = tmp_path / name
        folder.mkdir()
        outcome = function(Run(resources, folder, print, **choices), **experiment.settings)
        return {one.name: one for one in judge(experiment, outcome)}, outcome, calls

    return judge_on


def test_all_pictures_are_held_to_the_published_value(judged):
    resources = {"wider": ROOT, "extd_64": WEIGHTS}
    found, outcome, calls = judged("E4", {"FPN-64": report(wider(0.9219, 0.9))}, resources)
    assert calls == [(ROOT, WEIGHTS, "wider", "wider")]
    assert found["FPN-64 easy"].holds
    assert (found["FPN-64 medium"].ours, found["FPN-64 medium"].holds) == ("0.9000", None)
    assert (outcome.images, outcome.weights) == (3226, "w.pth (0123456789ab)")


@pytest.mark.parametrize(
    ("folder", "missing", "limit", "short_of"),
    [
        ("FPN-64", 2983, None, "on 243 of 3,226 pictures only"),
        # They have a folder of their own.
        ("FPN-64_first_20", 3206, 20, "on the first 20 pictures only"),
    ],
)
def test_some_of_the_pictures_are_not_compared(judged, folder, missing, limit, short_of):
    reports = {folder: report(wider(0.9219), missing)}
    found, outcome, _ = judged("E4", reports, {"wider": ROOT, "extd_64": WEIGHTS}, limit=limit)
    assert (found["FPN-64 easy"].holds, outcome.short_of) == (None, short_of)


def timed(network, ratios, side):
    least, ratio, most = ratios
    return {"network": network, "width": side, "network_ms": 8.0, "fps": 9.0} | {
        "ratio_low": least, "ratio": ratio, "ratio_high": most
    }  # fmt: skip


def test_times_hold_or_contradict_or_are_undecided(judged, monkeypatch):
    """What is said to be slower takes longer in nine of ten pairs of runs, or less."""
    ratios = {"S3FD": (0.8, 0.9, 0.95), "SSH": (0.9, 1.0, 1.1), "PyramidBox": (1.9, 2.0, 2.1)}
    rows = [timed(name, ratios.get(name, (1, 1, 1)), 640) for name in ("SmallHardFace", *ratios)]
    monkeypatch.setattr(measure, "contender_of_preset", lambda name: SimpleNamespace(
        name=name, _replace=lambda name: SimpleNamespace(name=name)
    ))  # fmt: skip
    monkeypatch.setattr(measure, "measure_sizes", lambda *_: rows)
    monkeypatch.setattr(measure, "costs", lambda *_: Outcome({}))
    found, _, _ = judged("S10", {}, {})
    judgements = {
        name: found[f"SmallHardFace faster than {name} at 640 px"].holds for name in ratios
    }
    assert judgements == {"S3FD": False, "SSH": None, "PyramidBox": True}
    one = found["SmallHardFace faster than S3FD at 640 px"]
    assert one.ours == "S3FD takes 0.90 x its time (0.80 to 0.95)"
    assert found["AP on hard faces above S3FD, SSH and PyramidBox"].ours == "not measured"
    assert verdict(list(found.values()), "a CPU", "").startswith("contradicted (a CPU); ")


def test_sizes_of_the_timing_protocol(judged, monkeypatch):
    seen = []

    def measure_sizes(contenders, pictures, runs):
        seen.append(([picture.shape[0] for picture in pictures], runs))
        return [timed("EXTD", (1, 1, 1), picture.shape[0]) for picture in pictures]

    monkeypatch.setattr(measure, "measure_sizes", measure_sizes)
    monkeypatch.setattr(measure, "contender_of_weights", lambda path: path)
    monkeypatch.setattr(measure, "square_picture", lambda path, side: np.zeros((side, 1, 3)))
    found, outcome, _ = judged("E11", {}, {"extd_64": WEIGHTS}, budget="short")
    assert seen == [(list(range(280, 2281, 200)), 3)]
    assert found["measured"].ours.startswith("11 of the protocol's 51 sizes, medians of 3 of its")
    assert (found["480 px"].ours, outcome.weights) == (
        "8 ms; 9.0 pictures per second",
        "weights.pth",
    )


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
