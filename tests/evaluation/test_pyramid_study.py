"""Choices of a pyramid's scales from one look at all of them, against pyramids of just these."""

import numpy as np
import pytest
import torch

from facedet.errors import FacedetError
from facedet.evaluation.detect import detect_records
from facedet.evaluation.pyramid_study import (
    Subset,
    choose,
    choose_subsets,
    cut,
    megapixels,
    merge_looks,
    scale_names,
    write_variants,
)
from facedet.inference.postprocess import NmsMerge, VoteMerge
from facedet.inference.pyramid import Pyramid
from facedet.inference.raw_views import Looks, RawLooks, read_looks, save_looks
from facedet.inference.scales import ExtdScales, FixedScales, Pass, ShortSides
from facedet.structures import Detections, Record
from reference.bright_faces import Echo, find_bright, picture
from reference.one_face import save_picture

SIDES = ShortSides((30, 60, 120), base=60, long=90, flip=True)
# Small spots vanish in the small passes, large ones are filtered out of the enlarged ones.
SPOTS = ((2, 2, 5, 6), (20, 10, 60, 50), (66, 30, 72, 40), (5, 52, 9, 55))


def found(*rows):
    """Detections of rows x1, y1, x2, y2, score."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4])


def pyramid_of(plan, merge, **budget):
    return Pyramid(Echo(), find_bright, plan, merge, **budget)


def looks_of(pyramid, image, folder):
    """One picture's looks, by way of their file."""
    raw = RawLooks(pyramid, folder, [])
    raw(image)
    save_looks(folder, "a/b", raw._latest, 1)
    return read_looks(folder, "a/b")


def same(a, b):
    return torch.equal(a.boxes, b.boxes) and torch.equal(a.scores, b.scores)


# Names and choices


def test_a_size_is_one_scale_plain_and_mirrored():
    # 60 x 100 px: base 90 / 100 for its long side.
    passes = SIDES((60, 100))
    assert scale_names(SIDES, passes) == ["30", "30", "60", "60", "120", "120"]
    assert scale_names(FixedScales((0.5, 1.0)), [Pass(0.5), Pass(1.0)]) == ["0.5", "1"]


@pytest.mark.parametrize(
    ("area", "names"),
    [
        # m = sqrt(area / 10,000): 0.5, 1.5, 2.5 (2 and m) and 5 (2, 4 and m).
        (2_500, ["shrunk", "mirrored", "small", "middle"]),
        (22_500, ["shrunk", "mirrored", "small", "enlarged 1"]),
        (62_500, ["shrunk", "mirrored", "small", "enlarged 1", "enlarged 2"]),
        (250_000, ["shrunk", "mirrored", "small", "enlarged 1", "enlarged 2", "enlarged 3"]),
    ],
)
def test_each_pass_of_extds_test_is_a_scale(area, names):
    plan = ExtdScales(area)
    assert scale_names(plan, plan((100, 100))) == names


def test_the_choices():
    names = ["300", "100", "1000", "300"]
    assert choose_subsets(ShortSides((300, 100, 1000)), names) == [
        Subset("all", ("300", "100", "1000")),
        Subset("without 300", ("100", "1000")),
        Subset("without 100", ("300", "1000")),
        Subset("without 1000", ("300", "100")),
        # The smallest by their length; of three, the third alone is the same choice.
        Subset("without 100 and 300", ("1000",)),
        Subset("only 300", ("300",)),
        Subset("only 100", ("100",)),
    ]
    assert [one.label for one in choose_subsets(ExtdScales(), ["shrunk", "mirrored"])] == [
        "all", "without shrunk", "without mirrored",
    ]  # fmt: skip
    assert choose_subsets(FixedScales(), ["1"]) == [Subset("all", ("1",))]


def test_pixels_shown_to_the_network():
    # 200 x 100 px at 0.5, twice, and at 2: 2 * 5,000 + 80,000.
    looks = Looks((100, 200), [Pass(0.5), Pass(0.5, True), Pass(2.0)], [])
    assert megapixels(looks) == pytest.approx(0.09)
    assert megapixels(choose(FixedScales((0.5, 2.0)), looks, [])) == 0


