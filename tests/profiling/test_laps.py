from types import SimpleNamespace

from facedet.profiling import laps


def test_parts_add_up(monkeypatch):
    times = iter([10.0, 12.0, 17.0, 18.0])
    monkeypatch.setattr(laps, "time", SimpleNamespace(monotonic=lambda: next(times)))
    made = laps.Laps()
    for part in ("training", "validation", "training"):
        made.end(part)
    # 12 - 10, and 18 - 17 on top of it; 17 - 12.
    assert made.seconds == {"training": 3.0, "validation": 5.0}
