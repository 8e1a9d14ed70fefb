"""Experiments that train: grids of short trainings, and the shipped weights once more."""

import math
import statistics
from collections.abc import Mapping, Sequence

import torch

from facedet.config import literal
from facedet.errors import FacedetError
from facedet.reproduce.experiments import Judged, Outcome, Run
from facedet.reproduce.measure import evaluate_weights
from facedet.sweeps.listing import read_sweep_folder
from facedet.sweeps.statistics import SEED, Job
from facedet.tables import counted
from facedet.weights.store import read_weights

# AP below which a network has learnt nothing that could be compared.
_LEARNT = 0.05
_CONFIDENCE = 0.95
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
        orders: claims that the first cell is better than each other one.
        margins: claims that the first cell is further above the second than the third above the
            fourth.
        subsets: metrics whose mean a job is compared by.

    A claim holds where the difference, paired over the seeds, is above 0 with all of its interval
    of 95 % (Student's t); it is undecided where the interval reaches 0, and not judged where a
    cell's mean AP says that its networks have learnt nothing.

    Raises:
        FacedetError: a job has not finished, or a cell has no job.
    """
    folder = run.folder / "sweep"
    seeds = ",".join(str(seed) for seed in range(run.seeds))
    words = [f"budget={run.budget}", f"seed={seeds}", *overrides]
    run.call("sweep", name, *words, "--dir", str(folder))
    run.call("sweep report", str(folder))
    jobs = [job for job in read_sweep_folder(folder).jobs if job.state == "finished"]
    values: dict[str, float | int | str | Judged] = {}
    for claim, cells in (orders or {}).items():
        first, *others = (_by_seed(jobs, cell, subsets) for cell in cells)
        values[claim] = _judged([(first, other) for other in others])
    for claim, cells in (margins or {}).items():
        values[claim] = _judged([tuple(_by_seed(jobs, cell, subsets) for cell in cells)])
    for job in jobs:
        settings = ", ".join(f"{key}={value}" for key, value in sorted(job.overrides.items()))
        values[settings] = " / ".join(f"{job.metrics[key]:.3f}" for key in _SUBSETS)
    trained = f"those trained here (budget {run.budget}, {run.seeds} seeds)"
    return Outcome(values, _IMAGES, trained, files=["sweep/report.md"])


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


def _by_seed(jobs: Sequence[Job], cell: Cell, subsets: Sequence[str]) -> dict[str, float]:
    """Mean AP of the jobs that have all settings of a cell, for each seed."""
    settings = {key: str(value) for key, value in cell.items()}
    found: dict[str, list[float]] = {}
    for job in jobs:
        if settings.items() <= job.overrides.items():
            values = [job.metrics[key] for key in subsets]
            found.setdefault(job.overrides.get(SEED, ""), []).extend(values)
    if not found:
        raise FacedetError(f"the sweep has no finished job of {settings}")
    return {seed: statistics.fmean(values) for seed, values in found.items()}


def _judged(claims: Sequence[Sequence[Mapping[str, float]]]) -> Judged:
    """Judges differences of two cells, or differences of differences of four, by their seeds."""
    shown, bounds = [], []
    for cells in claims:
        seeds = sorted(set.intersection(*(set(cell) for cell in cells)))
        signs = (1, -1) if len(cells) == 2 else (1, -1, -1, 1)
        pairs = [
            sum(sign * cell[seed] for sign, cell in zip(signs, cells, strict=True))
            for seed in seeds
        ]
        mean, half = _interval(pairs)
        means = ", ".join(f"{statistics.fmean(cell.values()):.3f}" for cell in cells)
        shown.append(f"{mean:+.3f} ± {half:.3f} ({means}; {counted(len(pairs), 'seed')})")
        bounds.append((mean - half, mean + half))
    text = " and ".join(shown)
    least = min(statistics.fmean(cell.values()) for cells in claims for cell in cells)
    if least < _LEARNT:
        return Judged(text, None, f"not run: nothing learnt (AP {least:.3f})")
    if all(low > 0 for low, _ in bounds):
        return Judged(text, True)
    if any(high < 0 for _, high in bounds):
        return Judged(text, False)
    return Judged(text, None, f"undecided: difference {text}")


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its interval by Student's t; infinite below two values.

    >>> [round(one, 3) for one in _interval([1.0, 2.0, 3.0])]  # 4.303 / sqrt(3)
    [2.0, 2.484]
    """
    from scipy.stats import t

    if not values:
        return math.nan, math.inf
    mean, number = statistics.fmean(values), len(values)
    if number == 1:
        return mean, math.inf
    factor = float(t.ppf((1 + _CONFIDENCE) / 2, number - 1))
    return mean, factor * statistics.stdev(values) / math.sqrt(number)
