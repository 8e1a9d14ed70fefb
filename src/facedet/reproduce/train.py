"""Experiments that train: grids of short trainings, and the shipped weights once more."""

import math
import shutil
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from facedet.config import literal
from facedet.errors import FacedetError
from facedet.files import new_folder, replace_json
from facedet.reproduce.experiments import Judged, Outcome, Run
from facedet.reproduce.measure import evaluate_weights
from facedet.sweeps.jobs import read_record
from facedet.sweeps.plan import PlannedJob, planned_jobs, read_sweep
from facedet.sweeps.results import SEED, Job, read_job
from facedet.tables import counted
from facedet.weights.store import read_weights

# AP below which a network has learnt nothing that could be compared.
_LEARNT = 0.05
_CONFIDENCE = 0.95
_SUBSETS = ("wider/easy", "wider/medium", "wider/hard")
_TEACHER = "callbacks.distillation.teacher.weights"
# Validation pictures of a reduced training on the embedded crowds, and on WIDER FACE: the first
# that are there, once, at the end.
_IMAGES = {"smoke": (10, 10), "short": (100, 60)}
_WIDER = (
    "data=wider", "data.images=present", "data.num_workers=0", "augmentation.anchor_sampling=0.5",
    "trainer.val_check_interval=${trainer.max_steps}",
)  # fmt: skip

Cell = Mapping[str, object]  # settings that jobs have in common


def sweep(
    run: Run,
    name: str,
    overrides: Sequence[str] = (),
    reduced: Mapping[str, Sequence[str]] | None = None,
    claims: Mapping[str, Mapping[str, Any]] | None = None,
) -> Outcome:
    """E7, E8, S7, S8, S12: a sweep of trainings, read for the order of its results.

    A budget below `paper` trains on WIDER FACE's pictures where they were found, else on the
    embedded crowds. A job that has finished in another sweep's folder is used, see `reuse_jobs`.
    All jobs get the settings `overrides`, and those that `reduced` has for the budget; `claims`
    has by their words the arguments of `judge_claim`.
    """
    folder = run.folder / "sweep"
    crowds, pictures = _IMAGES.get(run.budget, (None, None))
    is_wider = pictures is not None and "wider" in run.resources
    words = [f"budget={run.budget}", f"seed={','.join(map(str, range(run.seeds)))}", *overrides]
    words += (reduced or {}).get(run.budget, ())
    if is_wider:
        words += [*_WIDER, literal("data.root", run.resources["wider"])]
        words += [f"trainer.limit_val_batches={pictures}"]
    planned = planned_jobs(read_sweep(name, words))
    if reused := reuse_jobs(folder, planned, run.places):
        print(f"{folder}: {counted(reused, 'job')} of {len(planned)} had finished elsewhere")
    run.call("sweep", name, *words, "--dir", str(folder))
    run.call("sweep report", str(folder))
    # A budget or number of seeds that was run before left jobs of its own there.
    jobs = [read_job(folder / "jobs" / job.hash) for job in planned]
    jobs = [job for job in jobs if job.state == "finished"]
    values: dict[str, float | int | str | Judged] = {
        claim: judge_claim(jobs, **arguments) for claim, arguments in (claims or {}).items()
    }
    for job in jobs:
        settings = ", ".join(f"{key}={value}" for key, value in sorted(job.overrides.items()))
        values[settings] = " / ".join(f"{job.metrics[key]:.3f}" for key in _SUBSETS)
    trained = f"those trained here (budget {run.budget}, {run.seeds} seeds)"
    return Outcome(values, pictures if is_wider else crowds, trained, files=["sweep/report.md"])


def reuse_jobs(folder: Path, planned: Sequence[PlannedJob], places: Sequence[Path]) -> int:
    """Copies into a sweep's folder the jobs that have finished in another one; returns how many.

    A job is known by the hash of all settings that decide what it computes; so one row's jobs
    serve another row, and those of `facedet sweep` every row. The `places` are folders of sweeps,
    or hold such folders one or two levels below.
    """
    reused = 0
    for job in planned:
        place = folder / "jobs" / job.hash
        if place.is_dir():
            continue
        patterns = [f"{depth}jobs/{job.hash}" for depth in ("", "*/", "*/*/")]
        found = [path for root in places for pattern in patterns for path in root.glob(pattern)]
        if source := next((path for path in found if read_job(path).state == "finished"), None):
            with new_folder(place) as aside:
                shutil.copytree(
                    source, aside, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoints")
                )
                # In its sweep other settings may have varied.
                replace_json(aside / "job.json", read_record(aside) | {"overrides": job.settings})
            reused += 1
    return reused


