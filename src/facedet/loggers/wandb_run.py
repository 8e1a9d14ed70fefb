"""A W&B run that no outage of W&B can harm, and that sends no number of a step twice."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import DummyExperiment, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from facedet.callbacks.image_log import Picture
from facedet.loggers.wandb import RUN_FILE
from facedet.loggers.wandb_panels import to_chart, to_image, to_table
from facedet.loggers.wandb_steps import SentSteps

log = logging.getLogger(__name__)

_STEP = "trainer/global_step"  # Lightning's name of the x axis


class GuardedWandbLogger(WandbLogger):
    """Lightning's W&B logger; after an error of W&B's the training goes on without it.

    Only the first process of a training logs. The run begins with the first call that sends
    something; until then `go_on` may say that it is the one of before.

    Args:
        save_dir: the run's folder; gets `wandb/` and `wandb_run.txt`.
        mode: online, offline or disabled. A run that cannot begin online goes offline.
        described: entity, project, name, group and tags, as `wandb.init` takes them.
        best_of: patterns of numbers whose summary is their maximum.
        log_model: whether `log_checkpoints` keeps them as artifacts.
        init_timeout: seconds until the server has to have answered.
        finish_timeout: seconds for the last uploads.
    """

    def __init__(
        self,
        save_dir: str,
        mode: str,
        described: Mapping[str, Any],
        best_of: Sequence[str],
        log_model: bool,
        init_timeout: float,
        finish_timeout: float,
    ) -> None:
        super().__init__(save_dir=save_dir, **described)
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, even of None
        self._mode = mode
        self._best_of = tuple(best_of)
        self._keeps_checkpoints = log_model
        self._timeouts = {"init_timeout": init_timeout, "finish_timeout": finish_timeout}
        self._goes_on = False
        self._is_off = mode == "disabled"
        self._is_further_file = False  # of a run that went on offline, without a row yet
        self._sent: SentSteps | None = None
        self._defined: set[str] = set()  # names that W&B has been told of

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401
        """The W&B run, begun on first use; something that takes every call where it is off."""
        if self._experiment is None and not self._is_off:
            try:
                self._experiment = self._begin()
            except Exception as error:  # W&B raises almost anything
                self._lose(error)
        return DummyExperiment() if self._is_off else self._experiment

    def go_on(self, step: int) -> None:
        """Says that the run in this folder goes on; of what it has sent, nothing is sent again."""
        self._goes_on = True

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401
        """Sends the config, a dict of plain data."""
        self._send(lambda run: run.config.update(dict(params), allow_val_change=True))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Sends a row of numbers, as far as it is later than what was sent under their names."""
        self._send(lambda run: self._log(run, metrics, step))

    @rank_zero_only
    def log_pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Sends pictures with their true and found boxes, which W&B shows and hides."""
        self._send(lambda run: self._log(run, {name: [to_image(one) for one in pictures]}, step))

    @rank_zero_only
    def log_curves(
        self, name: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], step: int
    ) -> None:
        """Sends precision over recall as a chart of lines.

        Args:
            name: of the chart.
            curves: by line, precision [T] and recall [T].
            step: optimiser steps done.
        """
        self._send(lambda run: self._log(run, {name: to_chart(curves)}, step))

    @rank_zero_only
    def log_hardest(self, name: str, pictures: Sequence[tuple[Picture, float]], step: int) -> None:
        """Sends a table of training pictures and their difficulty scores, hardest first."""
        self._send(lambda run: self._log(run, {name: to_table(pictures)}, step))

    @rank_zero_only
    def log_histogram(self, name: str, counts: np.ndarray, edges: np.ndarray, step: int) -> None:
        """Sends a histogram: numbers [N] of what lies between edges [N + 1]."""

        def send(run: Any) -> None:  # noqa: ANN401
            import wandb

            self._log(run, {name: wandb.Histogram(np_histogram=(counts, edges))}, step)

        self._send(send)

    @rank_zero_only
    def log_checkpoints(self, files: Mapping[str, Path]) -> None:
        """Keeps checkpoints as versions of one artifact, each under its alias, where asked to."""

        def send(run: Any) -> None:  # noqa: ANN401
            import wandb

            for alias, file in files.items():
                if file.is_file():
                    artifact = wandb.Artifact(f"model-{run.id}", type="model")
                    artifact.add_file(str(file), name=f"{alias}.ckpt")
                    run.log_artifact(artifact, aliases=[alias])

        if self._keeps_checkpoints:
            self._send(send)

    @rank_zero_only
    def end_run(self, is_failed: bool) -> None:
        """Ends the run; one that never began stays so."""
        if self._experiment is not None:
            self._send(lambda run: run.finish(exit_code=int(is_failed)))
            self._experiment, self._is_off = None, True

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:  # noqa: ANN401
        """Keeps nothing yet; see `log_checkpoints`."""

    def _send(self, action: Callable[[Any], None]) -> None:
        """Does something with the run; gives W&B up where it fails."""
        run = self.experiment
        if not self._is_off:
            try:
                action(run)
            except Exception as error:  # W&B raises almost anything
                self._lose(error)

    def _log(self, run: Any, values: Mapping[str, Any], step: int | None) -> None:  # noqa: ANN401
        assert self._sent is not None
        if step is None:
            run.log(dict(values))
            return
        news = self._sent.unsent(values, step)
        if not news:
            return
        self._define_best(run, news)
        row = {**news, _STEP: step}
        if self._is_further_file:
            # W&B counts the rows of this file only, and takes no row that goes back.
            run.log(row, step=self._sent.rows, commit=True)
            self._is_further_file = False
        else:
            run.log(row)
        self._sent.note(news, step)

    def _begin(self) -> Any:  # noqa: ANN401
        """The run: online if it is to be and can be, else offline."""
        if self._mode == "offline":
            log.info("W&B is offline: the run lies in %s; `wandb sync` uploads it", self._save_dir)
            return self._init("offline")
        try:
            return self._init("online")
        except Exception as error:
            log.warning(
                "W&B cannot be reached (%s): the run is kept in %s; `wandb sync` uploads it",
                _line(error), self._save_dir,
            )  # fmt: skip
            _forget()
            return self._init("offline")

    def _init(self, mode: str) -> Any:  # noqa: ANN401
        import wandb

        # Its tracebacks of a lost service would stand beside our line, one per line of output.
        logging.getLogger("wandb.sdk.lib.asyncio_manager").setLevel(logging.CRITICAL)
        folder = Path(str(self._save_dir))
        folder.mkdir(parents=True, exist_ok=True)
        self._sent = SentSteps(folder / RUN_FILE, self._goes_on)
        known = wandb.Settings.model_fields
        limits: dict[str, Any] = {k: v for k, v in self._timeouts.items() if k in known}
        run = wandb.init(
            **self._wandb_init | {"id": self._sent.id, "mode": mode},
            # Older versions have no limit for the end.
            settings=wandb.Settings(**limits),
            reinit="finish_previous",
        )
        self._sent.save()
        self._is_further_file = mode == "offline" and self._sent.rows > 0
        run.define_metric(_STEP)
        run.define_metric("*", step_metric=_STEP, step_sync=True)
        self._defined = set()
        return run

    def _define_best(self, run: Any, names: Iterable[str]) -> None:  # noqa: ANN401
        """Tells W&B which numbers' maximum counts, each by its name.

        Of two patterns that a name fits W&B takes either, as it happens; "*" fits all.
        """
        for name in set(names) - self._defined:
            self._defined.add(name)
            if any(fnmatchcase(name, pattern) for pattern in self._best_of):
                run.define_metric(name, step_metric=_STEP, step_sync=True, summary="max")

    def _lose(self, error: Exception) -> None:
        """Gives W&B up, and says so once."""
        log.warning(
            "W&B fails (%s): the training goes on without it; logs/metrics.csv has all numbers",
            _line(error),
        )
        self._experiment, self._is_off = None, True
        _forget()


def _line(error: Exception) -> str:
    """The first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _forget() -> None:
    """Lets go of W&B's service, so that a later run of this process starts one of its own."""
    import wandb

    # With a dead service this raises, and with one that failed it ends the program.
    with contextlib.suppress(Exception, SystemExit):
        wandb.teardown()
