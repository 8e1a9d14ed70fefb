"""`facedet evaluate`: weights, data and protocol to detections, metrics and curves."""

import argparse

from facedet.config import SWEEPS_DIR
from facedet.training.hydra_app import add_hydra_arguments, run_app

HELP = """Measure weights on a data set by a benchmark's protocol. Settings are keys of the config:
  weights=NAME | FILE   a name of `facedet weights list`, a weights file, or a checkpoint
  data=crowds | wider   embedded data, or WIDER FACE under data.root=PATH
  data.images=present   use the pictures that are there if some are missing
  split=train           the training pictures, to choose a score on; every face counts, as "all"
  protocol=wider        multi-scale, mirrored, box voting: as EXTD was published
  protocol=wider_single one pass at the original size
  protocol=wider_shf    five sizes, mirrored, box voting: as SmallHardFace was published
The output folder (paths.output) gets metrics.json, the detections as official txt files,
precision-recall curves and a sheet of pictures with found and missed faces. -m runs a grid of
settings and ends with a table; -m -cn NAME runs the one of sweeps/NAME.yaml."""
EXAMPLE = """examples:
  facedet evaluate weights=extd64.safetensors data=wider data.root=/data/wider protocol=wider
  facedet evaluate -m weights=extd64.safetensors protocol.merge.iou=0.3,0.4
  facedet evaluate -m -cn shf_pyramid weights=shf.safetensors data=wider data.root=/data/wider"""


add_arguments = add_hydra_arguments


def run(args: argparse.Namespace) -> int:
    """Hands over to Hydra."""
    from facedet.evaluation.application import main, table_at_the_end

    if args.config_name and (SWEEPS_DIR / f"{args.config_name}.yaml").is_file():
        args.config_path = args.config_path or str(SWEEPS_DIR)
    with table_at_the_end():
        return run_app(main, "evaluate", args)
