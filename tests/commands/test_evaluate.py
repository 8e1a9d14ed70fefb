"""`facedet evaluate`: its files, its agreement with `facedet score`, and its complaints."""

import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from facedet.config import SWEEPS_DIR, compose, plain
from facedet.data.crowds.wider_writer import write_wider
from facedet.evaluation import application, run
from facedet.evaluation.detection_files import read_detections
from facedet.evaluation.detection_writers import EventFiles
from facedet.structures import Record
from facedet.weights.store import model_config, save_weights
from reference.one_face import BOX, one_face_weights, save_picture


def settings(weights, root, out, *more):
    return ("evaluate", f"weights={weights}", "data=wider", f"data.root={root}",
            f"paths.output={out}", *more)  # fmt: skip


@pytest.fixture
def copied(wider, tmp_path):
    """The data set, to be damaged."""
    return shutil.copytree(wider, tmp_path / "copied")


def scored(cli, out, root, *words):
    result = cli(
        "score", "--detections", out / "detections", "--ground-truth", root, *words, "--json"
    )
    assert result.code == 0
    return result.json


def test_files_and_numbers(cli, weights, wider, tmp_path):
    out = tmp_path / "out ü (1)"  # as unlike Hydra's grammar as a folder can be
    result = cli(*settings(weights, wider, out))
    assert result.code == 0
    names = {"curves.csv", "curves.npz", "detections", "metrics.json", "precision_recall.png",
             "sheet.png"}  # fmt: skip
    assert names <= {path.name for path in out.iterdir()}
    report = json.loads((out / "metrics.json").read_text())
    # One face in each picture, found in each, exactly.
    assert [report[f"wider/{name}"] for name in ("easy", "medium", "hard")] == [1.0] * 3
    assert (report["images"], report["detections"]) == (4, 4)
    assert report["protocol"] == report["settings"]["name"] == "wider_single"
    assert report["weights"]["source"] == "made by hand"
    assert (report["limit"], report["missing_pictures"], report["notes"]) == (None, 0, {})
    found = read_detections(out / "detections")
    assert sorted(found) == [f"{i % 2}--Event/picture {i}" for i in (0, 2, 1, 3)]
    x1, y1, x2, y2 = BOX
    np.testing.assert_allclose(found["0--Event/picture 0"][:, :4], [[x1, y1, x2 - x1, y2 - y1]])
    again = scored(cli, out, wider)
    for name in ("wider/easy", "wider/medium", "wider/hard", "images", "detections"):
        assert again[name] == report[name]
    assert "hard    AP 1.0000         4 faces" in result.out
    for name in ("metrics.json", "precision_recall.png", "sheet.png", "detections"):
        assert f"  {out / name}" in result.out
    # Four pictures in a row of four cells of 420 px.
    assert Image.open(out / "sheet.png").size == (1680, 420)


def test_training_pictures_are_not_measured_silently(cli, tmp_path):
    words = ["data=csv", f"data.root={tmp_path}", "data.val_share=0.1"]
    for number in range(10):
        save_picture(tmp_path / "images" / "train" / f"{number}.png")
    rows = "".join(f"{number}.png,1,1,9,9\n" for number in range(10))
    (tmp_path / "train.csv").write_text(f"image,x1,y1,x2,y2\n{rows}")
    made = one_face_weights()
    made.config["val_share"] = model_config(plain(compose("train", words)))["val_share"]
    weights = save_weights(tmp_path / "w.safetensors", made)
    for share, count in ((0.1, 0), (0.2, 1)):
        words[2:] = [f"data.val_share={share}", f"weights={weights}", "limit=1"]
        result = cli("evaluate", *words, f"paths.output={tmp_path / 'out'}")
        assert result.code == 0, result.err
        said = f"[WARNING] - data.val_share={share}: {weights} were trained with 0.1; if"
        assert result.out.count(said) == count


