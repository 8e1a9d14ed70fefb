"""The logged numbers as one CSV file, also of a run that was interrupted and resumed."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from facedet.files import replacing_table


class _Writer(ExperimentWriter):
    """Appends to the file that is there; Lightning's would delete it."""

    def _check_log_dir_exists(self) -> None:
        """Nothing is in the way."""

    def keep_below(self, step: int) -> None:
        """Cuts the file of an earlier run down to the rows of earlier steps."""
        path = Path(self.metrics_file_path)
        if step == 0:
            path.unlink(missing_ok=True)
        elif path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                self.metrics_keys = list(csv.DictReader(stream).fieldnames or [])
            self._rewrite_with_new_header(self.metrics_keys, step)

    def _rewrite_with_new_header(self, fieldnames: list[str], below: int | None = None) -> None:
        """Gives the rows written so far other columns; keeps those of steps below `below`."""
        path = Path(self.metrics_file_path)
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if below is not None:
            # A row that a kill cut off has no step.
            rows = [row for row in rows if (n := row["step"] or "").isdecimal() and int(n) < below]
        with replacing_table(path) as table:
            table.writerow(fieldnames)
            table.writerows([row.get(name) for name in fieldnames] for row in rows)


class CsvHistory(CSVLogger):
    """Writes `logs/metrics.csv` in a run's folder: a row per logged step, a column per number."""

    def __init__(self, save_dir: str, name: str = "logs") -> None:
        super().__init__(save_dir, name=name, version="")
        self._kept_below = 0
        self._last: tuple[int | None, dict[str, Any]] = (None, {})

    @property
    def experiment(self) -> Any:  # noqa: ANN401
        """The writer; made, and the file of an earlier run cut, on first use."""
        if self._experiment is None:
            self._experiment = _Writer(log_dir=self.log_dir)
            self._experiment.keep_below(self._kept_below)
        return self._experiment

    def resume(self, step: int) -> None:
        """Keeps the rows below `step`, the optimiser steps that the checkpoint has done."""
        self._kept_below = step

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Adds a row, once: for a checkpoint the trainer sends it a second time."""
        if (step, metrics) != self._last:
            self._last = (step, dict(metrics))
            super().log_metrics(metrics, step)
