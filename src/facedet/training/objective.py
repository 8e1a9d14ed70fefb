"""The number that a training is judged by: which of its values are better, and the best one."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facedet.config_store import usual_mode

# As Optuna and W&B call it.
DIRECTIONS = {"max": "maximize", "min": "minimize"}


def mode_of(config: Mapping[str, Any], objective: str) -> str:
    """Which values of the objective are better: the highest ("max") or the lowest ("min").

    The callback that watches it says so. Of the numbers that none watches the training's own are
    losses, which are better low; what a metric measures is better high.

    Args:
        config: of the training; only its `callbacks` are looked at.
        objective: name of a logged number.
    """
    for node in (config.get("callbacks") or {}).values():
        is_its = isinstance(node, Mapping) and node.get("monitor") == objective
        if is_its and node.get("mode") in DIRECTIONS:
            return str(node["mode"])
    return usual_mode(objective)


def measured(output: Path, objective: str) -> list[dict[str, float]]:
    """The rows of a run's history that hold the objective: the numbers of its group, and step.

    Args:
        output: the run's folder, with logs/metrics.csv; without that there are no rows.
        objective: name of a logged number.
    """
    path = output / "logs" / "metrics.csv"
    if not path.is_file():
        return []
    group = f"{objective.partition('/')[0]}/"
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            {
                name: float(value)
                for name, value in row.items()
                if value and (name in ("step", objective) or name.startswith(group))
            }
            for row in csv.DictReader(stream)
            if row.get(objective)
        ]


def best_row(rows: Sequence[dict[str, float]], objective: str, mode: str) -> dict[str, float]:
    """The first row whose objective no other one beats; one that is NaN is beaten by all.

    >>> rows = [{"a/b": math.nan}, {"a/b": 0.5}, {"a/b": 0.25}]
    >>> best_row(rows, "a/b", "max"), best_row(rows, "a/b", "min")
    ({'a/b': 0.5}, {'a/b': 0.25})
    """
    sign = 1 if mode == "max" else -1

    def goodness(row: dict[str, float]) -> float:
        return -math.inf if math.isnan(row[objective]) else sign * row[objective]

    return max(rows, key=goodness)
