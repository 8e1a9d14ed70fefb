"""`facedet sweep`: a grid or search of trainings from `sweeps/`, which can be resumed."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facedet.sweeps.plan import Sweep

# `facedet sweep report …` and its module.
FURTHER = {"report": "sweep_report"}

HELP = """Run a grid of trainings, each in a folder of its own. A sweep is a short file in sweeps/;
every setting of `facedet train` can be changed for all of its jobs, and KEY=A,B extends the grid.
  budget=smoke | short | paper      how much each job trains
  launcher=serial | joblib | joblib_gpus | submitit_local | submitit_slurm | ray
The same command resumes the sweep: it skips finished jobs and resumes interrupted ones. A job is
known by what it computes, so a grid may grow. `facedet sweep report DIR` ranks the jobs, also while
they run. Exit codes: 0 all jobs finished; 1 not all; 130 Ctrl-C."""
EXAMPLE = """examples:
  facedet sweep extd_grid --dry-run
  facedet sweep extd_grid budget=short launcher=joblib hydra.launcher.n_jobs=2
  facedet sweep seeds experiment=extd_fpn_64_prelu seeds=5
  facedet sweep lr hydra.sweeper.n_trials=20
  facedet sweep NAME --config-dir my_sweeps/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    from facedet.commands.option_types import folder
    from facedet.config import SWEEPS_DIR
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
    from facedet.sweeps.listing import print_jobs, print_plan
    from facedet.sweeps.plan import planned_jobs, read_sweep

    if args.name == "export-wandb":
        raise UsageError(f"no longer a command: wandb sweep FILE, with those in {SWEEPS_DIR}/wandb")
    own = Path(args.config_dir) if args.config_dir else None
    if args.show or args.cfg or args.info or args.hydra_help or args.shell_completion:
        return _print_config(args, own)
    sweep = read_sweep(args.name, args.overrides, own)
    folder = (args.dir or Path("outputs/sweeps") / args.name).resolve()
    if not args.dry_run:
        return _run(sweep, folder, args.overrides, args.on_error)
    jobs = planned_jobs(sweep)
    print_jobs(folder, jobs, print_plan(sweep, folder, jobs))
    return 0


def _print_config(args: argparse.Namespace, own: Path | None) -> int:
    """Answers those of Hydra's flags that run no job, for the sweep's file as primary config."""
    from facedet.sweeps.jobs import main
    from facedet.sweeps.plan import find_sweep
    from facedet.training.hydra_app import run_app

    if args.shell_completion:
        # The name of a sweep is no setting; of `-sc install=bash` the word stands in its place.
        if line := os.environ.get("COMP_LINE", "").split(" ")[3:]:
            os.environ["COMP_LINE"] = " ".join(["facedet", "train", *line])
        args.overrides = [args.name, *args.overrides]
    else:
        args.config_name, args.config_path = args.name, str(find_sweep(args.name, own))
    return run_app(main, "train", args)


def _run(sweep: "Sweep", folder: Path, overrides: list[str], on_error: str) -> int:
    from facedet.errors import FacedetError, UsageError
    from facedet.sweeps.jobs import is_done, start_sweep, sweep_lock
    from facedet.sweeps.launchers import check_launcher
    from facedet.sweeps.listing import print_plan, print_result
    from facedet.sweeps.plan import planned_jobs, varying_keys

    launcher = sweep.choice("launcher", "serial")
    gpus = check_launcher(launcher, sweep.config)
    jobs = planned_jobs(sweep)
    how = {"varying": varying_keys(sweep), "on_error": on_error, "gpus": gpus}
    with sweep_lock(folder):
        start_sweep(folder, sweep.name, overrides, how)
        print_plan(sweep, folder, jobs)
        ended: FacedetError | None = None
        try:
            # Workers and cluster jobs are not started for nothing.
            if not jobs or not all(is_done(folder / "jobs" / job.hash, how) for job in jobs):
                _launch(sweep, folder, gpus)
        except UsageError:
            raise
        except FacedetError as error:
            ended = error
        except Exception as error:  # of a launcher whose worker was killed, or cannot be reached
            line = str(error).strip().partition("\n")[0]
            ended = FacedetError(
                f"launcher={launcher} ended with {type(error).__name__}: {line}; the same command "
                "resumes it"
            )
        found = [path.name for path in sorted(folder.glob("jobs/*"))]
        is_complete = print_result(folder, [job.hash for job in jobs] or found)
    if ended is not None:
        raise ended
    return 0 if is_complete else 1


def _launch(sweep: "Sweep", folder: Path, gpus: list[str]) -> None:
    """Hands over to Hydra: its sweeper makes the jobs, its launcher runs them."""
    from facedet.config import literal
    from facedet.sweeps.jobs import main
    from facedet.sweeps.plan import search_path
    from facedet.sweeps.search import register_sweeper
    from facedet.training.hydra_app import run_hydra

    register_sweeper()
    place = literal("hydra.sweep.dir", folder / ".hydra")
    workers = [f"hydra.launcher.n_jobs={len(gpus)}"] if gpus else []
    forgets = "+hydra.callbacks.forget._target_=facedet.sweeps.jobs.ForgetConfigs"
    words = [search_path(), place, forgets, *workers, *sweep.overrides]
    flags = ["--config-path", str(sweep.folder), "--config-name", sweep.name, "--multirun"]
    run_hydra(main, "train", words, flags)
