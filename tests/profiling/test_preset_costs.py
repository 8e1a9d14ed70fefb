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
# With PReLU, whose slopes (21 at width 32, else 10) the others do not have.
PARAMETERS = {
    "fpn_32": 62_939,
    "fpn_48": 100_160,
    "fpn_64": 162_352,
    "ssd_32": 56_059,
    "ssd_48": 86_000,
    "ssd_64": 138_352,
}
CELLS = [
    (f"{size}_{activation}", size, 0 if activation == "prelu" else 21 if "32" in size else 10)
    for size in PARAMETERS
    for activation in ("relu", "prelu", "leaky_relu")
]
# SmallHardFace: parameters, the frozen blocks' too, and multiply-adds at 640 x 640. VGG16 has
# 14,714,688; both branches 2 * 131,328; the fused map 2,359,808; its narrowing and the 3x3
# convolution of a head on 512 channels 589,952 each; one on 128 channels 147,584; the 1x1
# convolutions of three anchors 2,322, of two 1,548.
SMALLHARDFACE = {
    "smallhardface": (18_077_010, 148_047_462_400),
    "smallhardface_plain": (17_929_426, 145_216_307_200),
    # The dilated head without dilation: its 3x3 convolution on 6,400 cells once instead of thrice.
    "smallhardface_reduced": (18_077_010, 148_047_462_400 - 2 * 6400 * 128 * 128 * 9),
    "smallhardface_three_level": (19_111_652, 146_394_112_000),
}
# S3FD, which EXTD's paper compares with: parameters, and both counts of multiply-adds.
S3FD = {
    "s3fd_vgg16": (22_459_110, 128_540_505_600, 127_826_496_000),
    "s3fd_mobilefacenet": (1_123_276, 7_340_179_200, 7_164_268_800),
}
# Plain convolutions in the shared body, before folding: parameters and multiply-adds.
PLAIN = {
    "extd_plain_32": (50_838, 988_212_800),
    "extd_plain_48": (104_270, 2_127_650_400),
    "extd_plain_64": (171_550, 3_557_225_600),
    "extd_plain_32_s8": (60_728, 844_073_856),
    "extd_plain_48_s8": (132_944, 1_827_510_336),
    "extd_plain_64_s8": (228_224, 2_983_493_376),
}
# The others in SmallHardFace's comparison: parameters and multiply-adds at 640 x 640, and in G to
# four digits at 480 x 640. SSH: VGG16 125.2786 G, neck 1.4680, modules 2.1234 + 3.5389 + 0.8847,
# outputs 0.0320. PyramidBox, face outputs alone: body 127.8223, LFPN 5.2429, context 179.1652,
# outputs 1.2580.
RIVALS = {
    "ssh": (19_766_372, 133.3256, 99.9942),
    "pyramidbox": (56_987_120, 313.4883, 235.1569),
}


def net_of(preset):
    # Weights are not counted one by one: nothing needs to be drawn.
    with torch.device("meta"):
        return build(compose("network", [f"preset={preset}"]).model.net)


def test_every_preset_is_here():
    others = SMALLHARDFACE.keys() | S3FD.keys() | PLAIN.keys() | RIVALS.keys()
    assert set(presets()) == {f"extd_{name}" for name, _, _ in CELLS} | others
    assert len(CELLS) == 18


@pytest.mark.parametrize(("name", "size", "slopes"), CELLS)
def test_cost(name, size, slopes):
    expected = Cost(PARAMETERS[size] - slopes, *MADDS[size])
    assert measure_cost(net_of(f"extd_{name}"), (640, 640)) == expected


@pytest.mark.parametrize("name", SMALLHARDFACE)
def test_cost_of_smallhardface(name):
    # EXTD's way of counting means nothing here.
    assert measure_cost(net_of(name), (640, 640)) == Cost(*SMALLHARDFACE[name], None)


def test_parameters_of_smallhardface_add_up():
    trunk, narrowing, head = 14_714_688 + 2 * 131_328 + 2_359_808, 589_952, 589_952
    parameters = [count for count, _ in SMALLHARDFACE.values()]
    assert parameters == [
        trunk + narrowing + 147_584 + 2_322,
        trunk + head + 2_322,
        trunk + narrowing + 147_584 + 2_322,
        trunk + 3 * (head + 1_548),
    ]


@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [
        # Dilation alone costs nothing: the same counts as the plain head on the same map.
        (["head=plain"], SMALLHARDFACE["smallhardface"][0]),
        (["neck.reduce=false"], SMALLHARDFACE["smallhardface_plain"][0]),
        # Two more levels: 512 * 128 * 9 + 128 each; three levels of two anchors, not one of three.
        (["neck.levels=3"], 18_077_010 + 2 * 589_952 + 3 * 1_548 - 2_322),
    ],
)
def test_one_word_changes_smallhardface(overrides, parameters):
    net = build(compose("network", ["preset=smallhardface", *overrides]).model.net)
    assert measure_cost(net, (64, 64)).parameters == parameters


@pytest.mark.parametrize("name", PLAIN)
def test_cost_of_plain(name):
    # Not a paper's network: nothing to count the paper's way.
    assert measure_cost(net_of(name), (640, 640)) == Cost(*PLAIN[name], None)


