"""`facedet sweep`: a grid or search of trainings from `sweeps/`, which goes on where it ended."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facedet.sweeps.folder import SweepFolder
    from facedet.sweeps.plan import Sweep

# `facedet sweep report …` and their modules.
FURTHER = {"report": "sweep_report", "export-wandb": "sweep_export"}

HELP = """Run a grid of trainings, each in a folder of its own. A sweep is a short file in sweeps/;
every setting of `facedet train` can be changed for all of its jobs, and KEY=A,B extends the grid.
  budget=smoke | short | paper      how much each job trains
  launcher=serial | joblib | joblib_gpus | submitit_local | submitit_slurm | ray
The same command again goes on: finished jobs are skipped, interrupted ones resumed. A job is known
by what it computes, so a grid may grow. `facedet sweep report DIR` ranks the jobs, also while they
run; `facedet sweep export-wandb NAME` writes a sweep for W&B's agents. Ends with 0: all jobs
finished; 1: not all; 130: Ctrl-C."""
EXAMPLE = """examples:
  facedet sweep extd_grid --dry-run
  facedet sweep extd_grid budget=short launcher=joblib hydra.launcher.n_jobs=2
  facedet sweep seeds experiment=extd_fpn_64_prelu seeds=5
  facedet sweep lr hydra.sweeper.n_trials=20
  facedet sweep NAME --config-dir my_sweeps/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from facedet.config import SWEEPS_DIR

    names = ", ".join(sorted(file.stem for file in SWEEPS_DIR.glob("*.yaml")))
    parser.add_argument("name", help=f"the sweep: {names}; or one of --config-dir")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of all jobs")
    parser.add_argument("--dir", type=Path, help="folder of the sweep (outputs/sweeps/NAME)")
    parser.add_argument("--config-dir", type=Path, help="folder of own sweeps; its own win")
    parser.add_argument(
        "--on-error",
        choices=("continue", "stop", "retry"),
        default="continue",
        help="a job fails: go on with the others and leave it failed when started again; end; or "
        "try it once more (continue)",
    )
    parser.add_argument("--dry-run", action="store_true", help="list the jobs, run nothing")
    parser.add_argument("--time", action="store_true", help="--dry-run: estimate times, by a try")


def run(args: argparse.Namespace) -> int:
    """Plans, runs and sums up."""
    begun = time.time()
    from facedet.errors import UsageError
    from facedet.sweeps.folder import SweepFolder
    from facedet.sweeps.listing import print_plan
    from facedet.sweeps.plan import read_sweep

    if args.time and not args.dry_run:
        raise UsageError("--time belongs to --dry-run")
    sweep = read_sweep(args.name, args.overrides, args.config_dir)
    folder = SweepFolder((args.dir or Path("outputs/sweeps") / args.name).resolve())
    if args.dry_run:
        print_plan(sweep, folder, args.time)
        return 0
    return _run(sweep, folder, args.overrides, args.on_error, begun)


def _run(
    sweep: "Sweep", folder: "SweepFolder", overrides: list[str], on_error: str, begun: float
) -> int:
    from facedet.errors import FacedetError, UsageError
    from facedet.sweeps.launchers import check_launcher
    from facedet.sweeps.listing import print_result, print_start
    from facedet.sweeps.plan import planned_jobs, varying_keys

    gpus = check_launcher(sweep.launcher, sweep.config)
    jobs = planned_jobs(sweep)
    plan = {
        "varying": varying_keys(sweep),
        "retry_failed": on_error != "continue",
        "tries": 2 if on_error == "retry" else 1,
        "stop": on_error == "stop",
        "gpus": gpus,
        "begun": begun,
    }
    with folder.own():
        folder.begin(sweep.name, overrides, plan)
        is_done = print_start(sweep, folder, jobs, on_error == "continue")
        ended: FacedetError | None = None
        try:
            if not is_done:
                _launch(sweep, folder, gpus)
        except UsageError:
            raise
        except FacedetError as error:
            ended = error
        except Exception as error:  # of a launcher whose worker was killed, or cannot be reached
            line = str(error).strip().partition("\n")[0]
            ended = FacedetError(
                f"launcher={sweep.launcher} ended with {type(error).__name__}: {line}; the same "
                "command goes on"
            )
        is_complete = print_result(folder, list(jobs) if sweep.is_grid else folder.hashes())
    if ended is not None:
        raise ended
    return 0 if is_complete else 1


def _launch(sweep: "Sweep", folder: "SweepFolder", gpus: list[str]) -> None:
    """Hands over to Hydra: its sweeper makes the jobs, its launcher runs them."""
    from facedet.sweeps.job import main
    from facedet.sweeps.plan import search_path
    from facedet.sweeps.search import register_sweeper
    from facedet.training.hydra_app import run_hydra

    register_sweeper()
    place = str(folder.hydra).replace("'", "\\'")
    workers = [f"hydra.launcher.n_jobs={len(gpus)}"] if gpus else []
    forgets = "+hydra.callbacks.forget._target_=facedet.sweeps.job.ForgetConfigs"
    words = [search_path(), f"hydra.sweep.dir='{place}'", forgets, *workers, *sweep.overrides]
    flags = ["--config-path", str(sweep.folder), "--config-name", sweep.name, "--multirun"]
    run_hydra(main, "train", words, flags)
