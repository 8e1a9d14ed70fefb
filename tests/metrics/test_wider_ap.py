"""The WIDER FACE metric: values by hand, against loops, in two processes, and stored ones.

The stored values are those of the authors' evaluators.
"""

import json
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facedet.data.readers.wider import read_ground_truth
from facedet.metrics.wider import WiderAP
from facedet.structures import Detections, Target
from reference import wider_eval


def detections(rows):
    rows = torch.tensor(np.array(rows, dtype=np.float64).reshape(-1, 5))
    return Detections(torch.cat([rows[:, :2], rows[:, :2] + rows[:, 2:4]], dim=1), rows[:, 4])


def target(faces, kept, index, ignore=None):
    """Faces as x, y, w, h; kept an array [G, S]."""
    faces = torch.tensor(np.array(faces, dtype=np.float64).reshape(-1, 4))
    xyxy = torch.cat([faces[:, :2], faces[:, :2] + faces[:, 2:]], dim=1)
    kept = torch.as_tensor(np.array(kept, dtype=bool).reshape(len(faces), np.shape(kept)[-1]))
    ignore = torch.zeros(len(faces), dtype=torch.bool) if ignore is None else torch.tensor(ignore)
    return Target(xyxy, ignore, kept, index, (0, 0))


def one_subset(images, order=None, **options):
    """The metric over (rows, faces, kept) images with a single subset."""
    metric = WiderAP(subsets=("all",), **options)
    for index in range(len(images)) if order is None else order:
        rows, faces, kept = images[index]
        flags = np.array(kept, dtype=bool).reshape(-1, 1)
        metric.update([detections(rows)], [target(faces, flags, index)])
    return metric


def random_pictures(seed=0, count=6):
    """Images full of overlaps, with three nested subsets."""
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        faces = generator.integers(0, 40, (8, 4)) + [0, 0, 5, 5]
        rows = np.repeat(faces, 2, axis=0) + generator.integers(-4, 5, (16, 4))
        rows = np.column_stack([rows.clip(min=1), generator.random(16)])
        images.append((rows, faces, np.sort(generator.random((8, 3)) < 0.6, axis=1)))
    return images


def target_of(record, index):
    return Target(
        *map(torch.from_numpy, (record.boxes, record.ignore, record.tags["subsets"])), index, (0, 0)
    )


def feed(metric, images, indices):
    for index in indices:
        rows, faces, kept = images[index]
        metric.update([detections(rows)], [target(faces, kept, index)])
    return metric


def test_nothing_seen_at_all():
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert WiderAP().compute() == {
            "wider/easy": 0.0,
            "wider/medium": 0.0,
            "wider/hard": 0.0,
        }


def test_average_precision_by_hand():
    # The second detection of the first face is a false positive.
    rows = [(0, 0, 9, 9, 1.0), (1, 0, 9, 9, 0.5), (50, 50, 9, 9, 0.0)]
    twice_found = (rows, [(0, 0, 9, 9), (50, 50, 9, 9)], [True, True])
    missed = ([(70, 70, 9, 9, 0.75)], [(0, 0, 9, 9)], [True])
    # Scores 1, 0.75, 0.5, 0 pass in this order: 1/1 right with 1 of 3 faces found, 1/2, 1/3, 2/4.
    metric = one_subset([twice_found, missed])
    # The curve: recall 1/3 at precision 1, recall 2/3 at precision 1/2, then nothing.
    # AP = 1/3 * 1 + 1/3 * 1/2 = 1/2.
    assert metric.compute()["wider/all"].item() == pytest.approx(0.5, abs=1e-12)
    curve = metric.curves()["all"]
    # Thresholds are 1 - t/1000, and index = t - 1.
    assert curve.precision[[0, 249, 499, 999]].tolist() == [1.0, 1 / 2, 1 / 3, 1 / 2]
    assert curve.recall[[0, 998, 999]].tolist() == [1 / 3, 1 / 3, 2 / 3]
    assert curve.faces == 3


FACE, OTHER = (0, 0, 9, 9), (50, 50, 9, 9)
# IoU with the first face, outside the subset, 0.6; with the second, inside it, 0.9.
QUIRK = [([(*FACE, 0.9)], [(0, 0, 9, 5), (0, 0, 9, 8)], [0, 1])]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param([([], [], [])], 0.0, id="nothing in the picture"),
        # One of two faces at precision 1.
        pytest.param(
            [([(*FACE, 0.9)], [FACE], [True]), ([], [FACE], [True])], 0.5, id="no detections"
        ),
        # The only face comes second: precision 1/2 at recall 1.
        pytest.param([([(*FACE, 0.5)], [FACE], [True]), ([(*FACE, 0.9)], [], [])], 0.5, id="false"),
        pytest.param(
            [([(*OTHER, 0.9), (*FACE, 0.5)], [FACE, OTHER], [True, False])], 1.0, id="not counted"
        ),
        pytest.param(
            [([(*FACE, 0.5), (*OTHER, 0.5)], [FACE], [True])], 0.5, id="equal scores: one point"
        ),
        pytest.param(QUIRK, 0.0, id="quirk"),
        # In float32 all three scores are 1, and the face would be one of three ties: AP 1/3.
        pytest.param(
            [([(*FACE, 1.0), (*OTHER, 1 - 1e-9), (*OTHER, 1 - 3e-9)], [FACE], [True])],
            1.0,
            id="float64",
        ),
    ],
)
def test_cases_by_hand(images, expected):
    assert one_subset(images).compute()["wider/all"].item() == expected
    # Without the quirk, the nearest face is meant.
    unrounded = one_subset(images, integer_quirk=False).compute()["wider/all"].item()
    assert unrounded == (1.0 if images == QUIRK else expected)


