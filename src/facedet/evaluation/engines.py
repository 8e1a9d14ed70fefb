"""Engines next to each other: time, size, memory and AP of the same detectors."""

import io
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.api import load
from facedet.config import compose, literal
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.run import evaluate, make_pyramid, read_records
from facedet.evaluation.scoring import build_benchmark
from facedet.export.opening import installed_engines, open_detector
from facedet.plots import Point, pareto_front, plot_trade_off
from facedet.profiling.latency import measure_calls
from facedet.tables import pipe_table
from facedet.weights.store import EXPORTED_SUFFIXES
from facedet.weights.zoo import locate

# What a process has touched before it became another program counts in `ru_maxrss`, on Linux.
_PEAK = (
    "import pathlib, resource, sys, numpy, facedet\n"
    "name, engine, *numbers = sys.argv[1:]\n"
    "threads, folded, height, width = map(int, numbers)\n"
    "found = facedet.load(name, engine=engine, threads=threads, folded=bool(folded))\n"
    "found.detect(numpy.zeros((height, width, 3), 'u1'))\n"
    "status = pathlib.Path('/proc/self/status')\n"
    "lines = status.read_text().splitlines() if status.exists() else []\n"
    "own = [int(line.split()[1]) for line in lines if line.startswith('VmHWM')]\n"
    "print(*own or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])"
)
# By column of the table, how it is made of a row. Peak and APs follow.
_COLUMNS = {
    "detector": "{detector}", "engine": "{engine}",
    "whole ms": "{whole_ms:.1f} ({low_ms:.1f}–{high_ms:.1f})",
    "prepare": "{prepare_ms:.1f}", "network": "{network_ms:.1f}", "post": "{postprocess_ms:.1f}",
    "CPU ms": "{cpu_ms:.1f}", "x first": "{speedup:.2f} ({speedup_low:.2f}–{speedup_high:.2f})",
    "file kB": "{file_kb:,.0f}",
}  # fmt: skip


class Entry(NamedTuple):
    """A detector in an engine."""

    source: str  # weights, or an exported file
    engine: str
    folded: bool = True


def entries(sources: Sequence[str], with_unfolded: bool = False) -> list[Entry]:
    """Weights in every engine that is installed, torch first; exported files in their own.

    `with_unfolded` puts before these the weights in torch with their normalisations as trained.
    Raises `FacedetError` where a file is missing.
    """
    found = []
    for source in sources:
        is_exported = locate(source).suffix.lower() in EXPORTED_SUFFIXES
        if with_unfolded and not is_exported:
            found.append(Entry(source, "torch", folded=False))
        engines = ["auto"] if is_exported else reversed(installed_engines())
        found += [Entry(source, engine) for engine in engines]
    return found


def compare_engines(
    chosen: Sequence[Entry],
    rgb: np.ndarray,
    runs: int,
    threads: int | None = None,
    data: Path | None = None,
    limit: int | None = None,
    with_memory: bool = False,
) -> list[dict[str, Any]]:
    """Measures detectors in engines in one run.

    Args:
        chosen: at least one; ratios are to the first.
        rgb: the picture that is timed, uint8 [H, W, 3].
        runs: rounds that count.
        threads: of each; None: PyTorch's number.
        data: folder in WIDER FACE's layout, of which pictures may be missing, for the AP in a
            single pass; None: no AP.
        limit: only the first so many of its pictures.
        with_memory: also the peak of a new process that detects in the picture's size.

    Returns:
        A row each: "detector", "engine", what `measure_calls` measures, "file_kb", "peak_mb" if
        asked for, and with data "wider/easy" and so on.

    Raises:
        FacedetError: a detector cannot be loaded, or not be evaluated on `data`.
    """
    if data is not None:
        _check_evaluation(chosen, data, limit, threads)
    detectors = [
        load(one.source, engine=one.engine, threads=threads, folded=one.folded) for one in chosen
    ]
    times = measure_calls([one.pyramid for one in detectors], rgb, runs)
    rows = []
    for one, detector, measured in zip(chosen, detectors, times, strict=True):
        engine = detector.info["engine"] + ("" if one.folded else ", unfolded")
        row = {"detector": Path(one.source).name, "engine": engine, **measured}
        row["file_kb"] = _disk_size(locate(one.source)) / 1e3
        if with_memory:
            row["peak_mb"] = _peak(one, rgb.shape[:2], threads)
        if data is not None:
            row |= _ap(one, data, limit, threads)
        rows.append(row)
    return rows


