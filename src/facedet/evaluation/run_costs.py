"""What the network behind a result costs, as far as its metrics.json tells which one it was."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from facedet.profiling.cost import measure_cost
from facedet.profiling.latency import network_latency
from facedet.weights.store import build_net, read_weights
from facedet.weights.trusted import build_untrusted

# (height, width) px: the size at which the papers count.
SIZE = (640, 640)


class RunCost(NamedTuple):
    """Cost of one image of `SIZE`."""

    parameters: int
    madds: int  # multiply-adds, every use of a convolution counted
    latency: float | None  # s, median of the folded network alone; None: not measured


def run_cost(
    name: str, folder: Path, report: Mapping[str, Any], with_latency: bool
) -> RunCost | None:
    """The cost of the network of a run; None where it cannot be known, which is said on stderr.

    Args:
        name: of the run, for messages.
        folder: its output folder.
        report: its metrics.json. "network" is the network's config; runs that recorded none may
            name their weights file, which is looked for at the place written down, in the folder,
            and in the current one.
        with_latency: time the network too; random weights take as long as trained ones.

    Raises:
        FacedetError: the config is none, or wants to build something else than a network.
    """
    if report.get("network"):
        net = build_untrusted(report["network"], f"{folder / 'metrics.json'}").eval()
    else:
        path = _find_weights(folder, report.get("weights"))
        if path is None:
            return None
        weights = read_weights(path)
        recorded = report["weights"].get("sha256")
        if weights.info["sha256"] != recorded:
            print(
                f"facedet compare: {name}: {path} is not the file of the run (SHA-256 "
                f"{weights.info['sha256'][:12]}, then {str(recorded)[:12]}): no cost is given",
                file=sys.stderr,
            )
            return None
        net = build_net(weights, path)
    cost = measure_cost(net, SIZE)
    latency = network_latency(net, SIZE).median if with_latency else None
    return RunCost(cost.parameters, cost.madds, latency)


def _find_weights(folder: Path, told: object) -> Path | None:
    """The weights file that a report names, where it is still to be found."""
    if not isinstance(told, dict):
        return None
    named = [Path(str(told[key])) for key in ("path", "file") if told.get(key)]
    places = [place for one in named for place in (one, folder / one.name)]
    return next((place for place in places if place.is_file()), None)
