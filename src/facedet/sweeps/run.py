"""A sweep from its plan to its result, in a folder of its own."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from facedet.config import literal
from facedet.errors import FacedetError, InterruptedTrainingError, first_line
from facedet.sweeps.jobs import is_done, main, started_sweep, state_of
from facedet.sweeps.launchers import check_launcher
from facedet.sweeps.listing import own_jobs, print_plan, print_result
from facedet.sweeps.plan import Sweep, planned_jobs, search_hash, search_path, varying_keys
from facedet.sweeps.search import register_sweeper
from facedet.training.hydra_app import run_hydra


def run_sweep(sweep: Sweep, folder: Path, overrides: list[str], on_error: str) -> bool:
    """Runs what is left of a sweep's jobs, and prints what was planned and what came of it.

    Args:
        sweep: as read.
        folder: of the sweep, absolute.
        overrides: settings of all jobs, for `sweep.json`.
        on_error: when a job fails, `continue` with the others, `stop`, or `retry` it once.

    Returns:
        Whether all its jobs are finished; also where the launcher or a signal ended it with a
        `FacedetError`, the result so far is printed.
    """
    launcher = sweep.choice("launcher", "serial")
    gpus = check_launcher(launcher, sweep.config)
    jobs = planned_jobs(sweep)
    how = {"varying": sorted(varying_keys(sweep)), "on_error": on_error, "gpus": gpus,
           "search": search_hash(sweep)}  # fmt: skip
    with started_sweep(folder, sweep.name, overrides, how):
        print_plan(sweep, folder, jobs, with_jobs=False)
        try:
            # Workers and cluster jobs are not started for nothing.
            if not jobs or not all(is_done(folder / "jobs" / job.hash, how) for job in jobs):
                register_sweeper()
                place = literal("hydra.sweep.dir", folder / ".hydra")
                workers = [f"hydra.launcher.n_jobs={len(gpus)}"] if gpus else []
                words = [search_path(), place, *workers, *sweep.overrides]
                flags = ["--config-path", str(sweep.folder), "--config-name", sweep.name]
                # Hydra's sweeper makes the jobs, its launcher runs them.
                is_joblib = launcher.startswith("joblib")
                with _saving_workers(folder) if is_joblib else nullcontext():
                    run_hydra(main, "train", words, [*flags, "--multirun"])
        except FacedetError:
            raise
        except Exception as error:  # of a launcher whose worker was killed, or cannot be reached
            raise FacedetError(
                f"launcher={launcher} ended with {type(error).__name__}: {first_line(error)}; the "
                "same command resumes it"
            ) from error
        finally:
            is_complete = print_result(folder, own_jobs(sweep, folder, jobs))
    return is_complete


@contextmanager
def _saving_workers(folder: Path) -> Iterator[None]:
    """Lets joblib's workers save their jobs when Ctrl-C or SIGTERM ends the sweep.

    By themselves Ctrl-C makes joblib kill them at once, and SIGTERM leaves them training.
    """

    def end(number: int, frame: FrameType | None) -> None:
        # A signal to the process group comes again from a `make` in it, which hands it on.
        signal.signal(number, signal.SIG_IGN)
        (folder / ".hydra" / "stop").touch()  # no further job is begun
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, number)
        time.sleep(1)
        signal.signal(number, before[number])  # once more ends at once
        while any(state_of(path) == "running" for path in folder.glob("jobs/*")):
            time.sleep(0.2)
        name = signal.Signals(number).name
        raise InterruptedTrainingError(
            f"{name}: what ran is saved", number, "the same command resumes it"
        )

    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for changed, handler in before.items():
            signal.signal(changed, handler)
