"""The folder of a sweep: what each of its jobs is and how far it has come, as files."""

import json
import logging
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from facedet import __version__
from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.sweeps.statistics import STATES

log = logging.getLogger(__name__)


class SweepFolder:
    """`sweep.json`, `jobs/HASH/status.json` and what Hydra and the launcher need, in `.hydra`.

    Args:
        path: the folder; made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def hydra(self) -> Path:
        """Where Hydra's own files go: nothing in it is needed to go on."""
        return self.path / ".hydra"

    def job(self, name: str) -> Path:
        """The folder of the job with this hash."""
        return self.path / "jobs" / name

    def hashes(self) -> list[str]:
        """The hashes of all jobs that were ever begun here, sorted."""
        return sorted(path.name for path in self.path.glob("jobs/*") if path.is_dir())

    @contextmanager
    def own(self) -> Iterator[None]:
        """Keeps other sweeps out while the block runs; a killed one's lock is no hindrance.

        Raises:
            FacedetError: another sweep is running here; says which.
        """
        with held(self.path / ".lock") as owner:
            if owner is not None:
                raise FacedetError(
                    f"{self.path}: {owner} is sweeping there: wait for it, or give another --dir"
                )
            yield

    def begin(self, name: str, overrides: list[str], plan: Mapping[str, Any]) -> None:
        """Writes `sweep.json`, and for the jobs `plan`: how this start treats them.

        Raises:
            FacedetError: the folder is another sweep's, or cannot be written.
        """
        path = self.path / "sweep.json"
        before = read_object(path, mend=True) or {}
        if before.get("name", name) != name:
            raise FacedetError(
                f"{self.path} holds the sweep {before['name']}: give another --dir for {name}"
            )
        content = {
            "name": name,
            "overrides": overrides,
            "created": before.get("created", now()),
            "versions": _versions(),
        }
        _write(path, content)
        _write(self.hydra / "plan.json", plan)
        (self.hydra / "stop").unlink(missing_ok=True)

    def plan(self) -> dict[str, Any]:
        """What `begin` was given.

        Raises:
            FacedetError: it is not there, or damaged.
        """
        plan = read_object(self.hydra / "plan.json", mend=False)
        if plan is None:
            raise FacedetError(
                f"{self.hydra / 'plan.json'}: no such plan; `facedet sweep` makes it"
            )
        return plan

    def status(self, name: str, mend: bool = False) -> dict[str, Any]:
        """The status of a job; `{"state": "new"}` for one that was never begun.

        A job that says `running` and holds no lock was killed: it is `interrupted`. So is one
        whose file is damaged, which is then set aside.

        Args:
            name: the job's hash.
            mend: set a damaged file aside; else it is only said to be interrupted.
        """
        path = self.job(name) / "status.json"
        if not path.exists() and not path.with_name("status.json.damaged").exists():
            return {"state": "new"}
        status = read_object(path, mend, STATES)
        if status is None:
            status = {"state": "interrupted", "attempt": 0}
        if status["state"] == "running" and not is_held(self.job(name) / ".job.lock"):
            status["state"] = "interrupted"
        return status

    def write_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Replaces the status of a job; on a full disk says so and leaves the old one."""
        try:
            _write(self.job(name) / "status.json", status)
        except FacedetError as error:
            log.error("%s", error)


@contextmanager
def held(path: Path) -> Iterator[str | None]:
    """Holds a lock file while the block runs; yields None, or who holds it already.

    Raises:
        FacedetError: its folder cannot be made.
    """
    owner = path.with_name(f"{path.name}.owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FacedetError(f"{path.parent} cannot be made: {error.strerror or error}") from error
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
        return
    try:
        # Outside of a full disk the name helps; the lock works without it.
        with _ignoring_full_disk():
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield None
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def read_object(
    path: Path, mend: bool, states: tuple[str, ...] | None = None
) -> dict[str, Any] | None:
    """The JSON object of a file, None where there is none.

    Args:
        path: the file.
        mend: rename one that holds something else to NAME.damaged, and say so.
        states: what its `state` may be.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        content = None
    if isinstance(content, dict) and (states is None or content.get("state") in states):
        return content
    if mend:
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        log.warning("%s is damaged: set aside as %s", path, aside.name)
    return None


def now() -> str:
    """The time, as the files have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _ignoring_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.warning("%s", error)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as aside:
        aside.write_text(json.dumps(content, indent=1, allow_nan=True) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    # Asking torch itself would load it in a process that may only submit jobs.
    return {
        "facedet": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
    }
