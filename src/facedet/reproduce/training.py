"""Experiments that train: grids of short trainings, read for the order of their results."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from facedet.errors import FacedetError
from facedet.reproduce.experiments import PAPER, Outcome, Resources, Result
from facedet.sweeps.reading import read_sweep
from facedet.sweeps.statistics import Job

_BUDGET = "short"
_LABEL = "short training"
_PROTOCOL = "wider_single on the embedded crowds, mean of easy, medium and hard; budget short"
_IMAGES = 100
_SUBSETS = ("wider/easy", "wider/medium", "wider/hard")


def train_cells(resources: Resources, folder: Path) -> Outcome:
    """E7: EXTD's 18 models, and the orders that the paper states."""
    jobs = run_sweep("extd_grid", folder)
    results = [
        _order(
            jobs, f"FPN above SSD at width {width}", "preset", "extd_fpn", "extd_ssd", str(width)
        )
        for width in (32, 48, 64)
    ]
    key = "backbone.activation"
    results.append(_order(jobs, "PReLU above Leaky-ReLU", key, "prelu", "leaky_relu"))
    margins = [
        _mean(jobs, {"preset": preset, key: "prelu"})
        - _mean(jobs, {"preset": preset, key: "leaky_relu"})
        for preset in ("extd_ssd", "extd_fpn")
    ]
    results.append(
        Result(
            "PReLU's margin, SSD above FPN",
            f"{margins[0]:+.3f} and {margins[1]:+.3f}",
            "SSD's is larger",
            PAPER,
            margins[0] > margins[1],
        )
    )
    return _outcome(results, jobs)


def train_baselines(resources: Resources, folder: Path) -> Outcome:
    """E8: EXTD beside S3FD on MobileFaceNet."""
    jobs = run_sweep("extd_baselines", folder)
    hard = {
        name: _mean(jobs, {"preset": name}, _SUBSETS[2:])
        for name in ("extd_fpn_64_prelu", "extd_ssd_64_prelu", "s3fd_mobilefacenet")
    }
    ours = ", ".join(f"{name} {value:.3f}" for name, value in hard.items())
    best = hard["extd_fpn_64_prelu"] > hard["s3fd_mobilefacenet"]
    return _outcome([Result("AP on hard faces", ours, "EXTD's is higher", PAPER, best)], jobs)


def train_levels(resources: Resources, folder: Path) -> Outcome:
    """S7: SmallHardFace's one map beside three."""
    jobs = run_sweep("shf_ablation", folder, "mining=none")
    one, three = "smallhardface_plain", "smallhardface_three_level"
    return _outcome([_order(jobs, "one map above three", "preset", one, three)], jobs)


def train_parts(resources: Resources, folder: Path) -> Outcome:
    """S8: hard image mining and the dilated head, one by one and together."""
    jobs = run_sweep("shf_ablation", folder, "preset=smallhardface_plain,smallhardface")
    names = {"none": "without", "him": "with mining"}
    values = {
        (preset, mining): _mean(jobs, {"preset": preset, "mining": mining})
        for preset in ("smallhardface_plain", "smallhardface")
        for mining in names
    }
    base = values["smallhardface_plain", "none"]
    labels = {
        ("smallhardface_plain", "him"): "mining helps",
        ("smallhardface", "none"): "the dilated head helps",
    }
    results = [
        Result(label, f"{values[cell] - base:+.3f}", "better", PAPER, values[cell] > base)
        for cell, label in labels.items()
    ]
    both = values["smallhardface", "him"]
    is_best = both == max(values.values())
    results.append(Result("together the best", f"{both:.3f}", "the best", PAPER, is_best))
    return _outcome(results, jobs)


def train_mining(resources: Resources, folder: Path) -> Outcome:
    """S12: hard image mining's threshold and probability; the release has 0.85 and 0.7."""
    jobs = run_sweep("shf_mining", folder)
    results = [
        Result(
            f"threshold {job.overrides['mining.threshold']}, "
            f"probability {job.overrides['mining.probability']}",
            f"{_value(job, _SUBSETS):.3f}",
        )
        for job in jobs
    ]
    return _outcome(results, jobs)


def run_sweep(name: str, folder: Path, *overrides: str) -> list[Job]:
    """Runs a sweep of short trainings, or goes on with it; returns its jobs.

    Raises:
        FacedetError: a job has not finished.
    """
    from facedet.cli import main

    place = folder / "sweep"
    code = main(["sweep", name, f"budget={_BUDGET}", *overrides, "--dir", str(place)])
    if code:
        raise FacedetError(f"{place}: the sweep {name} ended with {code}; the same command goes on")
    main(["sweep", "report", str(place)])
    return [job for job in read_sweep(place).jobs if job.state == "finished"]


def _outcome(results: list[Result], jobs: Sequence[Job]) -> Outcome:
    values = [
        Result(
            ", ".join(f"{key}={value}" for key, value in sorted(job.overrides.items())),
            " / ".join(f"{job.metrics[key]:.3f}" for key in _SUBSETS),
        )
        for job in jobs
    ]
    label = f"{_LABEL}, {len(jobs)} jobs, one seed"
    return Outcome(results + values, _PROTOCOL, _IMAGES, label=label, files=["sweep/report.md"])


def _order(
    jobs: Sequence[Job], name: str, key: str, above: str, below: str, width: str | None = None
) -> Result:
    """Whether jobs of one value are better in the mean than those of another."""
    fixed = {} if width is None else {"backbone.width": width}
    first, second = (_mean(jobs, {key: value, **fixed}) for value in (above, below))
    return Result(name, f"{first:.3f} and {second:.3f}", "higher", PAPER, first > second)


def _mean(jobs: Sequence[Job], wanted: dict[str, str], subsets: Sequence[str] = _SUBSETS) -> float:
    """Mean AP of the jobs that have all of the settings.

    Raises:
        FacedetError: there is none.
    """
    chosen = [job for job in jobs if wanted.items() <= job.overrides.items()]
    if not chosen:
        raise FacedetError(f"the sweep has no job of {wanted}")
    return statistics.fmean(_value(job, subsets) for job in chosen)


def _value(job: Job, subsets: Sequence[str]) -> float:
    return statistics.fmean(job.metrics[key] for key in subsets)