def test_a_part_of_the_pictures(cli, weights, copied, tmp_path):
    (copied / "WIDER_val" / "images" / "1--Event" / "picture 3.jpg").unlink()
    out = tmp_path / "out"
    words = settings(weights, copied, out)
    cli(*words).check_error(1, "1 of 4 pictures are missing", "1--Event/picture 3.jpg",
                            "data.images=present")  # fmt: skip
    result = cli(*words, "data.images=present")
    assert "without 1 pictures that are not on disk" in result.out
    report = json.loads((out / "metrics.json").read_text())
    assert (report["images"], report["missing_pictures"]) == (3, 1)
    present = scored(cli, out, copied, "--only-present")
    assert present["wider/hard"] == report["wider/hard"] == 1.0
    # Scored over all pictures the missing one's face is missed.
    assert scored(cli, out, copied)["wider/hard"] == 0.75
    # A second run into a folder with more detections says so.
    again = cli(*words, "data.images=present", "limit=1")
    assert json.loads((out / "metrics.json").read_text())["limit"] == 1
    assert "2 files in detections are of other pictures" in again.out


def test_the_published_protocol(cli, weights, wider, tmp_path):
    """Shrunk so that its many passes are quick; what it finds is the pyramid's affair."""
    out = tmp_path / "out"
    small = ["protocol=wider", "protocol.scales.area=16384", "limit=2"]
    assert cli(*settings(weights, wider, out, *small)).code == 0
    report = json.loads((out / "metrics.json").read_text())
    assert report["protocol"] == "wider"
    assert report["settings"]["merge"]["_target_"].endswith("VoteMerge")
    first = (out / "detections" / "0--Event" / "picture 0.txt").read_text().splitlines()
    assert first[0] == "picture 0"
    assert int(first[1]) == len(first) - 2
    only = scored(cli, out, wider, "--only-present")
    assert only["wider/hard"] == report["wider/hard"]


def test_a_data_set_without_its_lists(cli, weights, copied, tmp_path, monkeypatch):
    shutil.rmtree(copied / "ground_truth")

    def never(*_, **__):
        pytest.fail("went to work before it was known that nothing can be scored")

    monkeypatch.setattr(run, "detect_records", never)
    result = cli(*settings(weights, copied, tmp_path / "out"))
    result.check_error(1, copied, "ground_truth/wider_{easy,medium,hard}_val.mat")


def test_training_pictures_are_in_no_lists_and_all_faces_count(cli, weights, wider, tmp_path):
    root, out = tmp_path / "own", tmp_path / "out"
    shutil.copytree(wider / "WIDER_train", root / "WIDER_train")
    # A box without a width, beside a face and alone in a picture, is no face.
    boxes = np.array([BOX, [5, 5, 5, 9]], dtype=np.float32)
    records = [
        Record(f"0--Event/picture {index}", root, rows, np.zeros(len(rows), bool), {})
        for index, rows in ((0, boxes), (2, boxes[:1]), (4, boxes[1:]))
    ]
    write_wider(root, "train", records)
    result = cli(*settings(weights, root, out, "split=train"))
    assert result.code == 0, result.err
    report = json.loads((out / "metrics.json").read_text())
    # Three detections of one score, two of them faces: precision 2/3 at every recall.
    assert report["wider/all"] == pytest.approx(2 / 3)
    assert (report["split"], report["images"], report["detections"]) == ("train", 3, 3)
    assert "all     AP 0.6667         2 faces" in result.out
    words = ("--detections", out / "detections", "--data", root, "--split", "train")
    assert "# Why the AP on all faces is 0.6667\n" in cli("diagnose", *words).out
    cli(*settings(weights, root, out, "split=tset")).check_error(1, "wider_face_tset.mat")


