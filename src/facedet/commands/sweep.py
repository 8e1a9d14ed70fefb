"""`facedet sweep`: a grid or search of trainings from `sweeps/`, which can be resumed."""

import argparse
import os
from pathlib import Path

# `facedet sweep report …` and its module.
FURTHER = {"report": "sweep_report"}

HELP = """Run a grid of trainings, each in a folder of its own. A sweep is a short file in sweeps/;
every setting of `facedet train` can be changed for all of its jobs, and KEY=A,B extends the grid.
  budget=short | smoke | paper      how much each job trains (short)
  launcher=serial | joblib | joblib_gpus | submitit_local | submitit_slurm | ray
The same command resumes the sweep: it skips finished jobs and resumes interrupted ones. A job is
known by what it computes, so a grid may grow. `facedet sweep report DIR` ranks the jobs, also while
they run. Exit codes: 0 all jobs finished; 1 not all; 130 Ctrl-C."""
EXAMPLE = """examples:
  facedet sweep extd_grid --dry-run
  facedet sweep extd_grid launcher=joblib hydra.launcher.n_jobs=2
  facedet sweep seeds experiment=extd_fpn_64_prelu seeds=5
  facedet sweep lr hydra.sweeper.n_trials=20
  facedet sweep NAME --config-dir my_sweeps/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from facedet.config import SWEEPS_DIR
    from facedet.option_types import folder
    from facedet.training.hydra_app import add_hydra_arguments

    names = ", ".join(sorted(file.stem for file in SWEEPS_DIR.glob("*.yaml")))
    parser.add_argument("name", help=f"the sweep: {names}; or one of --config-dir")
    add_hydra_arguments(parser)
    parser.add_argument("--dir", type=folder, help="folder of the sweep (outputs/sweeps/NAME)")
    parser.add_argument(
        "--on-error",
        choices=("continue", "stop", "retry"),
        default="continue",
        help="when a job fails: run the others, and leave it failed at the next start; end the "
        "sweep; or try it once more (continue)",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the jobs, run nothing")


def run(args: argparse.Namespace) -> int:
    """Plans, runs and sums up."""
    from facedet.config import SWEEPS_DIR
    from facedet.errors import UsageError
    from facedet.sweeps.listing import print_plan
    from facedet.sweeps.plan import planned_jobs, read_sweep
    from facedet.sweeps.run import run_sweep

    if args.name == "export-wandb":
        raise UsageError(
            f"export-wandb is no longer a command: wandb sweep FILE, of {SWEEPS_DIR / 'wandb'}"
        )
    own = Path(args.config_dir) if args.config_dir else None
    if args.show or args.cfg or args.info or args.hydra_help or args.shell_completion:
        return _print_config(args, own)
    sweep = read_sweep(args.name, args.overrides, own)
    folder = (args.dir or Path("outputs/sweeps") / args.name).resolve()
    if not args.dry_run:
        return 0 if run_sweep(sweep, folder, args.overrides, args.on_error) else 1
    print_plan(sweep, folder, planned_jobs(sweep), with_jobs=True)
    return 0


def _print_config(args: argparse.Namespace, own: Path | None) -> int:
    """Answers those of Hydra's flags that run no job, for the sweep's file as primary config."""
    from facedet.sweeps.jobs import main
    from facedet.sweeps.plan import find_sweep
    from facedet.training.hydra_app import network_of, run_app

    if args.shell_completion:
        # The name of a sweep is no setting; of `-sc install=bash` the word stands in its place.
        if line := os.environ.get("COMP_LINE", "").split(" ")[3:]:
            os.environ["COMP_LINE"] = " ".join(["facedet", "train", *line])
        args.overrides = [args.name, *args.overrides]
    else:
        args.overrides = [*args.overrides, *network_of(args.overrides)]
        args.config_name, args.config_path = args.name, str(find_sweep(args.name, own))
    return run_app(main, "train", args)
