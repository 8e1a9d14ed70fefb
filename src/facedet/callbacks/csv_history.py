"""The logged numbers as one CSV file, also where a run was interrupted and went on."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from facedet.replacing import replacing


class _Writer(ExperimentWriter):
    """Appends to the file that is there; Lightning's would delete it."""

    def _check_log_dir_exists(self) -> None:
        """Nothing is in the way."""

    def read(self) -> list[dict[str, str]]:
        """The rows of the file, none where there is none; and makes its columns known."""
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            self.metrics_keys = list(reader.fieldnames or [])
        return rows

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Gives the rows written so far the columns that have come since."""
        with Path(self.metrics_file_path).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        self.rewrite(rows, fieldnames)

    def rewrite(self, rows: list[dict[str, str]], fieldnames: list[str]) -> None:
        """Replaces the file, whole or not at all."""
        with (
            replacing(Path(self.metrics_file_path)) as aside,
            aside.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, fieldnames=fieldnames)
            writer.writeheader()
            writer.writerows(rows)


class CsvHistory(CSVLogger):
    """Writes `logs/metrics.csv`: a row per logged step, a column per number.

    Args:
        save_dir: the run's folder.
        name: of the folder in it.
    """

    def __init__(self, save_dir: str, name: str = "logs") -> None:
        super().__init__(save_dir, name=name, version="")
        self._kept_below = 0
        self._last: tuple[int | None, dict[str, Any]] = (None, {})

    @property
    def experiment(self) -> Any:  # noqa: ANN401
        """The writer; made, and the file of an earlier run cut, on first use."""
        if self._experiment is None:
            writer = _Writer(log_dir=self.log_dir)
            self._experiment = writer
            rows = writer.read()
            kept = [row for row in rows if _is_below(row, self._kept_below)]
            if kept:
                writer.rewrite(kept, writer.metrics_keys)
            else:
                Path(writer.metrics_file_path).unlink(missing_ok=True)
                writer.metrics_keys = []
        return self._experiment

    def go_on(self, step: int) -> None:
        """Keeps the rows below `step`, the optimiser steps that the checkpoint has done."""
        self._kept_below = step

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Adds a row, once: for a checkpoint the trainer sends it a second time."""
        if (step, metrics) != self._last:
            self._last = (step, dict(metrics))
            super().log_metrics(metrics, step)


def _is_below(row: dict[str, str], step: int) -> bool:
    """Whether a row is of an earlier step; one that a kill cut off says none."""
    number = row.get("step") or ""
    return number.isdecimal() and int(number) < step
