"""The WIDER FACE metric against values stored from the authors' evaluators."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from wider_sets import detections, load_file, one_subset, target_of

from facedet.data.readers.wider import read_ground_truth
from facedet.metrics.wider import WiderAP
from facedet.structures import Detections

SHARED = os.environ.get("FACEDET_SHARED", "")
needs_shared = pytest.mark.skipif(not SHARED, reason="FACEDET_SHARED is not set")

QUIRKS = {"extd_py": False, "shf_nomimic": False, "shf_mimic": True}


@needs_shared
@pytest.mark.data
@pytest.mark.parametrize("evaluator", QUIRKS)
def test_small_set_has_the_stored_curve(evaluator):
    golden = Path(SHARED) / "reference" / "golden"
    stored = np.load(golden / "wider_eval_tiny.npz")
    expected = json.loads((golden / "wider_eval_expected.json").read_text())["tiny"][evaluator]
    images = []
    for index in range(12):
        faces, places = stored[f"gt{index}"], stored[f"keep{index}"]
        kept = np.isin(np.arange(len(faces)) + 1, places)
        images.append((stored[f"pred{index}"], faces, kept))
    metric = one_subset(images, integer_quirk=QUIRKS[evaluator])
    assert metric.compute()["wider/all"].item() == pytest.approx(expected["ap"], abs=1e-9)
    curve = metric.curves()["all"]
    assert curve.faces == expected["count_face"]
    points = np.nan_to_num(stored[f"{evaluator}_curve"])
    np.testing.assert_allclose(curve.precision.numpy(), points[:, 0], atol=1e-12)
    np.testing.assert_allclose(curve.recall.numpy(), points[:, 1], atol=1e-12)


@pytest.fixture(scope="module")
def full_set():
    """Made-up detections on the whole official validation ground truth."""
    golden = Path(SHARED) / "reference" / "golden"
    truth = Path(SHARED) / "data" / "wider" / "ground_truth"
    made = load_file(golden / "make_wider_synth.py").full(loadmat(truth / "wider_face_val.mat"))
    rows = [row for event in made for row in event]
    targets = [target_of(record, index) for index, record in enumerate(read_ground_truth(truth))]
    return [detections(row) for row in rows], targets


@needs_shared
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("evaluator", QUIRKS)
def test_full_set_has_the_stored_values(full_set, evaluator):
    golden = Path(SHARED) / "reference" / "golden" / "wider_eval_expected.json"
    expected = json.loads(golden.read_text())
    metric = WiderAP(QUIRKS[evaluator])
    metric.update(*full_set)
    values = metric.compute()
    assert metric.detections == expected["full_num_predictions"]
    for name, curve in metric.curves().items():
        values_of = expected[f"full_{name}"][evaluator]
        assert values[f"wider/{name}"].item() == pytest.approx(values_of["ap"], abs=1e-9)
        assert curve.faces == values_of["count_face"]
        assert curve.recall[-1].item() == pytest.approx(values_of["max_recall"], abs=1e-12)
        assert curve.precision[-1].item() == pytest.approx(values_of["final_precision"], abs=1e-12)


@needs_shared
@pytest.mark.data
@pytest.mark.parametrize("key", ["plain", "integer_quirk"])
def test_released_detector_has_the_stored_values(key):
    golden = Path(SHARED) / "reference" / "golden"
    expected = json.loads((golden / "extd32_wider_val.json").read_text())[key]
    truth = {r.name: r for r in read_ground_truth(Path(SHARED) / "data" / "wider")}
    stored = np.load(golden / "extd32_wider_val.npz")
    rows = torch.from_numpy(stored["rows"])
    metric = WiderAP(integer_quirk=key == "integer_quirk")
    for index, name in enumerate(stored["names"].tolist()):
        found = rows[stored["offsets"][index] : stored["offsets"][index + 1]]
        # The stored boxes are corners, compared as they stand: w = x2 - x1, nothing rounded.
        metric.update([Detections(found[:, :4], found[:, 4])], [target_of(truth[name], index)])
    values = metric.compute()
    assert (metric.images, metric.detections) == (expected["images"], expected["detections"])
    for name, curve in metric.curves().items():
        assert values[f"wider/{name}"].item() == pytest.approx(expected[name]["ap"], abs=1e-9)
        assert curve.faces == expected[name]["faces"]
        assert curve.recall[-1].item() == pytest.approx(expected[name]["max_recall"], abs=1e-12)
