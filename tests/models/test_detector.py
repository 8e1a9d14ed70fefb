"""The detector: what goes in, what comes out, in which types and sizes."""

import pytest
import torch

from facedet.errors import UsageError
from facedet.models.detector import Detector
from reference.networks import noisy_images


@pytest.fixture(scope="module")
def net(build_detector):
    return build_detector("fpn", 32).eval()


def test_normalisation_by_hand(net):
    image = torch.tensor([123, 0, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    # Minus (123, 117, 104), RGB, not scaled.
    assert net.normalize(image).flatten().tolist() == [0, -117, 151]


def remade(net, **options):
    """The same network with other arguments."""
    return Detector(
        net.backbone,
        neck=lambda channels, strides: net.neck,
        anchors=lambda strides: net.anchors,
        head=lambda channels, counts: net.head,
        **options,
    ).eval()


def test_mean_and_deviation_are_arguments(net):
    other = remade(net, mean=(100.0, 100.0, 100.0), std=(1.0, 2.0, 5.0))
    # 50 / 1, 50 / 2, 50 / 5
    assert other.normalize(torch.full((1, 3, 1, 1), 150.0)).flatten().tolist() == [50, 25, 10]
    assert not {"mean", "std"} & other.state_dict().keys()


@pytest.mark.parametrize("size", [(97, 131), (33, 47), (1, 1)])
@pytest.mark.parametrize("layout", ["fpn", "ssd"])
def test_pictures_of_any_size(build_detector, layout, size):
    net = build_detector(layout, 48).eval()
    with torch.no_grad():
        logits, deltas, anchors, levels, own_size = net(noisy_images(2, 3, *size))
    counts = [-(-size[0] // stride) * -(-size[1] // stride) for stride in net.backbone.strides]
    count = sum(counts)
    assert (levels, own_size) == (tuple(counts), size)
    assert logits.shape == (2, count, 2)
    assert deltas.shape == (2, count, 4)
    assert anchors.shape == (count, 4)
    assert torch.isfinite(logits).all()


def test_predictions_are_float32_under_autocast(net):
    seen = []
    handle = net.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        predictions = net(noisy_images(1, 3, 64, 64))
    handle.remove()
    assert [value.dtype for value in predictions[:3]] == [torch.float32] * 3
    # 8 bits would round 255 - 104 = 151, and with it every dark detail.
    assert seen[0].dtype == torch.float32


def test_images_of_a_batch_do_not_see_each_other(net):
    images = noisy_images(3, 3, 80, 60)
    with torch.no_grad():
        together = net(images)
        for index in range(3):
            alone = net(images[index : index + 1])
            torch.testing.assert_close(together.logits[index], alone.logits[0])
            torch.testing.assert_close(together.deltas[index], alone.deltas[0])


def test_a_cell_answers_for_the_place_of_its_anchor(net):
    # A change inside one small square moves the finest map's logits near it, not far away: the
    # receptive field of the finest level is wide through the neck, but the change is largest here.
    images = torch.full((1, 3, 256, 256), 120, dtype=torch.uint8)
    other = images.clone()
    other[..., 40:48, 200:208] = 255
    with torch.no_grad():
        before, after = net(images), net(other)
    change = (after.logits - before.logits).abs().sum(dim=2)[0, : 64 * 64]
    x1, y1, x2, y2 = before.anchors[int(change.argmax())].tolist()
    assert x1 <= 204 <= x2
    assert y1 <= 44 <= y2


@pytest.mark.parametrize("size", [(33, 50), (48, 64), (1, 1)])
def test_padding_by_the_detector_is_padding_by_hand(net, size):
    image = noisy_images(1, 3, *size).float()
    rows, columns = (-(-side // 16) * 16 for side in size)
    by_hand = torch.tensor([123.0, 117.0, 104.0]).reshape(1, 3, 1, 1).repeat(1, 1, rows, columns)
    by_hand[..., : size[0], : size[1]] = image
    with torch.no_grad():
        ours, expected = remade(net, multiple=16)(image), net(by_hand)
    assert torch.equal(ours.logits, expected.logits)
    assert torch.equal(ours.deltas, expected.deltas)
    assert torch.equal(ours.anchors, expected.anchors)
    assert ours.levels == expected.levels
    # The size is that of the picture, which the anchors may exceed.
    assert (ours.size, expected.size) == (size, (rows, columns))


def test_an_enlarged_picture_has_smaller_anchors(net):
    ramp = torch.arange(50.0).expand(1, 3, 40, 50)
    seen = []
    handle = net.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    with torch.no_grad():
        ours = remade(net, enlarge=1.25, mean=(0.0, 0.0, 0.0))(ramp)
        plain = net(torch.zeros(1, 3, 50, 62))
    handle.remove()
    # Columns of 0.8 px: the third and the fourth of five have their middles in one pixel.
    assert seen[0].shape == (1, 3, 50, 62)
    assert seen[0][0, 0, 0, :11].tolist() == [0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8]
    assert seen[0][0, 0, 0, -1] == 49
    assert torch.equal(ours.anchors, plain.anchors / 1.25)
    assert (ours.levels, ours.size) == (plain.levels, (40, 50))
    for name, value in (("enlarge", 0.5), ("multiple", 0)):
        with pytest.raises(UsageError, match=f"{name}={value}: expected 1 or more"):
            remade(net, **{name: value})