def test_test_pictures_become_a_submission(cli, weights, wider, tmp_path):
    root, out = tmp_path / "own", tmp_path / "out"
    shutil.copytree(wider / "WIDER_val", root / "WIDER_test")
    (root / "wider_face_split").mkdir()
    listed = root / "wider_face_split" / "wider_face_test_filelist.txt"
    listed.write_text("0--Event/picture 2.jpg\n1--Event/picture 1.jpg\n")
    # An earlier run's files stay outside.
    assert cli(*settings(weights, wider, out, "limit=1")).code == 0
    assert (out / "detections" / "0--Event" / "picture 0.txt").is_file()
    result = cli(*settings(weights, root, out, "split=test"))
    assert (result.code, result.err) == (0, "")
    assert f"  {out / 'submission.zip'}" in result.out
    with zipfile.ZipFile(out / "submission.zip") as archive:
        texts = {name: archive.read(name).decode().splitlines() for name in archive.namelist()}
    assert texts.keys() == {"0--Event/picture 2.txt", "1--Event/picture 1.txt"}
    # The picture's name, the number of faces, and a line of x y w h score for each.
    assert texts["0--Event/picture 2.txt"][:2] == ["picture 2", "1"]
    assert len(texts["0--Event/picture 2.txt"][2].split()) == 5
    report = json.loads((out / "metrics.json").read_text())
    assert (report["split"], report["images"]) == ("test", 2)
    assert not [key for key in report if key.startswith("wider/")]
    listed.write_text("0--Event/picture 2.jpg\n0--Event/picture 2.jpg\n")
    cli(*settings(weights, root, out, "split=test")).check_error(1, listed, "twice")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["protocol=widre"], 2, "protocol=widre: there is no such choice; the nearest is wider"),
        (["data.images=presnt"], 2, "images=presnt is none of all, present"),
        (["limit=0"], 2, "limit=0: expected a number of pictures above 0"),
        (["limit=true"], 2, "limit="),
        (["protocol.on_large=crop"], 2, "on_large='crop'"),
        (["protocol.pixel_budget=abc"], 2, "pixel_budget=abc: expected pixels above 0"),
        (["protocol.pixel_budget=-5"], 2, "pixel_budget=-5: expected pixels above 0"),
        (["protocol.files.decimals=-1"], 2, "files.decimals=-1: expected a number of decimals"),
        (["protocol=afw", "protocol.files.score_decimals=-1"], 2, "files.score_decimals=-1"),
        (["protocol.merge.iou=2"], 2, "merge.iou=2: expected 0 … 1"),
        (["protocol=wider", "protocol.merge.iou=-1"], 2, "merge.iou=-1: expected 0 … 1"),
        (["protocol.postprocess.iou=2"], 2, "postprocess.iou=2: expected 0 … 1"),
        (["protocol.postprocess.score=low"], 2, "expected a number; the default is 0.05"),
        (["device=banana"], 2, "device=banana: expected auto, cpu"),
        (["paths.output=/proc/nowhere"], 1, "/proc/nowhere"),
        (["paths.output=taken"], 1, "taken: File exists"),
        (["paths.output=taken/out"], 1, "taken/out"),
    ],
)
def test_complaints(cli, weights, wider, more, code, words):
    Path("taken").write_text("a file")
    cli(*settings(weights, wider, "out", *more)).check_error(code, words)


def test_what_is_missing_is_said_before_a_folder_is_made(cli, weights):
    cli("evaluate").check_error(2, "weights is not given: add weights=VALUE")
    cli("evaluate", f"weights={weights}", "data=wider").check_error(2, "data.root is not given")
    assert os.listdir() == []


def test_an_interruption(cli, weights, wider, tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "evaluate", interrupted)
    result = cli(*settings(weights, wider, tmp_path / "out"))
    result.check_error(130, "facedet evaluate: interrupted")


@pytest.mark.data
@pytest.mark.slow
def test_released_weights_on_real_pictures(cli, shared, tmp_path):
    root = shared / "data" / "wider"
    source = shared / "reference" / "weights" / "EXTD_64.pth"
    out = tmp_path / "out"
    result = cli(*settings(source, root, out, "data.images=present", "limit=8"))
    assert result.code == 0
    report = json.loads((out / "metrics.json").read_text())
    assert (report["images"], report["missing_pictures"]) == (8, 2983)
    # 0.85 over all pictures at one scale; eight are a small sample.
    assert report["wider/hard"] > 0.7
    only = scored(cli, out, root, "--only-present")
    for name in ("wider/easy", "wider/medium", "wider/hard", "images", "detections"):
        assert only[name] == report[name]


