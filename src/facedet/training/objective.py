"""The number that a training is judged by: which of its values are better, and the best one."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facedet.config_store import usual_goal

ARROWS = {"max": "↑", "min": "↓"}
# As Optuna and W&B call it.
DIRECTIONS = {"max": "maximize", "min": "minimize"}


def goal_of(config: Mapping[str, Any], objective: str) -> str:
    """Which values of the objective are better: the highest ("max") or the lowest ("min").

    The callback that watches it says so. Of the numbers that none watches the training's own are
    losses, which are better low; what a metric measures is better high.

    Args:
        config: of the training; only its `callbacks` are looked at.
        objective: name of a logged number.
    """
    for callback in (config.get("callbacks") or {}).values():
        if isinstance(callback, Mapping) and callback.get("monitor") == objective:
            mode = callback.get("mode")
            if mode in ARROWS:
                return str(mode)
    return usual_goal(objective)


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
        table = csv.DictReader(stream)
        names = [
            one
            for one in table.fieldnames or []
            if one in ("step", objective) or one.startswith(group)
        ]
        rows = [row for row in table if row.get(objective)]
    return [{name: float(row[name]) for name in names if row[name]} for row in rows]


def best_row(rows: Sequence[dict[str, float]], objective: str, goal: str) -> dict[str, float]:
    """The first row whose objective no other one beats; one that is NaN is beaten by all.

    >>> rows = [{"a/b": math.nan}, {"a/b": 0.5}, {"a/b": 0.25}]
    >>> best_row(rows, "a/b", "max"), best_row(rows, "a/b", "min")
    ({'a/b': 0.5}, {'a/b': 0.25})
    """
    sign = 1 if goal == "max" else -1

    def goodness(row: dict[str, float]) -> float:
        return -math.inf if math.isnan(row[objective]) else sign * row[objective]

    return max(rows, key=goodness)