# Equal to a pyramid of just these scales


@pytest.mark.parametrize(
    "merge",
    [
        VoteMerge(0.3, 750, 0.0, "drop", raw=False),
        VoteMerge(0.4, None, 0.05, "keep_last", raw=True),
        NmsMerge(0.3, 750),
    ],
)
@pytest.mark.parametrize("budget", [{}, {"pixel_budget": 4_000}])
def test_every_choice_is_what_a_pyramid_of_these_sizes_finds(merge, budget, tmp_path):
    image = picture(60, 90, *SPOTS)
    looks = looks_of(pyramid_of(SIDES, merge, **budget), image, tmp_path)
    results = []
    for subset in choose_subsets(SIDES, scale_names(SIDES, looks.passes)):
        plan = ShortSides([float(name) for name in subset.scales], base=60, long=90, flip=True)
        expected = pyramid_of(plan, merge, **budget)(image)
        assert same(merge_looks(merge, choose(SIDES, looks, subset.scales)), expected), subset
        results.append(expected.boxes.tolist())
    # Not all choices find the same, else nothing was tested.
    assert any(one != results[0] for one in results)


@pytest.mark.parametrize("raw", [False, True])
def test_every_choice_of_extds_passes(raw, tmp_path):
    merge = VoteMerge(0.3, 750, singletons="keep", raw=raw)
    plan = ExtdScales(area=60 * 90 * 6.25)
    image = picture(60, 90, *SPOTS)
    looks = looks_of(pyramid_of(plan, merge), image, tmp_path)
    names = scale_names(plan, looks.passes)
    assert names[-1] == "enlarged 2"
    for subset in choose_subsets(plan, names):
        passes = [
            one for one, name in zip(plan((60, 90)), names, strict=True) if name in subset.scales
        ]
        expected = pyramid_of(lambda size, passes=passes: passes, merge)(image)
        assert same(merge_looks(merge, choose(plan, looks, subset.scales)), expected), subset


def test_a_single_pass_of_candidates_is_merged_as_well(tmp_path):
    merge = VoteMerge(0.4, None, 0.05, "keep_last", raw=True)
    plan, image = FixedScales((1.0, 2.0)), picture(60, 90, *SPOTS)
    looks = looks_of(pyramid_of(plan, merge), image, tmp_path)
    expected = pyramid_of(FixedScales((1.0,)), merge)(image)
    # Of four boxes that nobody else votes for the last one stays.
    assert len(expected.scores) == 1
    assert same(merge_looks(merge, choose(plan, looks, ["1"])), expected)


def test_tiles_are_joined_as_the_pyramid_joins_them(tmp_path):
    # Seen whole in a tile and in the overview, which are one face; more so if each pass votes.
    plan, image = FixedScales((1.0,)), picture(300, 700, (50, 50, 250, 250))
    for merge in (NmsMerge(), VoteMerge(raw=True)):
        one = pyramid_of(plan, merge, pixel_budget=100_000)
        looks = looks_of(one, image, tmp_path)
        assert looks.note.startswith("in 1 x 2 tiles")
        assert len(looks.found[0].scores) == (2 if merge.raw else 1)
        assert same(merge_looks(merge, looks), one(image))


def test_a_picture_without_such_a_pass_finds_nothing(tmp_path):
    plan, merge = ExtdScales(area=5_400), VoteMerge()
    looks = looks_of(pyramid_of(plan, merge), picture(60, 90, *SPOTS), tmp_path)
    assert merge_looks(merge, choose(plan, looks, ["enlarged 2"])).boxes.shape == (0, 4)


def test_a_minimal_score_cuts_candidates_before_they_vote():
    looks = Looks(
        (50, 50),
        [Pass(), Pass(2.0)],
        [found((0, 0, 10, 10, 0.9), (30, 30, 40, 40, 0.5)), found((0, 0, 10, 10, 0.4))],
    )
    merge = VoteMerge(0.3, 750, singletons="drop")
    assert merge_looks(merge, cut(looks, 0.4)).scores.tolist() == pytest.approx([0.9])
    # Its only companion is gone: a group of one box is dropped.
    assert len(merge_looks(merge, cut(looks, 0.41)).scores) == 0
    kept = cut(looks, 0.5)
    assert [len(one.scores) for one in kept.found] == [2, 0]


