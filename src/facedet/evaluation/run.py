"""`facedet evaluate`: weights, data and protocol to detections, numbers and curves."""

import logging
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from facedet.allocator import keep_freed_memory
from facedet.config import build, plain
from facedet.data.images import read_rgb
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.benchmarks import Benchmark
from facedet.evaluation.detect import detect_records, save_sheet
from facedet.evaluation.detection_files import to_detections
from facedet.evaluation.detection_writers import DetectionWriter
from facedet.evaluation.provenance import provenance, require_same_run
from facedet.evaluation.scoring import Scored, build_benchmark, score_records
from facedet.export.opening import Opened, open_detector
from facedet.files import replace_json, replacing
from facedet.inference.devices import find_device
from facedet.inference.pyramid import Pyramid
from facedet.plots import evenly
from facedet.structures import Record

_SHOWN = 12  # pictures on the sheet

log = logging.getLogger(__name__)


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Detects on every picture, scores the files written, and draws curves and a sheet.

    Of test pictures without annotations the files are zipped for the benchmark's server instead.

    Returns:
        What `metrics.json` holds.

    Raises:
        FacedetError: weights, data or output are not as they should be.
    """
    protocol = config.protocol
    layout = plain(config)["protocol"]["files"]  # says what is missing before anything is loaded
    keep_freed_memory()
    output = Path(str(config.paths.output))
    benchmark = build_benchmark(protocol)
    folder = output / "detections"
    writer = benchmark.writer(folder, **layout)
    device = find_device(config.device)
    opened = open_detector(
        config.weights, config.engine, config.device, config.threads, config.folded
    )
    pyramid = make_pyramid(config, opened)
    records, missing = read_records(config, benchmark)
    trained, given = (one.get("val_share") or 0 for one in (opened.weights.config, config.data))
    if config.split == "val" and given > trained > 0:
        log.warning(
            "data.val_share=%g: %s were trained with %g; if the data has no validation part, "
            "training pictures are measured", given, config.weights, trained,
        )  # fmt: skip
    made_with = provenance(config, opened.weights, records, str(device), opened.engine)
    require_same_run(output / "detections.json", made_with, config.resume)
    made_with |= {"split": config.split, "missing_pictures": missing}
    kept = output / "detections.notes"
    made_with |= detect_timed(pyramid, records, writer, config.resume, kept)
    if config.split == "test" and not any(len(record.boxes) for record in records):
        return save_submission(output, records, made_with)
    # Scored are the files, so that `facedet score` on them gives the same numbers.
    found = benchmark.read_detections(folder)
    scored = score_records(protocol, benchmark, records, found)
    scored.report.update(made_with)
    title = f"{protocol.name}, {opened.weights.info['file']}, {scored.report['images']} pictures"
    scored.save(output, title + ("" if config.split == "val" else f" of {config.split}"))
    shown = evenly(records, _SHOWN)
    save_sheet(output / "sheet.png", shown, found)
    print(f"protocol {protocol.name}: {benchmark.describe(scored.metric)[0]}")
    print(*scored.table(), sep="\n")
    print(f"  {scored.metric.images:,} images, {scored.metric.detections:,} detections")
    for name in ("metrics.json", benchmark.picture, "sheet.png", "detections"):
        print(f"  {output / name}")
    if others := len(found.keys() - {record.name for record in records}):
        print(f"  {others:,} files in detections are of other pictures: an earlier run's")
    if missing:
        print(f"  without {missing:,} pictures that are not on disk")
    if config.get("logger"):
        log_report(config, scored, shown, found)
    return scored.report


def detect_timed(
    pyramid: Pyramid, records: Sequence[Record], writer: DetectionWriter, resume: bool, kept: Path
) -> dict[str, Any]:
    """`detect_records`, and what metrics.json says of it: the speed is that of now."""
    number = len(records) - (sum(writer.has(record.name) for record in records) if resume else 0)
    began = time.perf_counter()
    notes = detect_records(pyramid, records, writer, resume, kept)
    seconds = time.perf_counter() - began
    return {"pictures_per_second": round(number / seconds, 2) if number else None, "notes": notes}


def save_submission(
    output: Path, records: Sequence[Record], made_with: Mapping[str, Any]
) -> dict[str, Any]:
    """Packs output/detections into submission.zip: EVENT/IMAGE.txt at its top, as WIDER FACE asks.

    Returns what metrics.json holds.
    """
    with (
        replacing(output / "submission.zip") as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in (f"{record.name}.txt" for record in records):
            archive.write(output / "detections" / name, name)
    report = {**made_with, "images": len(records)}
    replace_json(output / "metrics.json", report)
    print(f"  {len(records):,} test pictures, whose annotations are not published")
    print(f"  {output / 'submission.zip'}")
    return report


def log_report(
    config: DictConfig, scored: Scored, records: Sequence[Record], found: Mapping[str, np.ndarray]
) -> None:
    """Sends the numbers, the curves and what was found in some pictures to the config's loggers."""
    from facedet.callbacks.image_log import Picture, panel_loggers
    from facedet.training.description import describe_job
    from facedet.training.trainer import build_loggers

    numbers = {key: value for key, value in scored.report.items() if "/" in key}
    built = build_loggers(config.logger)
    for logger in built if isinstance(built, list) else [built]:
        if hasattr(logger, "describe"):
            logger.describe(**describe_job(Path(str(config.paths.output))))
        logger.log_hyperparams(plain(config))
        logger.log_metrics(numbers, step=0)
        if panel_loggers([logger]):
            pictures = [
                Picture(
                    record.name,
                    read_rgb(record.path, record.upright),
                    torch.from_numpy(record.boxes),
                    to_detections(found.get(record.name, np.zeros((0, 5)))[:, :5]),
                )
                for record in records
            ]
            logger.log_pictures("evaluation/pictures", pictures, 0)
            curves = scored.benchmark.precision_recall(scored.metric)
            logger.log_curves("evaluation/curves", curves, 0)
        logger.finalize("success")
        if hasattr(logger, "end_run"):
            logger.end_run(is_failed=False)


def read_records(config: DictConfig, benchmark: Benchmark) -> tuple[list[Record], int]:
    """The pictures of the config's split, and how many are not on disk."""
    limit = config.limit  # null: all
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: expected a number of pictures above 0")
    datamodule = build(config.data)
    datamodule.prepare_data()
    reading = datamodule.whole(config.split)
    records = reading.records[:limit]
    if not records:
        raise FacedetError(f"{datamodule.root}: no pictures to evaluate")
    benchmark.require(records, datamodule.root, config.split)
    return records, reading.counts.get("missing_images", 0)


def make_pyramid(config: DictConfig, opened: Opened) -> Pyramid:
    """The protocol's pyramid over an opened network.

    Raises `UsageError` where a value of the protocol is wrong, or an exported network leaves out
    faces that the protocol counts.
    """
    protocol = config.protocol
    postprocess = build(protocol.postprocess)(box_coder=opened.box_coder)
    least = opened.about.least_score
    if postprocess.score < least:
        raise UsageError(
            f"{config.weights}: leaves out faces below {least:g} itself, the protocol "
            f"counts them from {postprocess.score:g}: export it --decoded or with a lower --score"
        )
    return Pyramid(
        opened.net,
        postprocess,
        build(protocol.scales),
        build(protocol.merge),
        protocol.pixel_budget,
        protocol.on_large,
    )
