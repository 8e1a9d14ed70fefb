"""What the studies share: looking at the pictures once, scoring variants, writing the results."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from tqdm import tqdm

from facedet.commands.evaluate import make_pyramid, read_records
from facedet.config import build, plain
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.benchmarks import Benchmark, find_benchmark
from facedet.evaluation.detect import detect_records
from facedet.evaluation.provenance import flatten, picture_digest, require_same_run, run_stamp
from facedet.evaluation.pyramid_study import write_variants
from facedet.evaluation.scoring import metric_report, score_records
from facedet.evaluation.study_files import markdown, plot_bars, plot_lines, save_csv
from facedet.files import replacing
from facedet.inference.pyramid import Pyramid
from facedet.inference.raw_views import Looks, RawLooks
from facedet.structures import Detections, Record


class Pictures(NamedTuple):
    """Pictures that were looked at, and with what."""

    pyramid: Pyramid
    records: list[Record]
    stamp: dict[str, Any]  # what their detections depend on


class Scored(NamedTuple):
    """The numbers of one variant."""

    values: dict[str, float]  # by the benchmark's label, in 0 … 1
    detections: int
    measured: dict[str, Any]  # how the metric was computed, and on how many pictures


def raw_folder(config: DictConfig) -> Path:
    """Where a study's output folder keeps what the passes found."""
    return Path(str(config.paths.output)) / "raw"


def look_at_pictures(config: DictConfig) -> Pictures:
    """Runs every pass over every picture that is not in the output folder yet.

    Raises:
        FacedetError: weights, data or output are not as they should be; or pictures cannot be
            read, see `evaluation.detect_records`.
        UsageError: no weights are given, or the folder's detections belong to other settings.
    """
    if config.weights is None:
        raise UsageError("weights is not given: add weights=FILE")
    benchmark = _benchmark(config)
    pyramid, weights = make_pyramid(config)
    records, missing = read_records(config, benchmark)
    stamp = run_stamp(config, weights, records) | {"missing_pictures": missing}
    folder = raw_folder(config)
    require_same_run(folder / "settings.json", stamp, config.resume)
    looks = RawLooks(pyramid, folder, records)
    done = sum(looks.has(record.name) for record in records) if config.resume else 0
    if done:
        _say(f"{done:,} of {len(records):,} pictures were looked at before, in {folder}")
    detect_records(looks, records, folder, lambda _: looks, config.resume)
    return Pictures(pyramid, records, stamp)


def score_variants(
    config: DictConfig,
    pictures: Pictures,
    variants: Mapping[str, Callable[[Looks], Detections]],
) -> dict[str, Scored]:
    """The benchmark's numbers of each variant.

    As in `facedet evaluate`, what is scored are result files, whose numbers are rounded.

    Args:
        config: of the study.
        pictures: looked at.
        variants: by label, a picture's looks to its merged detections.
    """
    benchmark = _benchmark(config)
    layout = plain(config.protocol)["files"]
    names = [record.name for record in pictures.records]
    bar = tqdm(names, desc="merging", unit="picture", disable=None, leave=False)
    with tempfile.TemporaryDirectory(dir=config.paths.output, prefix=".files") as scratch:
        folders = {label: Path(scratch) / str(place) for place, label in enumerate(variants)}
        sinks = {label: benchmark.writer(folder, **layout) for label, folder in folders.items()}
        write_variants(raw_folder(config), bar, variants, sinks)
        return {
            label: _score(config, benchmark, pictures.records, benchmark.read_found(folder))
            for label, folder in folders.items()
        }


def score_files(
    config: DictConfig, limits: Sequence[float]
) -> tuple[dict[str, Scored], dict[str, Any]]:
    """The numbers of result files at each minimal score, and what the files depend on.

    The annotations alone are read, so no picture need be on disk. With data.images=present the
    pictures without a detection file are left out, otherwise their faces count as missed.

    Raises:
        FacedetError: the files or the annotations cannot be read, or have no picture in common.
    """
    benchmark = _benchmark(config)
    path = Path(str(config.detections)).expanduser()
    found = benchmark.read_found(path)
    datamodule = build(config.data)
    datamodule.prepare_data()
    records = benchmark.read_truth(datamodule.root)
    present = [record for record in records if record.name in found]
    if not present:
        raise FacedetError(f"{path}: none of its {len(found):,} pictures is in {datamodule.root}")
    missing = len(records) - len(present)
    if missing:
        is_partial = config.data.get("images") == "present"
        fate = "are left out" if is_partial else "count as missed: data.images=present leaves out"
        _say(f"the faces of {missing:,} of {len(records):,} pictures without a file {fate}")
        records = present if is_partial else records
    records = records[: config.limit]
    reports = {}
    for limit in limits:
        kept = {name: rows[rows[:, -1] >= limit] for name, rows in found.items()}
        reports[f"{limit:g}"] = _score(config, benchmark, records, kept)
    stamp = {"detections_of": str(path), "pictures_sha256": picture_digest(records)}
    return reports, stamp | {"limit": config.limit} | _beside(path)


