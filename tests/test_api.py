"""`facedet.load(...).detect(...)`: what it takes, and what it gives for it."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copyfile

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import facedet
from facedet.boxes import iou
from facedet.data.readers.wider import read_wider
from facedet.errors import FacedetError, UsageError
from facedet.inference.devices import find_device
from facedet.inference.scales import Pass
from facedet.structures import Predictions
from facedet.weights import zoo as registry
from facedet.weights.store import Weights, build_net, read_weights, save_weights
from reference.one_face import BOX, SCORE, one_face_weights, save_picture
from reference.videos import save_video

# BOX reaches outside the pictures on all sides.
load = partial(facedet.load, clip=False)


@pytest.fixture(scope="session")
def detector(weights):
    return load(weights)


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    """A detector whose findings depend on the picture: random weights, scores around 1/2."""
    stored = one_face_weights()
    torch.manual_seed(1)
    net = build_net(stored, "random")
    for parameter in net.head.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp("weights") / "seeing.safetensors"
    return load(save_weights(path, Weights(net.state_dict(), stored.config, {})))


def check_one_face(found, box=BOX, note=""):
    torch.testing.assert_close(found.boxes, torch.tensor([box]), rtol=0, atol=1e-3)
    assert found.scores.tolist() == pytest.approx([SCORE], abs=1e-4)
    assert found.note == note


def pixels(height=48, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_all_kinds_of_pictures_see_the_same_pixels(seeing, tmp_path):
    path = save_picture(tmp_path / "a ü (1).png")
    rgb = np.asarray(Image.open(path))
    first = seeing.detect(path)
    assert len(first.boxes) > 1
    assert (first.scores.diff() <= 0).all()
    kinds = (str(path), rgb, Image.open(path), Image.fromarray(rgb), rgb[:, ::-1][:, ::-1])
    grey = rgb[:, :, 0]
    for picture, expected in (
        *((kind, first) for kind in kinds),
        (grey, seeing.detect(np.stack([grey] * 3, axis=2))),
    ):
        again = seeing.detect(picture)
        assert torch.equal(again.boxes, expected.boxes)
        assert torch.equal(again.scores, expected.scores)
    # Channels in the other order are another picture.
    assert not torch.equal(seeing.detect(rgb[:, :, ::-1]).scores, first.scores)


def test_a_list_gives_what_its_pictures_give(seeing, tmp_path):
    pictures = [pixels(), save_picture(tmp_path / "a.png"), pixels(40, 90, 1), pixels(seed=2)]
    together = seeing.detect(pictures)
    assert isinstance(together, list)
    for picture, found in zip(pictures, together, strict=True):
        alone = seeing.detect(picture)
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=0, atol=1e-2)
        torch.testing.assert_close(found.scores, alone.scores, rtol=0, atol=1e-4)
    assert len(seeing.detect(tuple(pictures))) == 4
    assert seeing.detect([]) == []


def test_boxes_are_pixels_of_the_picture_whatever_the_scale(weights):
    # At scale 2 the network sees 128 x 96 px and finds BOX there: half of it here.
    half = [value / 2 for value in BOX]
    check_one_face(load(weights, scales=[2.0]).detect(pixels()), half)
    planned = load(weights, scales=lambda size: [Pass(2.0)])
    check_one_face(planned.detect(pixels()), half)
    # The mirror image of -192 … 320 in 64 px: 64 - 320 = -256 … 64 + 192 = 256; IoU with BOX is
    # (256 + 192) / (256 + 320) = 0.78, so one of the two stays.
    assert len(load(weights, flip=True).detect(pixels()).boxes) == 1
    assert len(load(weights, flip=True, iou=0.9).detect(pixels()).boxes) == 2


def with_inference(path, node):
    """A file of these weights that says how a picture is to be looked at."""
    stored = one_face_weights()
    stored.config["inference"] = node
    return save_weights(path, stored)


# 48 x 64 px at a short side of 96 and of 48: factors 2 and 1.
SHORT_SIDES = {
    "_target_": "facedet.inference.scales.ShortSides",
    "sides": [96, 48],
    "base": 96,
    "long": 1200,
    "flip": False,
}


def test_weights_say_their_scales_and_those_that_are_given_come_first(tmp_path):
    weights = with_inference(tmp_path / "sides.safetensors", SHORT_SIDES)
    detector = load(weights, iou=0.9)
    assert detector.pyramid.scales((48, 64)) == [Pass(2.0), Pass(1.0)]
    # BOX at scale 2 is half of it in the picture: a quarter of its area.
    found = detector.detect(pixels()).boxes
    assert found.tolist() == [[value / 2 for value in BOX], BOX]
    assert load(weights, scales=[1.0]).pyramid.scales((48, 64)) == [Pass(1.0)]
    assert load(weights, scales=0.5).pyramid.scales((48, 64)) == [Pass(0.5)]
    planned = load(weights, scales=lambda size: [Pass(0.5)])
    assert planned.pyramid.scales((48, 64)) == [Pass(0.5)]


def test_mirroring_is_added_to_any_plan(weights, tmp_path):
    sides = with_inference(tmp_path / "sides.safetensors", SHORT_SIDES)
    for path, scales, expected in (
        (sides, None, [2.0, 1.0]),
        (weights, None, [1.0]),
        (weights, [0.5], [0.5]),
        (weights, lambda size: [Pass(3.0)], [3.0]),
    ):
        passes = load(path, scales=scales, flip=True).pyramid.scales((48, 64))
        assert passes == [Pass(scale, flip) for scale in expected for flip in (False, True)]


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"_target_": "os.system", "command": "true"}, "building 'os.system' is refused"),
        ({"_target_": "facedet.box_coder.SsdBoxCoder"}, "is no plan of scales"),
        (
            {"_target_": "facedet.inference.scales.FixedScales", "scales": [0]},
            "cannot be built: scales=",
        ),
        ("single", "does not say what to build"),
    ],
)
def test_weights_that_do_not_say_it_rightly(tmp_path, node, words):
    weights = with_inference(tmp_path / "odd.safetensors", node)
    with pytest.raises(FacedetError, match=f"odd.safetensors: .*{words}"):
        load(weights)


@pytest.mark.parametrize(("score", "faces"), [(0.8, 1), (0.89, 0)])
def test_the_card_s_score_is_the_cut(weights, tmp_path, monkeypatch, score, faces):
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path)
    copyfile(weights, tmp_path / f"{registry.DEFAULT}.safetensors")
    head = f"---\nsha256: {'a' * 64}\nscore: {score}\n---\n"
    (tmp_path / f"{registry.DEFAULT}.md").write_text(head)
    assert len(load().detect(pixels()).boxes) == faces
    assert len(load(score=0.5).detect(pixels()).boxes) == 1


def test_the_best_so_many_and_a_note_of_more(weights):
    assert len(load(weights, score=0.89).detect(pixels())) == 0
    all_of_them = load(weights, score=0.0).detect(pixels())
    assert len(all_of_them) > 3
    assert all_of_them.note == ""
    for words in ({"max_det": 3}, {"keep": 3}):
        found = load(weights, score=0.0, **words).detect(pixels())
        assert torch.equal(found.boxes, all_of_them.boxes[:3])
        assert found.note == "the best 3 of more faces (max_det)"
    assert load(weights, max_det=1).detect(pixels()).note == ""


def test_boxes_end_at_the_borders_of_the_picture(weights):
    found = facedet.load(weights).detect(pixels())
    assert found.boxes.tolist() == [[0, 0, 64, 48]]
    # At scale 8, 512 x 384 px are seen; the box of the last anchor, 512 px around (448, 320), is
    # 24 … 88 by 8 … 72 here.
    found = facedet.load(weights, scales=[8.0]).detect(pixels())
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= torch.tensor([64, 48])).all()


def test_faces_below_a_size_are_left_out(weights):
    # BOX is a square of 512 px, cut at a border or not.
    for clip in (True, False):
        faces = [
            len(facedet.load(weights, min_size=size, clip=clip).detect(pixels()))
            for size in (512, 513)
        ]
        assert faces == [1, 0]


def test_a_crowd_is_not_cut(seeing):
    """The NMS takes the best 5,000 candidates, and more of them if they are sure."""
    post = seeing.pyramid.postprocess
    logits = torch.zeros(1, 6000, 2)
    logits[:, :5500, 1] = 3.0
    side = torch.arange(6000) * 20.0
    anchors = torch.stack([side, side * 0, side + 10, side * 0 + 10], dim=1)
    (found,) = post(Predictions(logits, torch.zeros(1, 6000, 4), anchors))
    assert len(found.scores) == 5500
    (found,) = replace(post, score=0.05, sure=1.0)(
        Predictions(logits, torch.zeros(1, 6000, 4), anchors)
    )
    assert len(found.scores) == 5000


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (pixels() / 255, "an image array must be uint8 in 0..255, not float64"),
        (pixels()[:, :, :2], r"must be \[H, W, 3\] RGB or \[H, W\] grey, not \[48, 64, 2\]"),
        (np.zeros((0, 5, 3), "u1"), r"an image array must be .*, not \[0, 5, 3\]"),
        (np.zeros((3, 5, 4), "u1"), r"not \[3, 5, 4\]"),
        (np.zeros(5, "u1"), r"not \[5\]"),
        (None, "not NoneType"),
        (Path("nowhere.jpg"), "nowhere.jpg: no such file"),
    ],
)
def test_what_is_no_picture(detector, picture, words):
    with pytest.raises(FacedetError, match=words):
        detector.detect(picture)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"score": 1.5}, "score=1.5"),
        ({"score": float("nan")}, "score=nan"),
        ({"iou": -1}, "iou=-1"),
        ({"max_det": 0}, "max_det=0"),
        ({"keep": 0}, "max_det=0"),
        ({"min_size": -1}, "min_size=-1"),
        ({"score": "0.5"}, "score='0.5': expected 0 … 1"),
        ({"scales": "0.5"}, r"scales=\['0.5'\]: expected one or more factors"),
        ({"scales": 0.0}, "above 0"),
        ({"pixel_budget": 0}, "pixel_budget=0"),
        ({"pixel_budget": 1000}, "pixel_budget=1000: tiles have 262,144 pixels at least"),
        ({"pixel_budget": "1000"}, "pixel_budget='1000'"),
        ({"on_large": "crop"}, "tile or shrink"),
        *(
            ({"device": name}, f"^device={name}: expected auto, cpu, cuda, cuda:N")
            for name in ("banana", "cuda:x", "-1", "", "meta")
        ),
    ],
)
def test_wrong_arguments(weights, arguments, words):
    with pytest.raises(UsageError, match=words):
        load(weights, **arguments)


@pytest.mark.parametrize("device", ["cuda:99", "99", 99, "cuda", "mps"])
def test_a_device_that_is_not_there(weights, device):
    if device == find_device().type:
        pytest.skip("this machine has the device")
    with pytest.raises(FacedetError, match=f"device={device} cannot be used") as caught:
        load(weights, device=device)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_fastest_device(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert find_device("auto") == torch.device(expected)


def test_a_forked_process_is_told_what_works(detector, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for action in (lambda: detector.detect(pixels()), load):
        with pytest.raises(FacedetError, match=r"forked .*get_context\('spawn'\)"):
            action()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    check_one_face(detector.detect(pixels()))


def test_the_host_process_stays_as_it_is(weights, tmp_path):
    """Several threads on one detector, as a server has them."""

    def state():
        return {
            "pillow": Image.MAX_IMAGE_PIXELS,
            "warnings": list(warnings.filters),
            "torch": (torch.get_num_threads(), torch.is_grad_enabled()),
            "random": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),  # noqa: NPY002
            "cv2": cv2.getNumThreads(),
            "numpy": np.geterr(),
            "process": (dict(os.environ), os.getcwd(), list(sys.argv), list(sys.path)),
            "hydra": GlobalHydra.instance().hydra,
        }

    path = save_picture(tmp_path / "a.jpg", (600, 500))
    before = state()
    detector = load(weights, pixel_budget=512 * 512)
    seen = []
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: detector.detect(path), range(12)):
            seen.append(state())
    for one in [*seen, state()]:
        assert one == before


def test_boxes_of_infinite_size_are_left_out_and_counted(tmp_path):
    stored = one_face_weights()
    # exp(0.2 * 1e4) is infinite.
    stored.state["head.levels.5.box.bias"][2] = 1e4
    detector = load(save_weights(tmp_path / "endless.safetensors", stored))
    found = detector.detect(pixels())
    assert (len(found.boxes), len(found.scores)) == (0, 0)
    assert found.note == "left out 1 boxes of infinite size"


def test_info_says_where_the_weights_come_from(detector, weights):
    assert detector.info["source"] == "made by hand"
    assert detector.info["file"] == "one face.safetensors"
    assert repr(detector) == (
        f"FaceDetector(one face.safetensors in onnxruntime {onnxruntime.__version__}, "
        "faces of score 0.5 and more)"
    )
    assert detector.info["sha256"] == read_weights(weights).info["sha256"]


def test_without_an_argument_the_shipped_weights_are_taken(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path)
    with pytest.raises(FacedetError, match=f"{registry.DEFAULT}: .* not part of this installation"):
        load()
    copyfile(weights, tmp_path / f"{registry.DEFAULT}.safetensors")
    for detector in (load(), load(registry.DEFAULT)):
        check_one_face(detector.detect(pixels()))
        assert detector.info["file"] == "extd-plain-64-s8.safetensors"


HEAVY = "pytorch_lightning torchmetrics matplotlib scipy hydra wandb albumentations skimage"


def test_what_is_not_imported(shared):
    """Lightning alone takes as long as the faces of ten pictures."""
    code = f"""
