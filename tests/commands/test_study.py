"""`facedet study`: equal to evaluating each choice, and numbers by hand."""

import csv
import json

import pytest
import torch
from PIL import Image

from facedet.evaluation.detection_files import write_detections
from facedet.structures import Detections
from facedet.weights.store import save_weights
from reference.one_face import BOX, one_face_weights

SUBSETS = ("easy", "medium", "hard")
# Two passes over a picture of 128 px each at its own size and at half of it.
SHF = ["protocol=wider_shf", "protocol.scales.sides=[64,128]", "protocol.scales.base=128",
       "protocol.scales.long=192", "data.num_workers=0"]  # fmt: skip


def words(command, weights, root, out, *more):
    return (*command, f"weights={weights}", "data=wider", f"data.root={root}",
            f"paths.output={out}", *more)  # fmt: skip


def study(cli, kind, weights, root, out, *more):
    result = cli(*words(("study", kind), weights, root, out, *more))
    assert result.code == 0, result.err
    return result, json.loads((out / f"{kind}.json").read_text())


def evaluated(cli, weights, root, out, *more):
    assert cli(*words(("evaluate",), weights, root, out, *more)).code == 0
    report = json.loads((out / "metrics.json").read_text())
    return [report[f"wider/{subset}"] for subset in SUBSETS], report["detections"]


def aps(rows):
    return {row[next(iter(row))]: [row[subset] for subset in SUBSETS] for row in rows}


def test_each_choice_is_what_evaluate_says(cli, weights, wider, tmp_path):
    out = tmp_path / "out ü (1)"
    # The face is not moved into the picture, and found right at the pictures' own size.
    more = [*SHF, "protocol.postprocess.clip=false", "protocol.files.truncate=false"]
    result, report = study(cli, "pyramid", weights, wider, out, *more)
    values = aps(report["rows"])
    # Of two sizes, without the one is only the other. At half the size the face is twice as large
    # as it should be: IoU 1/4.
    assert values["without 64"] == [1.0, 1.0, 1.0]
    assert values["without 128"] == [0, 0, 0]
    assert list(values) == ["all", "without 64", "without 128"]
    only = [*more, "protocol.scales.sides=[128]"]
    expected, _ = evaluated(cli, weights, wider, tmp_path / "only", *only)
    assert values["without 64"] == expected
    # 128² and 64² px, each twice.
    shown = [row["megapixels"] for row in report["rows"]]
    assert shown == pytest.approx([0.04096, 0.032768, 0.008192])
    check_files(result, report, out)


def check_files(result, report, out):
    """The files of a study of the two sizes, and the stamps on them."""
    assert (report["protocol"], report["images"]) == ("wider_shf", 4)
    assert report["settings"]["scales"]["sides"] == [64, 128]
    assert report["integer_quirk"] is True
    digest = report["weights"]["sha256"]
    assert len(digest) == 64
    with (out / "pyramid.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["protocol"], row["weights_sha256"], row["images"]) for row in rows} == {
        ("wider_shf", digest, "4")
    }
    text = (out / "pyramid.md").read_text()
    assert text.startswith("# protocol wider_shf, one face.safetensors, 4 pictures\n")
    assert f"- weights.sha256: {digest}" in text
    row = "| without 64  |        4 |     0.0328 | 1.0000 | 1.0000 | 1.0000 |"
    assert row in text
    assert row in result.out
    assert Image.open(out / "pyramid.png").size[1] == 600
    for suffix in ("csv", "md", "png", "json"):
        assert f"  {out / f'pyramid.{suffix}'}" in result.out
    # Nothing of the result files that were scored is left.
    assert [path.name for path in out.glob(".files*")] == []


def test_a_second_start_goes_on_with_the_same_settings(cli, weights, wider, tmp_path, monkeypatch):
    out = tmp_path / "out"
    study(cli, "pyramid", weights, wider, out, *SHF, "limit=1")
    first = out / "raw" / "0--Event" / "picture 0.npz"
    looked = first.stat().st_mtime_ns
    again = words(("study", "pyramid"), weights, wider, out, *SHF)
    result = cli(*again, "protocol.merge.iou=0.5")
    result.check_error(2, out / "raw", "merge.iou 0.4 (then) / 0.5 (now)")
    other = one_face_weights()._replace(info={"source": "made by another hand"})
    other = save_weights(tmp_path / "other.safetensors", other)
    result = cli(*words(("study", "pyramid"), other, wider, out, *SHF))
    result.check_error(2, out / "raw", "weights ", "(then) / ")
    result, report = study(cli, "threshold", weights, wider, out, *SHF)
    assert "1 of 4 pictures were looked at before" in result.err
    assert (first.stat().st_mtime_ns, report["images"]) == (looked, 4)
    assert cli(*again, "protocol.merge.iou=0.5", "resume=false").code == 0
    assert first.stat().st_mtime_ns > looked
    # Nothing is left to look at.
    monkeypatch.setattr("facedet.inference.pyramid.Pyramid._run", None)
    assert "4 of 4 pictures" in cli(*again, "protocol.merge.iou=0.5").err


