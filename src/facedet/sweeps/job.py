"""One job of a sweep: skipped where it is finished, gone on with where it was interrupted.

What Hydra's launchers call, in this process, in a worker or on another machine. It reads all that
it has to know from the sweep's folder.
"""

import gc
import logging
import os
import signal
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from facedet.config import CONF_DIR
from facedet.errors import FacedetError, InterruptedTrainingError
from facedet.sweeps.folder import SweepFolder, held, now
from facedet.sweeps.launchers import take_gpu
from facedet.sweeps.plan import job_hash
from facedet.training.hydra_app import JobEndError
from facedet.training.objective import best_row, goal_of, measured
from facedet.training.run_folder import is_further_process

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How one attempt ended."""

    state: str
    exit: int
    error: str | None
    objective: float | None


class ForgetConfigs(Callback):
    """Takes the configs out of what Hydra keeps of every job until the sweep ends."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ANN401
        """Leaves the state and the objective."""
        job_return.cfg = job_return.hydra_cfg = None


def run_job_of_sweep(config: DictConfig) -> float | None:
    """Does what is left to be done of the job that `config` describes.

    Returns:
        Its objective; None where it failed, or is not this process's to run.

    Raises:
        JobEndError: it was interrupted; ends the sweep, past Hydra.
    """
    hydra_config = HydraConfig.get()
    folder = SweepFolder(Path(hydra_config.sweep.dir).parent)
    plan, name = folder.plan(), job_hash(config)
    if is_further_process():
        is_done = _is_done(folder.status(name), plan)
        return None if is_done else _train(config, folder.job(name))
    if (folder.hydra / "stop").exists():
        return None
    with held(folder.job(name) / ".job.lock") as owner:
        if owner is not None:
            log.info("%s: %s runs it already", name, owner)
            return None
        status = folder.status(name, mend=True)
        if _is_done(status, plan):
            return status.get("objective")
        own = dict(one.split("=", 1) for one in hydra_config.overrides.task if "=" in one)
        settings = {key: own[key] for key in plan["varying"] if key in own}
        take_gpu(folder, plan)
        attempt = int(status.get("attempt") or 0) + 1
        known = {"hash": name, "overrides": settings, "attempt": attempt}
        return _run(config, folder, plan, known)


def _is_done(status: dict[str, Any], plan: dict[str, Any]) -> bool:
    """Whether nothing is left to be done: finished, or failed before and not to be tried again."""
    if status["state"] == "failed":
        return not plan["retry_failed"]
    return status["state"] == "finished"


def _run(
    config: DictConfig,
    folder: SweepFolder,
    plan: dict[str, Any],
    known: dict[str, Any],
) -> float | None:
    """Attempts the job, twice where that is asked for, and keeps its status up to date.

    Args:
        config: of the job.
        folder: of the sweep.
        plan: how this start treats its jobs.
        known: of the status, the hash, the settings and the number of this attempt.
    """
    name, goal = known["hash"], goal_of(config, config.objective)
    for number in range(plan["tries"]):
        status = {
            "state": "running", **known, "attempt": known["attempt"] + number,
            "host": socket.gethostname(), "pid": os.getpid(), "start": now(), "end": None,
            "seconds": None, "exit": None, "error": None, "checkpoint": None,
            "objective": None, "objective_name": config.objective, "metrics": {},
        }  # fmt: skip
        folder.write_status(name, status)
        begun = time.monotonic()
        outcome, interruption = _attempt(config, folder.job(name))
        status |= outcome._asdict() | {"end": now()}
        status |= {"seconds": round(time.monotonic() - begun, 3)}
        status |= _found(folder.job(name), config.objective, goal)
        folder.write_status(name, status)
        if interruption is not None:
            raise JobEndError(interruption)
        if outcome.state == "finished":
            return outcome.objective
    if plan["stop"]:
        (folder.hydra / "stop").touch()
    return None


def _attempt(config: DictConfig, output: Path) -> tuple[Outcome, FacedetError | None]:
    """Trains in `output`; returns how that ended, and what a signal made of it."""
    with _logging_to(output / "job.log"):
        try:
            objective = _train(config, output)
        except InterruptedTrainingError as error:
            return _interrupted(error.what, error.number)
        except KeyboardInterrupt:
            return _interrupted("interrupted", signal.SIGINT)
        except (Exception, SystemExit) as error:
            # One job's end, whatever its cause, is not that of the sweep.
            line, code = _line(error), getattr(error, "exit_code", 1)
            log.error("%s", line)
            _keep_traceback(output / "job.log")
            return Outcome("failed", code, line, None), None
    return Outcome("finished", 0, None, objective), None


def _interrupted(what: str, number: int) -> tuple[Outcome, FacedetError]:
    # Of a job the sweep's command takes care, not one of its own.
    stop = InterruptedTrainingError(what, number, "the same command goes on")
    log.warning("%s", stop)
    return Outcome("interrupted", stop.exit_code, str(stop), None), stop


def _train(config: DictConfig, output: Path) -> float | None:
    from facedet.commands.train import train

    config.paths.output, config.ckpt_path = str(output), "auto"
    try:
        return train(config)
    finally:
        # Trainer, module and loaders refer to each other: the next job needs their memory.
        gc.collect()


def _found(output: Path, objective: str, goal: str) -> dict[str, Any]:
    """The numbers and the checkpoint that a job has left, for its status.

    The row of the best objective under the names of the numbers, that of the last with `last/`
    before them.
    """
    checkpoints = [output / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    names = [path.relative_to(output).as_posix() for path in checkpoints if path.is_file()]
    rows = measured(output, objective)
    if not rows:
        return {"checkpoint": names[0] if names else None, "metrics": {}}
    best = best_row(rows, objective, goal)
    metrics = {**best, **{f"last/{key}": value for key, value in rows[-1].items()}}
    return {"checkpoint": names[0] if names else None, "metrics": metrics}


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Appends what is logged meanwhile to a file; on a full disk to none."""
    root = logging.getLogger()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        log.warning("%s", error)
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(levelname)s] %(message)s"))
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def _keep_traceback(path: Path) -> None:
    """Appends that of the error being handled; the terminal gets its line only."""
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(traceback.format_exc())
    except OSError as error:
        log.warning("%s", error)


def _line(error: BaseException) -> str:
    """An error in one line: of a full disk the file and the system's word."""
    if isinstance(error, FacedetError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


# The function keeps a name of its own: launchers send it to their workers by that.
main = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="train")(
    run_job_of_sweep
)
