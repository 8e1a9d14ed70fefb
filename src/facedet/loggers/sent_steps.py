"""What a W&B run has been sent, so that a resumed training sends nothing twice."""

import contextlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedet.files import replacing

# In a run's folder; a run that starts fresh there removes it.
RUN_FILE = "wandb_run.txt"
_EPOCH = "epoch"  # sent with every row: W&B's charts can have it as their x axis too


class SentSteps:
    """A run's id, and the last step of every number that was sent, kept in the run's folder.

    A training that was killed resumes from its last checkpoint and repeats the steps since then,
    to the same numbers. W&B takes no row back, so what was sent is not sent again.

    Args:
        path: of the file: the id, and on a second line the steps as JSON.
        is_resumed: take the id and the steps from there; otherwise the run is a new one.
    """

    def __init__(self, path: Path, is_resumed: bool) -> None:
        self.path = path
        self.rows = 0  # that W&B has
        self.steps: dict[str, int] = {}
        lines = path.read_text("utf-8").split("\n") if path.is_file() and is_resumed else [""]
        self.id = lines[0].strip() or secrets.token_hex(8)
        # A file that was cut off, or has an id only, says nothing of the steps.
        with contextlib.suppress(ValueError, IndexError, KeyError, TypeError):
            read = json.loads(lines[1])
            self.rows, self.steps = int(read["rows"]), dict(read["steps"])

    def unsent(self, values: Mapping[str, Any], step: int) -> dict[str, Any]:
        """The part of a row of `step` that is later than what was sent; {}: nothing of it."""
        news = {key: value for key, value in values.items() if self.steps.get(key, -1) < step}
        if not news.keys() - {_EPOCH}:
            return {}
        return news | {key: values[key] for key in (_EPOCH,) if key in values}

    def note(self, values: Mapping[str, Any], step: int) -> None:
        """Records that a row with `values` of `step` was sent."""
        self.rows += 1
        self.steps |= dict.fromkeys(values, step)
        self.save()

    def save(self) -> None:
        """Writes the file; without waiting for the disk, as it is written with every row."""
        with replacing(self.path, durable=False) as aside:
            steps = json.dumps({"rows": self.rows, "steps": self.steps})
            aside.write_text(f"{self.id}\n{steps}\n", encoding="utf-8")
