"""Experiments that train: grids of short trainings, and the shipped weights once more."""

import statistics
from collections.abc import Mapping, Sequence

import torch

from facedet.config import literal
from facedet.errors import FacedetError
from facedet.reproduce.experiments import Judged, Outcome, Run
from facedet.reproduce.measure import evaluate_weights
from facedet.sweeps.listing import read_sweep_folder
from facedet.sweeps.statistics import Job
from facedet.weights.store import read_weights

_BUDGET = "short"
_SUBSETS = ("wider/easy", "wider/medium", "wider/hard")
_IMAGES = 100  # of the embedded crowds

Cell = Mapping[str, object]  # settings that jobs have in common


def sweep(
    run: Run,
    name: str,
    overrides: Sequence[str] = (),
    orders: Mapping[str, Sequence[Cell]] | None = None,
    margins: Mapping[str, Sequence[Cell]] | None = None,
    subsets: Sequence[str] = _SUBSETS,
) -> Outcome:
    """E7, E8, S7, S8, S12: a sweep of short trainings, read for the order of its results.

    Args:
        run: for the sweep's folder.
        name: of the sweep.
        overrides: settings of all jobs.
        orders: claims that the jobs of the first cell are better in the mean than each other one's.
        margins: claims that the first cell is further above the second than the third above the
            fourth.
        subsets: metrics whose mean a job is compared by.

    Raises:
        FacedetError: a job has not finished, or a cell has no job.
    """
    folder = run.folder / "sweep"
    run.call("sweep", name, f"budget={_BUDGET}", *overrides, "--dir", str(folder))
    run.call("sweep report", str(folder))
    jobs = [job for job in read_sweep_folder(folder).jobs if job.state == "finished"]
    values: dict[str, float | int | str | Judged] = {}
    for claim, cells in (orders or {}).items():
        first, *others = (_mean(jobs, cell, subsets) for cell in cells)
        shown = " and ".join(f"{value:.3f}" for value in (first, *others))
        values[claim] = Judged(shown, all(first > value for value in others))
    for claim, cells in (margins or {}).items():
        means = [_mean(jobs, cell, subsets) for cell in cells]
        one, other = means[0] - means[1], means[2] - means[3]
        values[claim] = Judged(f"{one:+.3f} and {other:+.3f}", one > other)
    for job in jobs:
        settings = ", ".join(f"{key}={value}" for key, value in sorted(job.overrides.items()))
        values[settings] = " / ".join(f"{job.metrics[key]:.3f}" for key in _SUBSETS)
    return Outcome(values, _IMAGES, files=["sweep/report.md"])


def shipped(run: Run, networks: Mapping[str, Sequence[str]]) -> Outcome:
    """The shipped networks, trained again; the files are the same on the same kind of machine.

    Args:
        run: with WIDER FACE.
        networks: by name, the experiments of the training; each starts from the weights of the
            one before.

    Raises:
        FacedetError: a training did not end well; the next run resumes it.
    """
    root, values, expected = run.resources["wider"], {}, {}
    threads = torch.get_num_threads()
    # Sums in another order round differently, and a training carries that on.
    torch.set_num_threads(1)
    try:
        for name, parts in networks.items():
            start: list[str] = []
            for part in parts:
                folder = run.folder / name / part
                weights = folder / "weights.safetensors"
                # A finished part is not trained further: its last step is the schedule's.
                if not weights.is_file():
                    words = [f"preset={name.replace('-', '_')}", f"experiment={part}", *start]
                    places = [literal("data.root", root), literal("paths.output", folder)]
                    run.call("train", *words, "ckpt_path=auto", *places)
                start = [literal("weights", weights)]
            key = f"{name}, SHA-256"
            values[key] = read_weights(weights).info["sha256"][:12]
            expected[key] = (read_weights(name).info["sha256"][:12], "the shipped file")
            place = run.folder / name / "evaluation"
            report = evaluate_weights(root, weights, "wider_single", place)
            values |= {f"{name}, {metric}": f"{report[metric]:.4f}" for metric in _SUBSETS}
    finally:
        torch.set_num_threads(threads)
    is_same = all(values[key] == one[0] for key, one in expected.items())
    reason = "" if is_same else "a machine whose arithmetic rounds as that of the shipped files"
    return Outcome(values, report["images"], "those trained here", reason, expected=expected)


def _mean(jobs: Sequence[Job], cell: Cell, subsets: Sequence[str]) -> float:
    """Mean AP of the jobs that have all settings of a cell."""
    settings = {key: str(value) for key, value in cell.items()}
    chosen = [job for job in jobs if settings.items() <= job.overrides.items()]
    if not chosen:
        raise FacedetError(f"the sweep has no finished job of {settings}")
    return statistics.fmean(job.metrics[key] for job in chosen for key in subsets)