def test_extds_passes_are_scales(cli, weights, wider, tmp_path):
    """A picture of 128 px at m = 2.5: shrunk, mirrored, small, and enlarged twice and by m."""
    more = ["protocol=wider", f"protocol.scales.area={128 * 128 * 6.25}", "limit=2"]
    _, report = study(cli, "pyramid", weights, wider, tmp_path / "out", *more)
    labels = [row["scales"] for row in report["rows"]]
    names = ["shrunk", "mirrored", "small", "enlarged 1", "enlarged 2"]
    assert labels == ["all"] + [f"{way} {name}" for way in ("without", "only") for name in names]
    assert aps(report["rows"])["only shrunk"] == [1.0] * 3


def test_minimal_scores_of_candidates(cli, weights, wider, tmp_path):
    out = tmp_path / "out"
    more = [*SHF, "protocol.postprocess.clip=false", "protocol.files.truncate=false"]
    limits = ["protocol.scales.sides=[128]", "thresholds=[0.9,0.5,0.5]"]
    result, report = study(cli, "threshold", weights, wider, out, *more, *limits)
    # The one face has the score 0.8808.
    assert aps(report["rows"]) == {"0.5": [1.0] * 3, "0.9": [0] * 3}
    assert [row["detections"] for row in report["rows"]] == [4, 0]
    assert "the protocol's own cut, 0.05, changes nothing" in result.out
    # As with the protocol's score raised.
    raised = [*more, limits[0], "protocol.postprocess.score=0.9", "protocol.merge.score=0.9"]
    assert evaluated(cli, weights, wider, tmp_path / "e", *raised) == ([0] * 3, 0)


@pytest.fixture
def detections(tmp_path):
    """Two of four pictures: right at 0.9; beside at 0.7 and right at 0.5."""
    folder = tmp_path / "found" / "detections"
    beside = [value + 1000 for value in BOX]
    for name, boxes, scores in (
        ("0--Event/picture 0", [BOX], [0.9]),
        ("1--Event/picture 1", [beside, BOX], [0.7, 0.5]),
    ):
        given = Detections(torch.tensor(boxes), torch.tensor(scores))
        write_detections(folder, name, given, plus_one=0)
    return folder


def test_minimal_scores_of_files(cli, wider, detections, tmp_path):
    out = tmp_path / "out"
    common = ("study", "threshold", f"detections={detections}", "data=wider", f"data.root={wider}",
              f"paths.output={out}", "thresholds=[0,0.6,0.8,0.95]")  # fmt: skip
    result = cli(*common)
    assert result.code == 0, result.err
    assert "the faces of 2 of 4 pictures without a file count as missed" in result.err
    report = json.loads((out / "threshold.json").read_text())
    # Of four faces 1 is found at precision 1, another at 2/3: 1/4 + 1/4 * 2/3.
    expected = {"0": 5 / 12, "0.6": 1 / 4, "0.8": 1 / 4, "0.95": 0.0}
    for label, values in aps(report["rows"]).items():
        assert values == pytest.approx([expected[label]] * 3), label
    assert [row["detections"] for row in report["rows"]] == [3, 2, 1, 0]
    assert report["weights"]["sha256"] == "unknown"
    # Of the two pictures with a file: 1/2 + 1/2 * 2/3. What the run told of itself comes along.
    told = {"protocol": "mine", "weights": {"file": "w.pth", "sha256": "ab" * 32}}
    (detections.parent / "metrics.json").write_text(json.dumps(told))
    result = cli(*common, "data.images=present")
    assert "are left out" in result.err
    report = json.loads((out / "threshold.json").read_text())
    assert aps(report["rows"])["0"] == pytest.approx([5 / 6] * 3)
    assert "protocol mine, w.pth, 2 pictures" in result.out


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["pyramid"], 2, "weights is not given: add weights=FILE"),
        (["banana"], 2, "banana"),
        (["pyramid", "limit=0"], 2, "limit=0"),
        (["pyramid", "wieghts=a"], 2, "the nearest is weights"),
        (["threshold", "thresholds=[]"], 2, "thresholds=[]: wanted one or more scores in 0 … 1"),
        (["threshold", "thresholds=[0.5,2]"], 2, "thresholds=[0.5, 2]"),
        (["threshold", "thresholds=0.5"], 2, "a list in [ ] is wanted"),
        (["threshold", "detections=/nowhere"], 1, "/nowhere does not exist"),
    ],
)
def test_complaints(cli, wider, more, code, said):
    cli("study", *more, "data=wider", f"data.root={wider}").check_error(code, said)


def test_what_cannot_be_studied(cli, weights, wider, detections, tmp_path):
    out = tmp_path / "out"
    one = words(("study", "pyramid"), weights, wider, out, "protocol=wider_single")
    assert "has one scale: there is nothing to vary" in cli(*one).err
    empty = tmp_path / "empty" / "a"
    empty.mkdir(parents=True)
    (empty / "b.txt").write_text("b\n0\n")
    result = cli("study", "threshold", f"detections={empty.parent}", "data=wider",
                 f"data.root={wider}", f"paths.output={out}")  # fmt: skip
    result.check_error(1, "none of its 1 pictures is in")
    (detections.parent / "metrics.json").write_text("{")
    result = cli("study", "threshold", f"detections={detections}", "data=wider",
                 f"data.root={wider}", f"paths.output={out}")  # fmt: skip
    assert result.code == 1
    assert "metrics.json cannot be read" in result.err