import sys, facedet
def check(*unwanted):
    print([name for name in unwanted if name in sys.modules])
facedet.__version__
check("torch")
detector = facedet.load()
check(*"{HEAVY} omegaconf".split())
detector.detect(__import__("numpy").zeros((64, 64, 3), "u1"))
facedet.load(sys.argv[1])
check(*"{HEAVY}".split())
"""
    released = shared / "reference" / "weights" / "EXTD_32.pth"
    command = [sys.executable, "-c", code, str(released)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n[]\n[]\n", "")


def test_the_package_hands_out_what_it_lists():
    for name in facedet.__all__:
        assert getattr(facedet, name).__name__ == name
    assert set(facedet.__all__) <= set(dir(facedet))
    assert (Path(facedet.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'detect'"):
        facedet.detect  # noqa: B018


@pytest.mark.data
def test_real_faces_are_found_where_they_are_annotated(shared: Path):
    detector = load(shared / "reference" / "weights" / "EXTD_64.pth")
    records = read_wider(shared / "data" / "wider", "val", images="present").records
    # Every face of a group photo, none smaller than 30 px: they are easy.
    record = next(
        one
        for one in records
        if one.name.startswith("12--Group")
        and len(one.boxes) >= 5
        and (one.boxes[:, 3] - one.boxes[:, 1]).min() > 30
    )
    found = detector.detect(record.path)
    overlaps = iou(torch.from_numpy(record.boxes), found.boxes)
    assert (overlaps.amax(dim=1) > 0.5).float().mean() >= 0.9
    assert abs(len(found.boxes) - len(record.boxes)) <= 2


def test_a_stream_of_frames(detector, tmp_path):
    film, photo = save_video(tmp_path / "a.mp4", 3), save_picture(tmp_path / "b.png")
    said = []
    found = list(detector.stream([film, str(photo), tmp_path / "no.jpg"], report=said.append))
    assert [(frame.source.name, frame.index, frame.time) for frame, _ in found] == [
        (str(film), 0, 0.0),
        (str(film), 1, 0.04),
        (str(film), 2, 0.08),
        (str(photo), 0, None),
    ]
    for frame, faces in found:
        check_one_face(faces)
        assert faces.picture is frame.rgb
    assert said == [f"{tmp_path / 'no.jpg'}: no such file or folder"]
    with pytest.warns(UserWarning, match="no.jpg: no such file"):
        assert list(detector.stream(tmp_path / "no.jpg")) == []


@pytest.mark.parametrize("one", [pixels(), Image.fromarray(pixels()), [pixels()], 0.5])
def test_a_stream_of_pictures_themselves(detector, one):
    with pytest.raises(UsageError, match=r"stream\(\) takes paths, URLs and numbers of cameras"):
        next(detector.stream(one))
