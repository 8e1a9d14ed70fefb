"""What detections were made with: compared with a run that an earlier version wrote."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest

from facedet.config import compose, differences, plain
from facedet.errors import UsageError
from facedet.evaluation.provenance import comparable, require_same_run
from reference.refused_weights import complaint

OLD = Path(__file__).parents[1] / "fixtures" / "before_the_move" / "evaluation"


@pytest.fixture
def folder(tmp_path):
    """An evaluation of an earlier version, whose classes have moved since."""
    return shutil.copytree(OLD, tmp_path / "old")


def made_with(**changed):
    """What the same evaluation is made with now."""
    report = json.loads((OLD / "metrics.json").read_text())
    report["engine"] = "torch 2.13"
    return report | {"settings": protocol()} | changed


@cache
def protocol():
    return plain(compose("evaluate", ["weights=a"]).protocol)


def test_an_older_run_is_resumed(folder):
    require_same_run(folder / "detections.json", made_with(), resume=True)
    # And so is one whose note is of this version, but for another engine.
    require_same_run(folder / "detections.json", made_with(), resume=True)
    with pytest.raises(UsageError, match=r"engine torch \(before\) / openvino \(now\)"):
        require_same_run(folder / "detections.json", made_with(engine="openvino 2026"), resume=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"device": "cuda:0"}, "device cpu (before) / cuda:0 (now)"),
        ({"folded": False}, "folded true (before) / false (now)"),
        ({"weights": {"sha256": "b" * 64}}, f"weights 86076a2f199a (before) / {'b' * 12} (now)"),
    ],
)
def test_another_run_is_refused(folder, changed, message):
    path = folder / "detections.json"
    words = ("holds detections of another run", message)
    complaint(require_same_run, path, made_with(**changed), True, kind=UsageError, words=words)
    require_same_run(path, made_with(**changed), resume=False)
    require_same_run(path, made_with(**changed), resume=True)


def test_detections_without_a_note_are_not_resumed(folder):
    path = folder / "detections.json"
    path.unlink()
    with pytest.raises(UsageError, match=r"there is no detections\.json .* resume=false"):
        require_same_run(path, made_with(), resume=True)
    assert not path.exists()
    shutil.rmtree(folder / "detections")
    require_same_run(path, made_with(), resume=True)


def test_an_older_result_is_compared_with_a_new_one():
    old = json.loads((OLD / "metrics.json").read_text())
    assert differences({"old": comparable(old), "new": comparable(made_with())}) == {}
