"""Experiments that time networks: on this machine, which is not the papers'."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from facedet.evaluation.contenders import contender_of_preset
from facedet.files import replacing_table
from facedet.profiling.latency import measure_sizes, noise
from facedet.reproduce.counting import count_smallhardface
from facedet.reproduce.experiments import Outcome, Resources, Result

_RUNS = 7
_PROTOCOL = (
    "one square picture of noise, random weights; preparation, folded network and postprocessing, "
    f"medians of {_RUNS}, without reading and drawing"
)


def time_extd(resources: Resources, folder: Path) -> Outcome:
    """E11: pictures per second of EXTD-FPN-64 over picture sizes."""
    rows = _measure(["extd_fpn_64_prelu"], [280, 480, 640, 960, 1280], folder)
    results = [
        Result(f"{row['width']} px", f"{row['fps']:.1f} pictures per second") for row in rows
    ]
    return Outcome(results, _PROTOCOL, short_of="a Titan X, the paper's GPU", files=["times.csv"])


def time_smallhardface(resources: Resources, folder: Path) -> Outcome:
    """S10: SmallHardFace beside S3FD, and what both cost."""
    rows = _measure(["s3fd_vgg16", "smallhardface", "extd_fpn_64_prelu"], [320, 640], folder)
    results = count_smallhardface()
    results += [
        Result(
            f"{row['network']} at {row['width']} px",
            f"{row['network_ms']:.0f} ms, {row['ratio']:.2f} x S3FD's time",
        )
        for row in rows
    ]
    return Outcome(
        results, _PROTOCOL, label="counts only; the paper's times are a GPU's", files=["times.csv"]
    )


def _measure(presets: Sequence[str], sides: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Times presets at square sizes, the first being what the others are compared with."""
    contenders = [contender_of_preset(preset) for preset in presets]
    rows = measure_sizes(contenders, [noise((side, side)) for side in sides], _RUNS)
    with replacing_table(folder / "times.csv") as table:
        table.writerow(rows[0])
        table.writerows(row.values() for row in rows)
    return rows
