"""Lightning's W&B logger, which no outage of W&B can harm, and which sends no step twice."""

import contextlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import DummyExperiment, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from facedet.callbacks.image_log import Picture
from facedet.errors import first_line
from facedet.loggers.sent_steps import RUN_FILE, SentSteps
from facedet.plots import evenly

log = logging.getLogger(__name__)

_STEP = "trainer/global_step"  # Lightning's name of the x axis
_CURVE_POINTS = 200


class GuardedWandbLogger(WandbLogger):
    """Lightning's W&B logger; after an error of W&B's the training continues without it.

    Only the first process of a training logs. The run begins with the first call that sends
    something; until then `describe` and `resume` may say what it is.

    Args:
        save_dir: the run's folder; gets `wandb/` and `wandb_run.txt`.
        mode: online, offline or disabled. A run that cannot begin online goes offline.
        described: entity, project, name, group and tags, as `wandb.init` takes them.
        best_of: patterns of numbers whose summary is their maximum.
        log_model: whether `log_files` keeps checkpoints.
        timeouts: seconds, `init_timeout` and `finish_timeout`.
    """

    def __init__(
        self,
        save_dir: str,
        mode: str,
        described: Mapping[str, Any],
        best_of: Sequence[str] = (),
        log_model: bool = False,
        timeouts: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(save_dir=save_dir, **described)
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, even of None
        self._mode = mode
        self._best_of = tuple(best_of)
        self._keeps_checkpoints = log_model
        self._timeouts = dict(timeouts or {})
        self._command: list[str] = []
        self._is_resumed = False
        self._is_off = mode == "disabled"
        self._is_further_file = False  # of a resumed offline run, without a row yet
        self._sent: SentSteps | None = None
        self._maxima: set[str] = set()  # numbers whose summary is the maximum

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

    def describe(self, command: list[str], **described: Any) -> None:  # noqa: ANN401
        """Says the command as typed; name, group and tags where the config leaves them open."""
        given = {key: value for key, value in self._wandb_init.items() if value is not None}
        self._wandb_init |= described | given
        self._command = command

    def resume(self, step: int) -> None:
        """Continues the folder's run; of what it has sent, nothing is sent again."""
        self._is_resumed = True

    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401
        """Sends the config, a dict of plain data."""
        self._send(lambda run: run.config.update(dict(params), allow_val_change=True))

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Sends a row of numbers, as far as it is later than what was sent under their names."""
        self._send(lambda run: self._log(run, metrics, step))

    def log_pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Sends pictures with their true and found boxes, which W&B shows and hides."""
        self._send(lambda run: self._log(run, {name: [_to_image(one) for one in pictures]}, step))

    def log_curves(
        self, name: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], step: int
    ) -> None:
        """Sends precision [T] over recall [T] by subset as a chart of lines."""
        self._send(lambda run: self._log(run, {name: _to_chart(curves)}, step))

    def log_rows(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        """Sends a table; a cell may be a `Picture`."""

        def send(run: Any) -> None:  # noqa: ANN401
            import wandb

            cells = [[_to_image(c) if isinstance(c, Picture) else c for c in row] for row in rows]
            self._log(run, {name: wandb.Table(columns=list(columns), data=cells)}, step)

        self._send(send)

    def log_files(self, files: Mapping[str, Path]) -> None:
        """Keeps files as versions of one artifact, each under its alias.

        Checkpoints only with `log_model`; a missing file is left out.
        """

        def send(run: Any) -> None:  # noqa: ANN401
            import wandb

            for alias, file in files.items():
                if file.is_file() and (file.suffix != ".ckpt" or self._keeps_checkpoints):
                    artifact = wandb.Artifact(f"model-{run.id}", type="model")
                    artifact.add_file(str(file), name=file.name)
                    run.log_artifact(artifact, aliases=[alias])

        self._send(send)

    def end_run(self, is_failed: bool) -> None:
        """Ends the run; one that never began stays so."""
        if self._experiment is not None:
            self._send(lambda run: run.finish(exit_code=int(is_failed)))
            self._experiment, self._is_off = None, True

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:  # noqa: ANN401
        """Keeps nothing yet; see `log_files`."""

    @rank_zero_only
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
        # Each by its name: of two patterns that a name fits W&B takes either, and "*" fits all.
        for name in news.keys() - self._maxima:
            if any(fnmatchcase(name, pattern) for pattern in self._best_of):
                run.define_metric(name, step_metric=_STEP, step_sync=True, summary="max")
                self._maxima.add(name)
        # W&B counts the rows of a further offline file only, and takes no row that goes back.
        place = {"step": self._sent.rows, "commit": True} if self._is_further_file else {}
        run.log({**news, _STEP: step}, **place)
        self._is_further_file = False
        self._sent.note(news, step)

    def _begin(self) -> Any:  # noqa: ANN401
        """The run: online if it is to be and can be, else offline."""
        where = f"the run is kept in {self._save_dir}; `wandb sync` uploads it"
        if self._mode == "offline":
            log.info("W&B is offline: %s", where)
            return self._init("offline")
        try:
            return self._init("online")
        except Exception as error:
            log.warning("W&B cannot be reached (%s): %s", first_line(error), where)
            _teardown()
            return self._init("offline")

    def _init(self, mode: str) -> Any:  # noqa: ANN401
        import wandb

        # One traceback of a lost service for each line of output would hide our own line.
        logging.getLogger("wandb.sdk.lib.asyncio_manager").setLevel(logging.CRITICAL)
        folder = Path(str(self._save_dir))
        folder.mkdir(parents=True, exist_ok=True)
        self._sent = SentSteps(folder / RUN_FILE, self._is_resumed)
        # Older versions have no limit for the end.
        known = wandb.Settings.model_fields
        settings: dict[str, Any] = {key: s for key, s in self._timeouts.items() if key in known}
        # W&B records this process's arguments; a training has exchanged them for its ranks.
        arguments = sys.argv
        if self._command:
            settings["program"], sys.argv = self._command[0], self._command
        try:
            run = wandb.init(
                **self._wandb_init | {"id": self._sent.id, "mode": mode},
                settings=wandb.Settings(**settings),
                reinit="finish_previous",
            )
        finally:
            sys.argv = arguments
        self._sent.save()
        self._is_further_file = mode == "offline" and self._sent.rows > 0
        run.define_metric(_STEP)
        run.define_metric("*", step_metric=_STEP, step_sync=True)
        return run

    def _lose(self, error: Exception) -> None:
        """Gives W&B up, and says so once."""
        log.warning(
            "W&B fails (%s): the training continues without it; logs/metrics.csv has all numbers",
            first_line(error),
        )
        self._experiment, self._is_off = None, True
        _teardown()


def _teardown() -> None:
    """Stops W&B's service, so that a later run of this process starts one of its own."""
    import wandb

    # With a dead service this raises, and with one that failed it ends the program.
    with contextlib.suppress(Exception, SystemExit):
        wandb.teardown()


def _to_chart(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:  # noqa: ANN401
    """A chart of lines from precision [T] and recall [T] by line."""
    import wandb

    xs, ys = [], []
    for precision, recall in curves.values():
        # From the first detection on; a chart is a table of all points, so it gets a few of them.
        places = evenly(np.flatnonzero(recall > 0).tolist(), _CURVE_POINTS)
        xs.append(recall[places].tolist())
        ys.append(precision[places].tolist())
    title, keys = "precision over recall", list(curves)
    return wandb.plot.line_series(xs=xs, ys=ys, keys=keys, title=title, xname="recall")


def _to_image(picture: Picture) -> Any:  # noqa: ANN401
    """A `wandb.Image` with the layers "truth" and "found", whose scores its slider cuts."""
    import wandb

    def layer(boxes: Sequence[Sequence[float]], notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        corners = ("minX", "minY", "maxX", "maxY")
        drawn = [
            {"position": dict(zip(corners, box, strict=True)), "domain": "pixel", "class_id": 0}
            for box in boxes
        ]
        data = [one | note for one, note in zip(drawn, notes, strict=True)]
        return {"box_data": data, "class_labels": {0: "face"}}

    faces, scores = picture.faces.tolist(), picture.found.scores.tolist()
    notes = [{"box_caption": f"{score:.2f}", "scores": {"score": score}} for score in scores]
    truth = layer(faces, [{}] * len(faces))
    layers = {"truth": truth, "found": layer(picture.found.boxes.tolist(), notes)}
    return wandb.Image(picture.rgb, caption=picture.name, boxes=layers, file_type="jpg")