# Files


def records_of(folder, count):
    names = [f"a/{place}" for place in range(count)]
    paths = [save_picture(folder / f"{name}.png", seed=place) for place, name in enumerate(names)]
    nothing = (np.zeros((0, 4), np.float32), np.zeros(0, bool))
    return [Record(name, path, *nothing, {}) for name, path in zip(names, paths, strict=True)]


def test_files_hold_what_was_seen(tmp_path):
    passes = [Pass(0.5, True, 30.0), Pass(2.0, smaller_than=100.0)]
    looks = Looks((3, 4), passes, [found((1, 2, 3, 4, 0.5)), found()], "in 2 x 1 tiles")
    path = save_looks(tmp_path, "a ü/b", looks, 7)
    assert path == tmp_path / "a ü" / "b.npz"
    read = read_looks(tmp_path, "a ü/b")
    assert (read.size, read.passes, read.note) == (looks.size, passes, "in 2 x 1 tiles")
    assert all(same(*pair) for pair in zip(read.found, looks.found, strict=True))
    plain = read_looks(tmp_path, "a ü/b", candidates=False)
    assert (plain.passes, plain.found) == (passes, [])


def test_what_is_there_is_not_looked_at_again(tmp_path):
    records = records_of(tmp_path / "in", 3)
    raw = RawLooks(pyramid_of(SIDES, NmsMerge()), tmp_path / "raw", records)
    detect_records(raw, records[:2], tmp_path, lambda _: raw, True)
    net = raw.pyramid.net
    # Six passes over each of two pictures.
    assert len(net.batches) == 12
    detect_records(raw, records, tmp_path, lambda _: raw, True)
    assert len(net.batches) == 18
    # A picture that has become another, and a damaged file.
    save_picture(records[0].path, (70, 50), seed=9)
    (tmp_path / "raw" / "a" / "1.npz").write_bytes(b"PK")
    raw = RawLooks(raw.pyramid, tmp_path / "raw", records)
    assert [raw.has(record.name) for record in records] == [False, False, True]
    detect_records(raw, records, tmp_path, lambda _: raw, True)
    assert len(net.batches) == 30
    assert read_looks(tmp_path / "raw", "a/0").size == (50, 70)


def test_variants_are_written_side_by_side(tmp_path):
    class Sink:
        def __init__(self):
            self.got, self.is_closed = {}, False

        def add(self, name, detections):
            self.got[name] = detections.scores.tolist()

        def close(self):
            self.is_closed = True

    for place in range(2):
        looks = Looks((9, 9), [Pass()], [found((0, 0, 5, 5, 0.5 + place / 4))])
        save_looks(tmp_path, f"a/{place}", looks, 1)
    sinks = {"all": Sink(), "sure": Sink()}
    variants = {"all": lambda looks: looks.found[0], "sure": lambda looks: cut(looks, 0.6).found[0]}
    write_variants(tmp_path, ["a/0", "a/1"], variants, sinks)
    assert sinks["all"].got == {"a/0": [0.5], "a/1": [0.75]}
    assert sinks["sure"].got == {"a/0": [], "a/1": [0.75]}
    assert all(sink.is_closed for sink in sinks.values())


def test_complaints(tmp_path):
    with pytest.raises(FacedetError, match=r"b\.npz holds no raw detections.*: remove it"):
        read_looks(tmp_path, "a/b")
    path = save_looks(tmp_path, "a/b", Looks((3, 4), [Pass()], [found((1, 2, 3, 4, 0.5))]), 7)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FacedetError, match="holds no raw detections"):
        read_looks(tmp_path, "a/b")
    for name in ("/a", "../a", "a/../../b"):
        with pytest.raises(FacedetError, match="it leaves"):
            save_looks(tmp_path, name, Looks((3, 4), [], []), 7)
