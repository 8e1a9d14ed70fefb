"""`facedet train`: a config to a trained detector."""

import argparse

import hydra
from omegaconf import DictConfig

from facedet.config import CONF_DIR
from facedet.training.fit import train
from facedet.training.hydra_app import add_hydra_arguments, network_of, run_app, run_job

HELP = """Train a detector. Every part is one word, every setting a key of the config:
  preset=extd_fpn_64_prelu     the network    (backbone.width=48 backbone.activation=leaky_relu)
  neck=top_down | passthrough  FPN-like or SSD-like
  data=crowds | wider          embedded data, or WIDER FACE under data.root=PATH
  experiment=extd_fpn_64_prelu network, data and schedule of a paper's experiment
  trainer=cpu | gpu | ddp      trainer.max_steps=1000 trainer.precision=bf16-mixed
  callbacks=ema                adds to the default ones; ~callbacks.freeze_norm takes one out
  logger=csv | wandb | tensorboard   W&B is offline without a key
  weights=NAME | FILE          fine-tune, for some hundred pictures; the network is that of NAME,
                               of a FILE say preset=…
  ckpt_path=last | best | PATH resume from a checkpoint (auto: from the last if there is one)
  mining=none | him            hard image mining
  debug=default | fdr | limit | overfit | profiler   a few steps, to look for a fault
The output folder (paths.output) gets checkpoints, weights.safetensors, logs and the config."""
EXAMPLE = """examples:
  facedet train
  facedet train backbone.width=48 neck=passthrough trainer.max_steps=500
  facedet train weights=extd-plain-32-s8 data=coco data.root=mine    your own faces
  facedet train data=wider data.root=/data/wider experiment=extd_fpn_64_prelu
  facedet train --show backbone.width=48      print the config, train nothing"""


add_arguments = add_hydra_arguments


def run(args: argparse.Namespace) -> int:
    """Checks the overrides, then hands over to Hydra."""
    args.overrides = [*args.overrides, *network_of(args.overrides)]
    return run_app(main, "train", args)


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="train")
def main(config: DictConfig) -> float | None:
    """Trains; returns the objective for a sweeper."""
    return run_job(train, config)