def _beside(path: Path) -> dict[str, Any]:
    """What the run that made a folder of detections told of its weights and protocol."""
    told = path.parent / "metrics.json"
    if not told.is_file():
        return {"weights": {"file": path.name, "sha256": "unknown"}}
    try:
        report = json.loads(told.read_text(encoding="utf-8"))
        return {key: report[key] for key in ("protocol", "weights", "settings") if key in report}
    except (OSError, ValueError, TypeError) as error:
        raise FacedetError(f"{told} cannot be read: {error}") from error


def _score(
    config: DictConfig,
    benchmark: Benchmark,
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
) -> Scored:
    metric = score_records(build(config.protocol.metric), records, found, benchmark.feed)
    report = metric_report(metric, config.protocol.name)
    values = {row.label: row.value for row in benchmark.rows(metric, report)}
    measured = {key: report[key] for key in ("protocol", "images", "versions")}
    return Scored(values, report["detections"], measured | metric.settings())


def save_study(
    config: DictConfig,
    rows: Sequence[Mapping[str, Any]],
    reports: Mapping[str, Scored],
    stamp: Mapping[str, Any],
    legend: str,
) -> dict[str, Any]:
    """Writes the table and its picture, and prints the table.

    Args:
        config: of the study.
        rows: of the table; the first column names the variant.
        reports: of the variants.
        stamp: what the detections depend on.
        legend: what the columns mean.

    Returns:
        What `KIND.json` holds.
    """
    output, kind = Path(str(config.paths.output)), str(config.kind)
    first = next(iter(reports.values()))
    stamp = {**first.measured, **stamp}
    weights = stamp.get("weights") or {}
    file, digest = weights.get("file", "unknown"), weights.get("sha256", "unknown")
    told = f"protocol {stamp['protocol']}, {file}, {stamp['images']:,} pictures"
    report = {"study": kind, **stamp, "rows": list(rows)}
    with replacing(output / f"{kind}.json") as aside:
        aside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    names = {"protocol": stamp["protocol"], "weights": file, "weights_sha256": digest}
    save_csv(output / f"{kind}.csv", rows, names | {"images": stamp["images"]})
    flat = flatten({key: value for key, value in stamp.items() if key != "network"})
    settings = "\n".join(f"- {key}: {value}" for key, value in flat.items())
    with replacing(output / f"{kind}.md") as aside:
        text = f"# {told}\n\n{markdown(rows)}\n\n{legend[0].upper()}{legend[1:]}.\n\n{settings}\n"
        aside.write_text(text, encoding="utf-8")
    _draw(output / f"{kind}.png", kind, reports, f"{told}\nweights' SHA-256 {digest[:12]}")
    print(told, markdown(rows), legend, sep="\n")
    print(
        *(f"  {output / f'{kind}.{suffix}'}" for suffix in ("csv", "md", "png", "json")), sep="\n"
    )
    return report


def _draw(path: Path, kind: str, reports: Mapping[str, Scored], title: str) -> None:
    """Bars over names, or lines over minimal scores."""
    first = next(iter(reports.values()))
    series = {name: [one.values[name] for one in reports.values()] for name in first.values}
    if kind == "threshold":
        limits = [float(label) for label in reports]
        lines = {name: (limits, column) for name, column in series.items()}
        plot_lines(path, lines, ("minimal score", "AP"), title)
    else:
        plot_bars(path, list(reports), series, title)


def _benchmark(config: DictConfig) -> Benchmark:
    return find_benchmark(config.protocol.get("benchmark", "wider"))


def _say(text: str) -> None:
    print(f"facedet study: {text}", file=sys.stderr)
