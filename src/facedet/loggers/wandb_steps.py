"""What a W&B run has been sent, so that a training that goes on sends nothing twice."""

import contextlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedet.files import replacing

# Goes with every row, new or not: W&B's charts can have it as their x axis too.
_CARRIED = "epoch"


class SentSteps:
    """A run's id, and the last step of every number that was sent, kept in the run's folder.

    A training that was killed goes on from its last checkpoint and repeats the steps since then,
    to the same numbers. W&B takes no row back, so what was sent is not sent again.

    Args:
        path: of the file: the id, and on a second line the steps as JSON.
        goes_on: take the id and the steps that stand there; otherwise the run is a new one.
    """

    def __init__(self, path: Path, goes_on: bool) -> None:
        self.path = path
        self.rows = 0  # that W&B has
        self.steps: dict[str, int] = {}
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() and goes_on else []
        self.id = lines[0].strip() if lines and lines[0].strip() else secrets.token_hex(8)
        # A file that was cut off, or has an id only, says nothing of the steps.
        with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
            said = json.loads(lines[1])
            self.rows, self.steps = int(said["rows"]), dict(said["steps"])

    def unsent(self, values: Mapping[str, Any], step: int) -> dict[str, Any]:
        """The part of a row of `step` that is later than what was sent; {}: nothing of it."""
        news = {key: value for key, value in values.items() if self.steps.get(key, -1) < step}
        if not news.keys() - {_CARRIED}:
            return {}
        return news | {key: values[key] for key in (_CARRIED,) if key in values}

    def note(self, values: Mapping[str, Any], step: int) -> None:
        """Writes down that a row with `values` of `step` was sent."""
        self.rows += 1
        self.steps |= dict.fromkeys(values, step)
        self.save()

    def save(self) -> None:
        """Writes the file; not waiting for the disk, as it is written with every row."""
        with replacing(self.path, durable=False) as aside:
            said = json.dumps({"rows": self.rows, "steps": self.steps})
            aside.write_text(f"{self.id}\n{said}\n", encoding="utf-8")
