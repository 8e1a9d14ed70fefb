"""What a W&B run has been sent, so that a resumed training sends nothing twice."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedet.files import replacing

# In a run's folder; a run that starts fresh there removes it.
RUN_FILE = "wandb_run.txt"


class SentSteps:
    """A run's id, and the last step of every number that was sent, kept in the run's folder.

    A killed training resumes from its last checkpoint and repeats the steps since then, to the
    same numbers. W&B takes no row back, so what was sent is not sent again.

    Args:
        path: of the file: the id, and on a second line the steps as JSON.
        is_resumed: take the id and the steps from there; otherwise the run is a new one.
    """

    def __init__(self, path: Path, is_resumed: bool) -> None:
        self.path = path
        text = path.read_text("utf-8") if path.is_file() and is_resumed else ""
        name, _, steps = text.partition("\n")
        read = json.loads(steps.strip() or "{}")
        self.id = name.strip() or secrets.token_hex(8)
        self.rows: int = read.get("rows", 0)  # that W&B has
        self.steps: dict[str, int] = read.get("steps", {})

    def unsent(self, values: Mapping[str, Any], step: int) -> dict[str, Any]:
        """The part of a row of `step` that is later than what was sent; {}: nothing of it."""
        news = {key for key in values if self.steps.get(key, -1) < step} - {"epoch"}
        # The epoch goes with every row: W&B's charts can have it as their x axis.
        return {key: values[key] for key in values if key in news or key == "epoch"} if news else {}

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
