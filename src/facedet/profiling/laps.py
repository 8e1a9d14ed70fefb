"""Seconds of the parts of one long piece of work."""

import time


class Laps:
    """Adds up what each part has taken; a part lasts from the end of the one before to its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def end(self, part: str) -> None:
        """Counts the time since the last call as that of `part`."""
        now = time.monotonic()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now
