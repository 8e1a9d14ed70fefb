"""The Hydra application of `facedet evaluate`; a multirun of it ends with a table of its runs."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from facedet.config import CONF_DIR, SWEEPS_DIR, literal
from facedet.tables import pipe_table
from facedet.training.hydra_app import run_hydra, run_job


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluates what `config` describes."""
    # A wrong word on the command line is reported before torch is loaded.
    from facedet.evaluation.run import evaluate

    run_job(evaluate, config)


class RememberFolder(Callback):
    """Notes the folder of a multirun, for the table at its end (`conf/evaluate.yaml`)."""

    latest: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:  # noqa: ANN401
        """Hydra calls this in the process that was started."""
        RememberFolder.latest = Path(config.hydra.sweep.dir)


@contextmanager
def table_at_the_end() -> Iterator[None]:
    """Prints what the runs of a multirun measured, also where one of them failed."""
    RememberFolder.latest = None
    try:
        yield
    except BaseException:
        # Where the table fails as well, say for want of .hydra, the run's own error is the cause.
        with suppress(OSError):
            _print_table()
        raise
    _print_table()


def _print_table() -> None:
    if folder := RememberFolder.latest:
        if runs := read_runs(folder):
            keys = list(dict.fromkeys(key for run in runs for key in run if "/" in key))
            rows = [
                [run["varying"], *(f"{run[key]:.4f}" if key in run else "–" for key in keys)]
                for run in runs
            ]
            print(*pipe_table(["run", *keys], rows, [False] + [True] * len(keys)), sep="\n")
        print(f"  {folder}")


def evaluate_sweep(name: str, overrides: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Runs the multirun of sweeps/NAME.yaml, each run in a subfolder; returns `read_runs`."""
    flags = ["--config-dir", str(SWEEPS_DIR), "--config-name", name, "--multirun"]
    with table_at_the_end():
        run_hydra(main, "evaluate", [*overrides, literal("hydra.sweep.dir", folder)], flags)
    return read_runs(folder)


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """The metrics.json of a multirun's finished runs; "varying" has what not all were given."""
    files = sorted(folder.glob("*/metrics.json"), key=lambda file: (len(file.parent.name), file))
    overrides = [list(OmegaConf.load(file.parent / ".hydra" / "overrides.yaml")) for file in files]
    varying = (
        [one for one in own if not all(one in other for other in overrides)] for own in overrides
    )
    return [
        json.loads(file.read_text(encoding="utf-8")) | {"varying": " ".join(words)}
        for file, words in zip(files, varying, strict=True)
    ]
