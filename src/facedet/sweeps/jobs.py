"""The jobs of a sweep: a folder each, whose files are its state, and how one is run.

`sweep.json` says what was started last, `jobs/HASH/job.json` the settings of a job and, once it has
finished, its numbers. Hydra's launchers call `main`, in this process, in a worker or on another
machine; everything that it needs to know is in the sweep's folder.
"""

import gc
import json
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from facedet.config import CONF_DIR, plain
from facedet.errors import FacedetError, InterruptedTrainingError
from facedet.files import is_locked, locked, replace_json, replacing
from facedet.sweeps.launchers import take_gpu
from facedet.sweeps.plan import job_hash
from facedet.training.hydra_app import JobEndError
from facedet.training.objective import best_row, measured, mode_of
from facedet.training.run_folder import is_further_process

log = logging.getLogger(__name__)

# The first of these files that a job's folder has says its state; a held lock precedes them all.
_STATES = {
    "error.txt": "failed",
    "weights.safetensors": "finished",
    "checkpoints/last.ckpt": "interrupted",
}
_LOCK = ".job.lock"
_PATIENCE = 60.0  # s that a worker has to save its training when the sweep's process is gone

_busy = threading.Event()  # while this process works on a job


@contextmanager
def started_sweep(
    folder: Path, name: str, overrides: list[str], how: Mapping[str, Any]
) -> Iterator[None]:
    """Writes `sweep.json`, and keeps other sweeps out of the folder while the block runs.

    `how` is what the jobs need to know: `varying`, `on_error`, `gpus`, `search`. Raises
    `FacedetError` where another sweep is running, or has its jobs there.
    """
    with locked(folder / ".lock") as is_ours:
        before = read_object(folder / "sweep.json")
        if not is_ours:
            by = before.get("by", "another process")
            remedy = "wait for it, or give another --dir"
            raise FacedetError(f"{folder}: {by} is running a sweep there: {remedy}")
        if (other := before.get("name", name)) != name:
            raise FacedetError(f"{folder} holds the sweep {other}: give another --dir for {name}")
        about = {"name": name, "overrides": overrides, "by": _process(), **how}
        replace_json(folder / "sweep.json", about)
        (folder / ".hydra" / "stop").unlink(missing_ok=True)
        yield


def state_of(folder: Path) -> str:
    """`finished`, `running`, `interrupted`, `failed` or `new`, by the files in a job's folder."""
    return "running" if is_locked(folder / _LOCK) else _state_at_rest(folder)


def is_done(folder: Path, how: Mapping[str, Any]) -> bool:
    """Whether nothing is left to be done: finished, or failed before and not to be retried."""
    state = _state_at_rest(folder)
    if state == "failed":
        return how["on_error"] == "continue"
    # Killed between its weights and its numbers it is run again, which takes no step.
    return state == "finished" and "objective" in read_record(folder)


def run_job_of_sweep(config: DictConfig) -> float | None:
    """Does what is left of the job that `config` describes; returns its objective, None without.

    An interruption is a `JobEndError`, which ends the sweep, past Hydra.
    """
    hydra_config = HydraConfig.get()
    sweep = Path(hydra_config.sweep.dir).parent
    how, folder = read_object(sweep / "sweep.json"), sweep / "jobs" / job_hash(config)
    config.paths.output, config.ckpt_path = str(folder), "auto"
    if is_further_process():
        return None if is_done(folder, how) else _train(config)
    if (sweep / ".hydra" / "stop").exists():
        return None
    with locked(folder / _LOCK) as is_ours:
        if not is_ours:
            log.info("%s: another process runs it", folder.name)
            return None
        if is_done(folder, how):
            return read_record(folder).get("objective")
        take_gpu(sweep / ".hydra", how["gpus"])
        given = dict(one.split("=", 1) for one in hydra_config.overrides.task if "=" in one)
        settings = {key: given[key] for key in how["varying"] if key in given}
        record = {"overrides": settings, "search": how.get("search", "")}
        for _ in range(2 if how["on_error"] == "retry" else 1):
            if _attempt(config, folder, record):
                return read_record(folder).get("objective")
        if how["on_error"] == "stop":
            (sweep / ".hydra" / "stop").touch()
        return None


def read_record(folder: Path) -> dict[str, Any]:
    """`job.json` of a job, `status.json` of an older one; empty where there is none."""
    return read_object(folder / "job.json") or read_object(folder / "status.json")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file; empty where there is none, or the file is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _attempt(config: DictConfig, folder: Path, record: dict[str, Any]) -> bool:
    """Trains in `folder`, which gets the record; returns whether the job has finished."""
    record |= {"objective_name": config.objective, "by": _process(), "config": plain(config)}
    (folder / "error.txt").unlink(missing_ok=True)
    start = time.monotonic()
    _busy.set()
    try:
        replace_json(folder / "job.json", record)
        record["objective"] = _train(config)
    except (InterruptedTrainingError, KeyboardInterrupt) as error:
        what = getattr(error, "what", "interrupted")
        number = getattr(error, "number", signal.SIGINT)
        # The sweep's command resumes a job, not one of its own.
        stop = InterruptedTrainingError(what, number, "the same command resumes it")
        log.warning("%s", stop)
        raise JobEndError(stop) from error
    except (Exception, SystemExit) as error:
        # One job's end, whatever its cause, is not that of the sweep.
        kind = "" if isinstance(error, FacedetError) else f"{type(error).__name__}: "
        line = f"{kind}{error}".splitlines()[0]
        log.error("%s", line)
        with replacing(folder / "error.txt") as aside:
            aside.write_text(f"{line}\n\n{traceback.format_exc()}", encoding="utf-8")
        return False
    finally:
        _busy.clear()
    record["seconds"] = round(time.monotonic() - start, 3)
    if rows := measured(folder, config.objective):
        record["metrics"] = best_row(rows, config.objective, mode_of(config, config.objective))
    replace_json(folder / "job.json", record)
    return True


def _train(config: DictConfig) -> float | None:
    from facedet.training.fit import train

    if multiprocessing.get_start_method(allow_none=True) == "loky":
        _settle_worker()
    try:
        return train(config)
    finally:
        # Trainer, module and loaders refer to each other: the next job needs their memory.
        gc.collect()


def _settle_worker() -> None:
    """Prepares a worker of joblib for its jobs, once."""
    # What starts joblib's workers cannot start the loading processes of a worker.
    multiprocessing.set_start_method(None, force=True)
    threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupts a job; of a worker that has none joblib would kill all the others."""
    if _busy.is_set():
        raise KeyboardInterrupt


def _end_after(parent: int) -> None:
    """Ends a worker whose sweep was killed, and which would hold its memory and GPU for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)  # a training saves itself after its step
    for _ in range(int(_PATIENCE)):
        time.sleep(1)
        if not _busy.is_set():
            break
    os._exit(1)


def _state_at_rest(folder: Path) -> str:
    return next((state for name, state in _STATES.items() if (folder / name).is_file()), "new")


def _process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


# The function keeps a name of its own: launchers send it to their workers by that.
main = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="train")(
    run_job_of_sweep
)