def engines_text(result: Mapping[str, Any]) -> str:
    """The "rows" of `compare_engines` as a table, below the "machine" and the "pictures"."""
    machine, rows = result["machine"], result["rows"]
    columns = _COLUMNS | ({"peak MB": "{peak_mb:,.0f}"} if "peak_mb" in rows[0] else {})
    columns |= {key: f"{{{key}:.4f}}" for key in rows[0] if "/" in key}
    cells = [[form.format(**row) for form in columns.values()] for row in rows]
    return "\n".join(
        [
            f"{machine['cpu']}, threads: {machine['threads']}; picture: {result['pictures']}",
            *pipe_table([*columns], cells, [False, False, *[True] * (len(columns) - 2)]),
            "whole: median and 10th to 90th percentile of rounds in turn; x first: how many times "
            "as fast as the first",
        ]
    )


def draw_engines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the hard AP over the milliseconds of a whole call as a picture."""
    key = next(key for key in reversed(rows[0]) if "/" in key)
    front = pareto_front([row["whole_ms"] for row in rows], [row[key] for row in rows])
    points = [
        Point(row["whole_ms"], row[key], None, f"{row['detector']}, {row['engine']}", is_best)
        for row, is_best in zip(rows, front, strict=True)
    ]
    plot_trade_off(path, {"whole call, ms": points}, key, "Engines: AP over time")


def _check_evaluation(
    chosen: Sequence[Entry], data: Path, limit: int | None, threads: int | None
) -> None:
    """Raises what `_ap` would, before the timing: that may take minutes."""
    for one in chosen:
        if one.engine != "auto":
            continue  # weights take pictures of any size, and leave out no face
        opened = open_detector(one.source, threads=threads)
        make_pyramid(compose("evaluate", _words(one, data, limit, threads)), opened)
        if opened.about.size is not None:
            raise UsageError(
                f"{one.source}: takes pictures of one size, those of {data} have many: "
                "export it with --size dynamic"
            )
    config = compose("evaluate", _words(chosen[0], data, limit, threads))
    read_records(config, build_benchmark(config.protocol))


def _words(one: Entry, data: Path, limit: int | None, threads: int | None) -> list[str]:
    return [
        literal("weights", one.source),
        f"engine={one.engine}",
        f"folded={str(one.folded).lower()}",
        f"threads={threads or 'null'}",
        "data=wider",
        literal("data.root", data),
        "data.images=present",  # engines are compared with each other, not with papers
        "protocol=wider_single",
        f"limit={limit or 'null'}",
    ]


def _ap(one: Entry, data: Path, limit: int | None, threads: int | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        words = [*_words(one, data, limit, threads), literal("paths.output", folder)]
        report = evaluate(compose("evaluate", words))
    return {key: value for key, value in report.items() if "/" in key}


def _disk_size(path: Path) -> int:
    """Bytes of a file, and of the other half of an OpenVINO pair."""
    both = {path, path.with_suffix(".bin")} if path.suffix == ".xml" else {path}
    return sum(file.stat().st_size for file in both)


def _peak(one: Entry, size: tuple[int, ...], threads: int | None) -> float:
    """Peak memory of a new process that detects in one picture, MB."""
    words = [one.source, one.engine, threads or 1, int(one.folded), *size]
    command = [sys.executable, "-c", _PEAK, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise FacedetError(f"{one.source} in {one.engine}: its memory is not known ({reason})")
    # Linux counts kilobytes, macOS bytes.
    return int(done.stdout) / (1e6 if sys.platform == "darwin" else 1e3)