@pytest.mark.parametrize(
    ("name", "width", "blocks", "side", "sides", "carried", "shared"),
    [
        ("extd_plain_64", 64, 1, 640, (160, 80, 40, 20, 10, 5), 0, False),
        # Enlarged to 768 px.
        ("extd_plain_48_s8", 48, 2, 768, (96, 48, 24, 12, 6, 3), 96 * 96, True),
        ("extd_plain_64_s8", 64, 2, 768, (96, 48, 24, 12, 6, 3), 96 * 96, True),
    ],
)
def test_cost_of_plain_adds_up(name, width, blocks, side, sides, carried, shared):
    stem, (finest, *coarser) = 24, [one**2 for one in sides]
    # With a first stride of 8 the way to the finest map has the shared step too.
    backbone = 9 * 3 * stem * (side // 2) ** 2 + 9 * stem * width * (side // 4) ** 2
    backbone += 9 * width**2 * (2 * blocks * (finest + sum(coarser)) + sum(coarser) + carried)
    neck = (9 * width + width**2) * (finest + sum(coarser[:-1]))
    # Shared heads have the finest level's max-out background on all levels.
    heads = 9 * width * (8 * finest + (8 if shared else 6) * sum(coarser))
    assert backbone + neck + heads == PLAIN[name][1]


@pytest.mark.parametrize("name", RIVALS)
def test_cost_of_rivals(name):
    square, wide = (measure_cost(net_of(name), size) for size in ((640, 640), (480, 640)))
    madds = [round(cost.madds / 1e9, 4) for cost in (square, wide)]
    assert (square.parameters, *madds) == RIVALS[name]
    assert square.madds_paper is None


@pytest.mark.parametrize("name", S3FD)
def test_cost_of_s3fd(name):
    assert measure_cost(net_of(name), (640, 640)) == Cost(*S3FD[name])


def test_cost_of_s3fd_on_vgg16_adds_up():
    # A picture of 640 x 640. VGG16: conv1_1; six layers cost as much as conv1_2 does (half the
    # sides, twice the channels); the first of blocks 2, 3 and 4 half of that; block 5 a quarter.
    conv1_2 = 64 * 64 * 9 * 640 * 640
    vgg = 3 * 64 * 9 * 640 * 640 + 6 * conv1_2 + 3 * conv1_2 // 2 + 3 * conv1_2 // 4
    # fc6, fc7 and conv6_1 at 20 x 20 cells, conv6_2 and conv7_1 at 10 x 10, conv7_2 at 5 x 5.
    fc6, fc7 = 512 * 1024 * 9, 1024 * 1024
    pairs = (1024 * 256, 256 * 512 * 9, 512 * 128, 128 * 256 * 9)
    backbone = vgg + (fc6 + fc7 + pairs[0]) * 400
    backbone += (pairs[1] + pairs[2]) * 100 + pairs[3] * 25
    # Boxes 4 and scores 2, 4 at the finest level; the paper's count has all heads at 5 x 5.
    heads = [9 * channels * 6 for channels in (256, 512, 512, 1024, 512, 256)]
    heads[0] = 9 * 256 * 8
    cells = (25_600, 6_400, 1_600, 400, 100, 25)
    true = backbone + sum(weights * count for weights, count in zip(heads, cells, strict=True))
    assert (true, backbone + 25 * sum(heads)) == S3FD["s3fd_vgg16"][1:]
    # Biases: 1024 + 1024, then one per channel out; 1,280 scales; heads of 6 and once 8.
    biases = 2 * 1024 + 256 + 512 + 128 + 256 + 1_280 + 8 + 5 * 6
    parameters = 14_714_688 + fc6 + fc7 + sum(pairs) + sum(heads) + biases
    assert parameters == S3FD["s3fd_vgg16"][0]


def test_cost_of_s3fd_on_mobilefacenet_adds_up():
    # Weights of 1x1, depthwise 3x3 and 1x1 convolutions; the first of a bottleneck with stride 2
    # sees the larger map. Stem at 320 x 320: 3 * 64 * 9 and 64 * 9.
    backbone = (1_728 + 576) * 102_400
    # 2, 64 five times; at 160 x 160.
    backbone += 8_192 * 102_400 + (1_152 + 8_192) * 25_600 + 4 * (2 * 8_192 + 1_152) * 25_600
    # 4, 128 and 2, 128 six times; at 80 x 80.
    backbone += 16_384 * 25_600 + (2_304 + 32_768) * 6_400 + 6 * (2 * 32_768 + 2_304) * 6_400
    # 4, 128 and 2, 128 twice; at 40 x 40.
    backbone += 65_536 * 6_400 + (4_608 + 65_536) * 1_600 + 2 * (2 * 32_768 + 2_304) * 1_600
    # Pairs of 128 * 64 and 64 * 128 * 9.
    backbone += sum(8_192 * 4 * cells + 73_728 * cells for cells in (400, 100, 25))
    finest, other = 9 * 64 * 8, 9 * 128 * 6
    true = backbone + finest * 25_600 + other * (6_400 + 1_600 + 400 + 100 + 25)
    paper = backbone + 25 * (finest + 5 * other)
    assert (true, paper) == S3FD["s3fd_mobilefacenet"][1:]
    # 1,084,070 in the backbone, and the heads' biases.
    assert 1_084_070 + finest + 5 * other + 8 + 5 * 6 == S3FD["s3fd_mobilefacenet"][0]
