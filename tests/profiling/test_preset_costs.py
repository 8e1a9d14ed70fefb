"""Parameters and multiply-adds of every preset, pinned."""

import pytest
import torch

from facedet.config import build, compose, presets
from facedet.profiling.cost import Cost, measure_cost

# Multiply-adds at 640 x 640, every use counted and as EXTD's paper counts; the paper's table has
# them as 4.52, 6.67 and 11.15 G (FPN). Activations have no part in them.
MADDS = {
    "fpn_32": (5_397_289_600, 4_519_526_400),
    "fpn_48": (7_889_498_400, 6_673_612_800),
    "fpn_64": (13_410_902_400, 11_152_588_800),
    "ssd_32": (5_352_550_400, 4_351_590_400),
    "ssd_48": (7_796_200_800, 6_323_404_800),
    "ssd_64": (13_251_587_200, 10_554_572_800),
}
# With PReLU, whose slopes the others do not have.
PARAMETERS = {
    "fpn_32": 62_939,
    "fpn_48": 100_160,
    "fpn_64": 162_352,
    "ssd_32": 56_059,
    "ssd_48": 86_000,
    "ssd_64": 138_352,
}
SLOPES = {size: 21 if size.endswith("32") else 10 for size in PARAMETERS}
# Parameters, those of frozen blocks too, and multiply-adds at 640 x 640: with every use counted,
# and as EXTD's paper counts, which means nothing for the others.
COSTS = {
    f"extd_{size}_{activation}": Cost(PARAMETERS[size] - slopes, *MADDS[size])
    for size in PARAMETERS
    for activation, slopes in (("prelu", 0), ("relu", SLOPES[size]), ("leaky_relu", SLOPES[size]))
}
# SmallHardFace. VGG16 has 14,714,688 parameters; both branches 2 * 131,328; the fused map
# 2,359,808; its narrowing and the 3x3 convolution of a head on 512 channels 589,952 each; one on
# 128 channels 147,584; the 1x1 convolutions of three anchors 2,322, of two 1,548.
COSTS |= {
    "smallhardface": Cost(18_077_010, 148_047_462_400, None),
    "smallhardface_plain": Cost(17_929_426, 145_216_307_200, None),
    # The dilated head without dilation: its 3x3 convolution on 6,400 cells once instead of thrice.
    "smallhardface_reduced": Cost(18_077_010, 148_047_462_400 - 2 * 6400 * 128 * 128 * 9, None),
    "smallhardface_three_level": Cost(19_111_652, 146_394_112_000, None),
}
# S3FD, which EXTD's paper compares with. On VGG16, in G: its convolutions 125.2786, fc6 to conv7_2
# 2.5436, heads .7183, which all count at 5 x 5 cells in the paper's way: .0043. On MobileFaceNet:
# stem .2359, maps of 160, 80, 40 cells 2.8738, 3.2489, .7487, smaller ones .0559, heads .1769.
COSTS |= {
    "s3fd_vgg16": Cost(22_459_110, 128_540_505_600, 127_826_496_000),
    "s3fd_mobilefacenet": Cost(1_123_276, 7_340_179_200, 7_164_268_800),
}
# Plain convolutions in the shared body, before folding. In G of width 64: stem .4202, body 2.8302,
# neck .1593, heads .1474; with a first stride of 8, enlarged to 768 px, .6052, 2.2644, .0574 and
# .0566.
COSTS |= {
    "extd_plain_32": Cost(50_838, 988_212_800, None),
    "extd_plain_48": Cost(104_270, 2_127_650_400, None),
    "extd_plain_64": Cost(171_550, 3_557_225_600, None),
    "extd_plain_32_s8": Cost(60_728, 844_073_856, None),
    "extd_plain_48_s8": Cost(132_944, 1_827_510_336, None),
    "extd_plain_64_s8": Cost(228_224, 2_983_493_376, None),
}
# The others in SmallHardFace's comparison: parameters and multiply-adds at 640 x 640, and in G to
# four digits at 480 x 640. SSH: VGG16 125.2786 G, neck 1.4680, modules 2.1234 + 3.5389 + 0.8847,
# outputs 0.0320. PyramidBox, face outputs alone: body 127.8223, LFPN 5.2429, context 179.1652,
# outputs 1.2580.
RIVALS = {
    "ssh": (19_766_372, 133.3256, 99.9942),
    "pyramidbox": (56_987_120, 313.4883, 235.1569),
}


def net_of(preset, *overrides):
    # Weights are not counted one by one: nothing needs to be drawn.
    with torch.device("meta"):
        return build(compose("network", [f"preset={preset}", *overrides]).model.net)


def test_every_preset_is_here():
    assert set(presets()) == COSTS.keys() | RIVALS.keys()


@pytest.mark.parametrize("name", COSTS)
def test_cost(name):
    assert measure_cost(net_of(name), (640, 640)) == COSTS[name]


@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [
        # Dilation alone costs nothing: the same counts as the plain head on the same map.
        (["head=plain"], COSTS["smallhardface"].parameters),
        (["neck.reduce=false"], COSTS["smallhardface_plain"].parameters),
        # Two more levels: 512 * 128 * 9 + 128 each; three levels of two anchors, not one of three.
        (["neck.levels=3"], 18_077_010 + 2 * 589_952 + 3 * 1_548 - 2_322),
    ],
)
def test_one_word_changes_smallhardface(overrides, parameters):
    assert measure_cost(net_of("smallhardface", *overrides), (64, 64)).parameters == parameters


@pytest.mark.parametrize("name", RIVALS)
def test_cost_of_rivals(name):
    square, wide = (measure_cost(net_of(name), size) for size in ((640, 640), (480, 640)))
    madds = [round(cost.madds / 1e9, 4) for cost in (square, wide)]
    assert (square.parameters, *madds) == RIVALS[name]
    assert square.madds_paper is None
