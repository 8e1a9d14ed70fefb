"""FDDB's curves against the files that the official tool wrote for the same detections."""

import os
from pathlib import Path

import numpy as np
import pytest

from facedet.data.readers.fddb import read_fddb_ground_truth
from facedet.evaluation.benchmarks import Fddb
from facedet.evaluation.detection_lists import read_fddb_detections
from facedet.evaluation.scoring import score_records
from facedet.metrics.fddb import FddbRoc

SHARED = os.environ.get("FACEDET_SHARED", "")
FOLDER = Path(SHARED) / "reference" / "fddb"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not SHARED, reason="FACEDET_SHARED is not set"),
]

# The pictures are not there. In these nine a face is or is not found depending on where the picture
# ends; the widths (px) are those with which the tool's continuous curve has the steps it has.
WIDTHS = {
    "2002/07/22/big/img_494": 403, "2002/07/25/big/img_844": 303, "2002/08/03/big/img_151": 406,
    "2002/08/15/big/img_291": 372, "2002/08/23/big/img_311": 357, "2003/01/13/big/img_432": 272,
    "2003/01/13/big/img_459": 302, "2003/01/15/big/img_425": 313, "2003/01/17/big/img_17": 313,
}  # fmt: skip


@pytest.fixture(scope="module")
def stored():
    """Rows of the tool: threshold, false positives, discrete, continuous, precision."""
    discrete, continuous, precision = (
        np.loadtxt(FOLDER / f"fddb_mtcnn_lqy_{kind}.txt") for kind in ("DiscROC", "ContROC", "PR")
    )
    rows = [discrete[:, 2], discrete[:, 1], discrete[:, 0], continuous[:, 0], precision[:, 0]]
    return np.column_stack(rows)


def score(widths):
    records = [
        record._replace(tags=record.tags | {"size": (450, widths[record.name])})
        if record.name in widths
        else record
        for record in read_fddb_ground_truth(FOLDER / "ellipses.txt")
    ]
    found = read_fddb_detections(FOLDER / "fddb_mtcnn_lqy_result.txt")
    return score_records(Fddb(), FddbRoc(), records, found)


def test_every_row_is_the_tools(stored):
    metric = score(WIDTHS)
    roc = metric.curves()
    assert (metric.images, metric.detections, roc.faces) == (2845, 7375, 5171)
    threshold, false_positives, discrete, continuous, precision = stored.T
    # The tool prints six digits.
    np.testing.assert_allclose(roc.threshold, threshold, atol=6e-7)
    np.testing.assert_array_equal(roc.false_positives, false_positives)
    np.testing.assert_allclose(roc.discrete, discrete, atol=6e-7)
    np.testing.assert_allclose(roc.precision, precision, atol=6e-7)
    # Other pictures' right borders move the similarity of a pair without deciding on a hit.
    np.testing.assert_allclose(roc.continuous, continuous, atol=7e-4)
    row = np.flatnonzero(false_positives < 1000)[0]
    assert metric.compute()["fddb/discrete_1000"].item() == pytest.approx(discrete[row], abs=6e-7)


def test_without_the_pictures_sizes(stored):
    metric = score({})
    roc = metric.curves()
    # At equal thresholds: nine faces of 5,171 are missed where the border is not known.
    assert np.abs(roc.discrete - stored[:, 2]).max() < 0.002
    assert np.abs(roc.continuous - stored[:, 3]).max() < 0.001
    assert np.abs(roc.false_positives - stored[:, 1]).max() == 9
    assert metric.compute()["fddb/discrete_1000"].item() == pytest.approx(0.926707, abs=0.0014)