def test_another_iou_than_the_toolbox_has_is_not_rounded():
    # The only face has IoU 0.6 with the detection.
    images = [([(*FACE, 0.9)], [(0, 0, 9, 5)], [1])]
    for iou, ap, is_rounded in ((0.5, 1.0, True), (0.55, 1.0, False), (0.7, 0.0, False)):
        metric = one_subset(images, iou=iou)
        assert metric.compute()["wider/all"].item() == ap
        assert (metric.settings()["iou"], metric.settings()["integer_quirk"]) == (iou, is_rounded)


def test_ignored_faces_count_in_no_subset():
    metric = WiderAP(subsets=("all",))
    truth = target([(0, 0, 9, 9), (50, 50, 9, 9)], [[1], [1]], 0, ignore=[False, True])
    metric.update([detections([(50, 50, 9, 9, 0.9), (0, 0, 9, 9, 0.5)])], [truth])
    assert metric.compute()["wider/all"].item() == 1.0
    assert metric.curves()["all"].faces == 1


coordinate = st.integers(0, 12)
side = st.integers(0, 8)
score = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
faces_of_image = st.lists(st.tuples(coordinate, coordinate, side, side, st.booleans()), max_size=5)
rows_of_image = st.lists(st.tuples(coordinate, coordinate, side, side, score), max_size=8)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(rows_of_image, faces_of_image), max_size=4), st.booleans())
def test_equals_the_loops(drawn, quirk):
    images = [(rows, [f[:4] for f in faces], [f[4] for f in faces]) for rows, faces in drawn]
    expected, precision, recall = wider_eval.evaluate(images, quirk, thresholds=20)
    metric = one_subset(images, integer_quirk=quirk, thresholds=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = metric.compute()["wider/all"].item()
    assert value == pytest.approx(expected, abs=1e-12)
    assert metric.curves()["all"].precision.tolist() == pytest.approx(precision, abs=1e-12)
    assert metric.curves()["all"].recall.tolist() == pytest.approx(recall, abs=1e-12)


def test_neither_order_nor_repetition_nor_merging_matters():
    images = random_pictures()
    expected = feed(WiderAP(), images, range(6)).compute()
    assert 0.05 < expected["wider/hard"] < 0.95
    generator = np.random.default_rng(1)
    shuffled = [(generator.permutation(rows), faces, kept) for rows, faces, kept in images]
    repeated = feed(WiderAP(), shuffled, [4, 1, 5, 0, 3, 2, 0, 3])
    assert repeated.compute() == expected
    assert (repeated.images, repeated.detections) == (6, 96)
    left, right = feed(WiderAP(), images, [0, 2]), feed(WiderAP(), images, [1, 3, 4, 5])
    left.merge_state(right)
    assert left.compute() == expected
    whole = WiderAP()
    whole.update(
        [detections(rows) for rows, _, _ in images],
        [target(faces, kept, index) for index, (_, faces, kept) in enumerate(images)],
    )
    assert pickle.loads(pickle.dumps(whole)).compute() == expected


def test_forward_gives_the_batch_and_keeps_the_set():
    images = random_pictures()
    metric = WiderAP()
    for index, (rows, faces, kept) in enumerate(images):
        alone = feed(WiderAP(), images, [index]).compute()
        assert metric([detections(rows)], [target(faces, kept, index)]) == alone
    assert metric.images == 6
    assert metric.compute() == feed(WiderAP(), images, range(6)).compute()
    metric.reset()
    assert feed(metric, images, [0]).images == 1


def test_wrong_subsets_name_the_image():
    with pytest.raises(ValueError, match=r"\[1, 1\] of image 7, expected \[1, 3\]"):
        WiderAP().update([detections([])], [target([(0, 0, 9, 9)], [[True]], 7)])
    with pytest.raises(ValueError, match="zip"):
        WiderAP().update([], [target([], np.zeros((0, 3)), 0)])


# Images of the first and of the second process.
SHARES = {
    "uneven": ([0, 1, 2, 3], [4, 5]),
    "padded by a sampler": ([0, 2, 4, 0], [1, 3, 5, 1]),
    "idle": ([0, 1, 2, 3, 4, 5], []),
}


def run_rank(rank, folder, results):
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    for name, shares in SHARES.items():
        metric = feed(WiderAP(), random_pictures(), shares[rank])
        values = {key: value.item() for key, value in metric.compute().items()}
        results[name, rank] = (values, metric.images, metric.detections)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_agree_with_one(tmp_path):
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.spawn(run_rank, args=(str(tmp_path), results), nprocs=2)
        found = dict(results)
    alone = feed(WiderAP(), random_pictures(), range(6))
    expected = {name: value.item() for name, value in alone.compute().items()}
    assert found == {(name, rank): (expected, 6, 96) for name in SHARES for rank in range(2)}


QUIRKS = {"extd_py": False, "shf_nomimic": False, "shf_mimic": True}


@pytest.mark.data
@pytest.mark.parametrize("evaluator", QUIRKS)
def test_small_set_has_the_stored_curve(golden, evaluator):
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


@pytest.mark.data
@pytest.mark.parametrize("key", ["plain", "integer_quirk"])
def test_released_detector_has_the_stored_values(shared, golden, key):
    expected = json.loads((golden / "extd32_wider_val.json").read_text())[key]
    truth = {r.name: r for r in read_ground_truth(shared / "data" / "wider")}
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
