"""Numbers that others have published, with where they come from."""

# AP on easy, medium and hard faces of WIDER FACE val, computed from the methods' released curves.
# By the name in the official figures.
WIDER_VAL: dict[str, tuple[float, float, float]] = {
    "DSFD": (0.9663, 0.9573, 0.9050),
    "SRN": (0.9644, 0.9528, 0.9017),
    "PyramidBox": (0.9612, 0.9500, 0.8891),
    "FDNet": (0.9592, 0.9458, 0.8792),
    "FANet": (0.9562, 0.9475, 0.8954),
    "FAN": (0.9523, 0.9401, 0.9008),
    "Zhu et al.": (0.9493, 0.9338, 0.8615),
    "Face R-FCN": (0.9474, 0.9357, 0.8747),
    "SFD": (0.9378, 0.9256, 0.8590),
    "Face R-CNN": (0.9378, 0.9217, 0.8313),
    "SSH": (0.9312, 0.9211, 0.8458),
    "HR": (0.9257, 0.9105, 0.8060),
    "MSCNN": (0.9168, 0.9035, 0.8029),
    "CMS-RCNN": (0.8993, 0.8745, 0.6244),
    "ScaleFace": (0.8682, 0.8675, 0.7727),
    "Multitask Cascade CNN": (0.8488, 0.8258, 0.5984),
    "LDCF+": (0.7900, 0.7691, 0.5225),
    "Faceness-WIDER": (0.7138, 0.6348, 0.3458),
    "Multiscale Cascade CNN": (0.6915, 0.6643, 0.4244),
    "Two-stage CNN": (0.6812, 0.6189, 0.3239),
    "ACF-WIDER": (0.6592, 0.5418, 0.2732),
    "s3fd.pytorch": (0.9358, 0.9146, 0.7327),
}

# EXTD (arXiv 1906.06579): parameters and multiply-adds at 640 x 640 by layout and width, with
# PReLU; multiply-adds with every use counted, and as the paper counts, in G.
EXTD_COSTS = {
    ("fpn", 32): (62_939, 5.3973, 4.5195),
    ("fpn", 48): (100_160, 7.8895, 6.6736),
    ("fpn", 64): (162_352, 13.4109, 11.1526),
    ("ssd", 32): (56_059, 5.3526, None),
    ("ssd", 48): (86_000, 7.7962, None),
    ("ssd", 64): (138_352, 13.2516, None),
}
S3FD_PARAMETERS = 22_459_110
# "28.3, 19.2 and 11 times" fewer multiply-adds than S3FD, widths 32, 48, 64; 138 times lighter.
EXTD_RATIOS = {32: 28.3, 48: 19.2, 64: 11.0}
EXTD_LIGHTER = 138
# AP on hard faces below these, in hundredths, as the paper says.
EXTD_BELOW = {"PyramidBox": 3.4, "DSFD": 5.0}
EXTD_EASY = {64: 0.921}  # WIDER val, a public listing

# SmallHardFace (arXiv 1811.11662): WIDER val, and the other benchmarks.
SMALLHARDFACE_WIDER = (0.957, 0.949, 0.897)
# TPR at 1,000 false positives; AP; AP.
SMALLHARDFACE_OTHERS = {"fddb": 0.987, "pascal": 0.990, "afw": 0.996}
SMALLHARDFACE_EASY_WITHOUT_SMALL = 0.782  # without the sizes 100 and 300
SMALLHARDFACE_COSTS = {
    "smallhardface": (18_077_010, 148.05),
    "smallhardface_plain": (17_929_426, 145.22),
}
# Images that an epoch draws from, before and after mirrored copies.
WIDER_TRAIN = (12_880, 25_760)
