"""`facedet sweep`: a grid of trainings from `sweeps/`, as a Hydra multirun."""

import argparse

HELP = """Run a grid of trainings, one after the other, each in a folder of its own. A sweep is a
short file in sweeps/; every setting of `facedet train` can be changed for all of its jobs."""
EXAMPLE = """example:
  facedet sweep extd_grid trainer.max_steps=700"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from facedet.config import SWEEPS_DIR

    names = sorted(file.stem for file in SWEEPS_DIR.glob("*.yaml"))
    parser.add_argument("name", choices=names, help="the sweep")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of all jobs")


def run(args: argparse.Namespace) -> int:
    """Hands over to Hydra."""
    from facedet.commands.hydra_job import run_hydra
    from facedet.commands.train import main
    from facedet.config import SWEEPS_DIR

    flags = ["--config-dir", str(SWEEPS_DIR), "--config-name", args.name, "--multirun"]
    return run_hydra(main, "train", args.overrides, flags)