def shipped(
    run: Run,
    networks: Mapping[str, Sequence[str]],
    teachers: Mapping[str, str],
    seeds: Mapping[str, Mapping[str, Sequence[int]]],
) -> Outcome:
    """The shipped networks, trained again; the files are the same on the same kind of machine.

    `networks` has by name the experiments of the training; each starts from the weights of the one
    before. `teachers` has by experiment the resource whose answers it learns from. `seeds` has by
    network and experiment those of several trainings, whose mean is taken.
    """
    root, values, expected = run.resources["wider"], {}, {}
    threads = torch.get_num_threads()
    # Sums in another order round differently, and a training carries that on.
    torch.set_num_threads(1)
    try:
        for name, parts in networks.items():
            words = [f"preset={name.replace('-', '_')}", literal("data.root", root)]
            start: list[str] = []
            for part in parts:
                folder, chosen = run.folder / name / part, [*words, f"experiment={part}", *start]
                if teacher := teachers.get(part):
                    chosen += [literal(_TEACHER, run.resources[teacher])]
                weights = _train(run, folder, chosen, seeds.get(name, {}).get(part, ()))
                start = [literal("weights", weights)]
            key = f"{name}, SHA-256"
            values[key] = read_weights(weights).info["sha256"][:12]
            expected[key] = (read_weights(name).info["sha256"][:12], "the shipped file")
            place = run.folder / name / "evaluation"
            report = evaluate_weights(run._replace(limit=None), weights, "wider_single", place)
            values |= {f"{name}, {metric}": f"{report[metric]:.4f}" for metric in _SUBSETS}
    finally:
        torch.set_num_threads(threads)
    is_same = all(values[key] == one[0] for key, one in expected.items())
    reason = "" if is_same else "a machine whose arithmetic rounds as that of the shipped files"
    return Outcome(values, report["images"], "those trained here", reason, expected=expected)


def _train(run: Run, folder: Path, words: Sequence[str], seeds: Sequence[int] = ()) -> Path:
    """Weights of a training in the folder, or the mean of one for each seed in folders below it."""
    weights = folder / "weights.safetensors"
    # What has finished is not trained further: its last step is the schedule's.
    if weights.is_file():
        return weights
    if seeds:
        each = [_train(run, folder / f"seed_{one}", [*words, f"seed={one}"]) for one in seeds]
        run.call("weights", "average", *map(str, each), str(weights))
    else:
        run.call("train", *words, "ckpt_path=auto", literal("paths.output", folder))
    return weights


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


def judge_claim(
    jobs: Sequence[Job],
    cells: Sequence[Cell],
    is_margin: bool = False,
    slack: float = 0.0,
    subsets: Sequence[str] = _SUBSETS,
) -> Judged:
    """Judges by the seeds whether the first cell is better than each other one.

    It holds where the difference, paired over the seeds, is above 0 with all of its interval of
    95 % (Student's t), and is contradicted where it is below 0 with all of it; it is undecided
    where the interval reaches 0, and not judged where a cell's mean AP says that its networks have
    learnt nothing.

    Args:
        jobs: finished ones.
        cells: the settings of each.
        is_margin: of four cells, that the first is further above the second than the third above
            the fourth.
        slack: how much less still counts as comparable.
        subsets: metrics whose mean a job is compared by.

    Raises:
        FacedetError: a cell has no job.
    """
    values = [_by_seed(jobs, cell, subsets) for cell in cells]
    pairs = [values] if is_margin else [[values[0], other] for other in values[1:]]
    shown, bounds = [], []
    for compared in pairs:
        mean, half, number = _difference(compared)
        means = ", ".join(f"{statistics.fmean(cell.values()):.3f}" for cell in compared)
        shown.append(f"{mean:+.3f} ± {half:.3f} ({means}; {counted(number, 'seed')})")
        bounds.append((mean - half + slack, mean + half + slack))
    text = " and ".join(shown)
    least = min(statistics.fmean(cell.values()) for cell in values)
    if least < _LEARNT:
        return Judged(text, None, f"not run: nothing learnt (AP {least:.3f})")
    if all(low > 0 for low, _ in bounds):
        return Judged(text, True)
    if any(high < 0 for _, high in bounds):
        return Judged(text, False)
    return Judged(text, None, f"undecided: difference {text}")


def _difference(cells: Sequence[Mapping[str, float]]) -> tuple[float, float, int]:
    """Of two cells, or of the differences of four: mean, half its interval, number of seeds."""
    from scipy.stats import sem, t

    signs = (1, -1) if len(cells) == 2 else (1, -1, -1, 1)
    pairs = [
        sum(sign * cell[seed] for sign, cell in zip(signs, cells, strict=True))
        for seed in sorted(set.intersection(*map(set, cells)))
    ]
    number = len(pairs)
    if number < 2:
        return (pairs or [math.nan])[0], math.inf, number
    half = t.ppf((1 + _CONFIDENCE) / 2, number - 1) * sem(pairs)
    return statistics.fmean(pairs), float(half), number