def test_resuming_keeps_the_detections_of_the_same_settings(cli, weights, wider, tmp_path):
    out = tmp_path / "out"
    assert cli(*settings(weights, wider, out, "limit=2")).code == 0
    files = sorted((out / "detections").rglob("*.txt"))
    assert len(files) == 2
    # A mark that a second detection would overwrite.
    marked = files[0].read_text().rsplit(" ", 1)[0] + " 0.123\n"
    files[0].write_text(marked)
    assert cli(*settings(weights, wider, out, "resume=true")).code == 0
    assert files[0].read_text() == marked
    assert json.loads((out / "metrics.json").read_text())["images"] == 4
    assert len(list((out / "detections").rglob("*.txt"))) == 4
    result = cli(*settings(weights, wider, out, "resume=true", "protocol=wider"))
    assert result.code == 2
    assert f"{out} holds detections of another run (" in result.err
    assert "resume=false" in result.err
    (out / "detections.json").write_text("{")
    cli(*settings(weights, wider, out, "resume=true")).check_error(1, "detections.json cannot")
    assert cli(*settings(weights, wider, out)).code == 0
    assert files[0].read_text() != marked


def test_the_rate_is_that_of_the_pictures_detected_now(cli, weights, wider, tmp_path, monkeypatch):
    clock = iter(range(0, 100, 2))
    monkeypatch.setattr(run, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    # Two seconds for each detection of all pictures: of one, of three more, of none.
    for limit, rate in ((1, 0.5), (4, 1.5), (4, None)):
        words = settings(weights, wider, tmp_path / "out", "resume=true", f"limit={limit}")
        assert cli(*words).code == 0
        report = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert (report["images"], report["pictures_per_second"]) == (limit, rate)


def test_a_resumed_run_has_the_notes_of_all_its_pictures(cli, weights, wider, tmp_path):
    def notes(*words):
        assert cli(*settings(weights, wider, tmp_path / "out", *words)).code == 0
        return json.loads((tmp_path / "out" / "metrics.json").read_text())["notes"]

    # A sixteenth of 128 x 128 pixels.
    shrunk = ("protocol.pixel_budget=1024", "protocol.on_large=shrink")
    first = notes(*shrunk, "limit=2")
    said = "reduced to 0.25 of its size (pixel budget 1024)"
    assert first == {f"0--Event/picture {i}": said for i in (0, 2)}
    assert notes(*shrunk, "resume=true", "limit=1") == {"0--Event/picture 0": said}
    assert notes(*shrunk, "resume=true") == first | {f"1--Event/picture {i}": said for i in (1, 3)}
    # Another run has none of them, not even when it is resumed.
    assert notes() == notes("resume=true") == {}


def test_an_interrupted_run_is_not_resumed_with_detections_of_other_settings(
    cli, weights, wider, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    assert cli(*settings(weights, wider, out)).code == 0
    # The detector's one score is 0.88: nothing is found from 0.9 on.
    other = "protocol.postprocess.score=0.9"

    def stop_after_one(self, name, detections):
        write(self, name, detections)
        raise KeyboardInterrupt

    write = EventFiles.add
    with monkeypatch.context() as patch:
        patch.setattr(EventFiles, "add", stop_after_one)
        assert cli(*settings(weights, wider, out, other)).code == 130
    assert len(list((out / "detections").rglob("*.txt"))) == 1
    assert cli(*settings(weights, wider, out, other, "resume=true")).code == 0
    report = json.loads((out / "metrics.json").read_text())
    assert (report["images"], report["detections"]) == (4, 0)


def test_a_multirun_ends_with_a_table(cli, weights, wider, tmp_path):
    out = tmp_path / "runs ü"
    words = [f"hydra.sweep.dir={out}", "limit=2"]
    # The detector's one score is 0.88.
    grid = "protocol.postprocess.score=0.05,0.9"
    result = cli(*settings(weights, wider, tmp_path / "unused", *words, grid), "-m")
    assert result.code == 0, result.err
    lines = result.out.splitlines()[-5:]
    assert [one.split(" | ")[0] for one in lines[2:4]] == [
        "| protocol.postprocess.score=0.05",
        "| protocol.postprocess.score=0.9 ",
    ]
    assert lines[0].split()[1::2] == ["run", "wider/easy", "wider/medium", "wider/hard"]
    assert lines[-1] == f"  {out}"
    for place, ap in enumerate((1.0, 0.0)):
        report = json.loads((out / str(place) / "metrics.json").read_text())
        assert report["wider/hard"] == ap
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("more", [[], ["hydra.output_subdir=null"]])
def test_a_run_that_fails_does_not_take_the_others_along(cli, weights, wider, tmp_path, more):
    grid = ["protocol.on_large=tile,crop", f"hydra.sweep.dir={tmp_path / 'runs'}", "limit=1"]
    result = cli(*settings(weights, wider, tmp_path / "unused", *grid, *more), "-m")
    assert result.code == 2
    assert "on_large='crop'" in result.err.splitlines()[-1]
    # Without the runs' settings there is no table, which hides no error of theirs.
    assert more or "1.0000" in result.out.splitlines()[-2]


def test_a_table_of_runs_with_other_numbers(cli, weights, copied, tmp_path):
    for file in copied.glob("ground_truth/wider_*_train.mat"):
        file.unlink()
    words = ["split=val,train", f"hydra.sweep.dir={tmp_path / 'runs'}", "limit=2"]
    result = cli(*settings(weights, copied, tmp_path / "unused", *words), "-m")
    assert (result.code, result.err) == (0, "")
    cells = [line.split()[1::2] for line in result.out.splitlines()[-5:-1]]
    assert cells[0] == ["run", "wider/easy", "wider/medium", "wider/hard", "wider/all"]
    assert cells[2] == ["split=val", "1.0000", "1.0000", "1.0000", "–"]
    assert cells[3] == ["split=train", "–", "–", "–", "1.0000"]


def test_a_sweep_of_the_package_by_its_name(cli, weights, wider):
    words = ("evaluate", "-cn", "shf_pyramid", f"weights={weights}", f"data.root={wider}")
    shown = cli(*words, "data=wider", "--show")
    assert (shown.code, "\n  name: wider_shf\n" in shown.out) == (0, True)
    cli(*words, "data=widr").check_error(2, "the nearest is wider")


def test_a_sweep_from_python(weights, wider, tmp_path, monkeypatch):
    own = {"protocol.scales.scales": "[1.0],[2.0]"}
    sweep = {"defaults": ["evaluate", "_self_"], "hydra": {"sweeper": {"params": own}}}
    OmegaConf.save(sweep, tmp_path / "own.yaml")
    monkeypatch.setattr(application, "SWEEPS_DIR", tmp_path)
    common = ["data=wider", f"data.root={wider}", f"weights={weights}", "limit=1"]
    reports = application.evaluate_sweep("own", common, tmp_path / "runs")
    assert [report["settings"]["scales"]["scales"] for report in reports] == [[1.0], [2.0]]
    assert reports[1]["varying"] == "protocol.scales.scales=[2.0]"


def test_the_pyramids_ablation_has_all_sizes():
    sweep = OmegaConf.load(SWEEPS_DIR / "shf_pyramid.yaml")
    sides = sweep.hydra.sweeper.params["protocol.scales.sides"].replace(" ", "").split("],[")
    assert (len(sides), sides[0], sides[6]) == (12, "[100,300,600,1000,1400", "600,1000,1400")
