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
    """Which values of a logged number are better: the highest ("max") or the lowest ("min").

    The callback of the config that watches it says so, else `usual_mode`.
    """
    for node in (config.get("callbacks") or {}).values():
        is_its = isinstance(node, Mapping) and node.get("monitor") == objective
        if is_its and node.get("mode") in DIRECTIONS:
            return str(node["mode"])
    return usual_mode(objective)


def measured(output: Path, objective: str) -> list[dict[str, float]]:
    """The rows of a run's logs/metrics.csv with the objective: the numbers of its group, and step.

    Without the file there are none.
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
