"""`facedet evaluate`: weights, data and protocol to detections, metrics and curves."""

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from facedet.config import CONF_DIR, build, plain
from facedet.errors import FacedetError, UsageError
from facedet.training.hydra_app import add_hydra_arguments, run_app, run_job

if TYPE_CHECKING:
    from facedet.evaluation.benchmarks import Benchmark
    from facedet.inference.pyramid import Pyramid
    from facedet.structures import Record
    from facedet.weights.store import Weights

HELP = """Measure weights on a data set by a benchmark's protocol. Settings are keys of the config:
  weights=NAME | FILE   a name of `facedet weights list`, a weights file, or a checkpoint
  data=crowds | wider   embedded data, or WIDER FACE under data.root=PATH
  data.images=present   use the pictures that are there if some are missing
  split=train           the training pictures, to choose a score on; every face counts, as "all"
  protocol=wider        multi-scale, mirrored, box voting: as EXTD was published
  protocol=wider_single one pass at the original size
  protocol=wider_shf    five sizes, mirrored, box voting: as SmallHardFace was published
The output folder (paths.output) gets metrics.json, the detections as official txt files,
precision-recall curves and a sheet of pictures with found and missed faces."""
EXAMPLE = """example:
  facedet evaluate weights=extd64.safetensors data=wider data.root=/data/wider protocol=wider"""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_hydra_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Hands over to Hydra."""
    return run_app(main, "evaluate", args)


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="evaluate")
def main(config: DictConfig) -> None:
    """Evaluates what `config` describes."""
    run_job(evaluate, config)


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Detects on every picture, scores the files written, and draws curves and a sheet.

    Returns:
        What `metrics.json` holds.

    Raises:
        FacedetError: weights, data or output are not as they should be.
    """
    plain(config)  # says what is missing before anything is loaded
    check_limit(config.limit)
    from facedet.allocator import keep_freed_memory
    from facedet.evaluation.benchmarks import find_benchmark
    from facedet.evaluation.detect import detect_records, save_sheet
    from facedet.evaluation.provenance import require_same_run, run_stamp
    from facedet.evaluation.scoring import metric_report, save_report, score_records, table

    keep_freed_memory()
    settings = plain(config.protocol)
    benchmark = find_benchmark(settings.get("benchmark", "wider"))
    output = Path(str(config.paths.output))
    pyramid, weights = make_pyramid(config)
    records, missing = read_records(config, benchmark, config.split)
    began = time.perf_counter()
    folder = output / "detections"
    stamp = run_stamp(config, weights, records)
    require_same_run(output / "detections.json", stamp, config.resume)
    notes = detect_records(
        pyramid, records, folder, benchmark.writer, config.resume, **settings["files"]
    )
    seconds = time.perf_counter() - began
    # Scored are the files, so that `facedet score` on them gives the same numbers.
    found = benchmark.read_found(folder)
    metric = build(config.protocol.metric, **benchmark.given(records))
    score_records(metric, records, found, benchmark.feed)
    report = metric_report(metric, config.protocol.name) | {
        **stamp,
        "split": config.split,
        "missing_pictures": missing,
        "pictures_per_second": round(len(records) / seconds, 2),
        "notes": notes,
    }
    title = f"{config.protocol.name}, {weights.info['file']}, {report['images']} pictures"
    title += "" if config.split == "val" else f" of {config.split}"
    save_report(output, report, benchmark.columns(metric))
    benchmark.draw(output / benchmark.picture, metric, report, title)
    save_sheet(output / "sheet.png", records, found)
    files = ("metrics.json", benchmark.picture, "sheet.png", "detections")
    numbers = table(report, benchmark.describe(metric)[0], benchmark.rows(metric, report))
    print(numbers, *(f"  {output / name}" for name in files), sep="\n")
    strange = len(found.keys() - {record.name for record in records})
    if strange:
        print(f"  {strange:,} files in detections are of other pictures: an earlier run's")
    if missing:
        print(f"  without {missing:,} pictures that are not on disk")
    return report


def check_limit(limit: object) -> None:
    """Refuses a number of pictures that is none; None stands for all."""
    if limit is not None and (type(limit) is not int or limit < 1):
        raise UsageError(f"limit={limit}: a number of pictures above 0 is wanted")


def read_records(
    config: DictConfig, benchmark: "Benchmark", split: str = "val"
) -> "tuple[list[Record], int]":
    """The pictures that a config means, and how many of the split are not on disk.

    Args:
        config: with data, limit and command.
        benchmark: that they will be scored by.
        split: of the data set.

    Raises:
        FacedetError: there are none, or they cannot be scored.
    """
    datamodule = build(config.data)
    datamodule.prepare_data()
    reading = datamodule.whole(split)
    records = reading.records[: config.limit]
    if not records:
        raise FacedetError(f"{datamodule.root}: no pictures to {config.command}")
    benchmark.require(records, datamodule.root, split)
    return records, reading.counts.get("missing_images", 0)


def make_pyramid(config: DictConfig) -> "tuple[Pyramid, Weights]":
    """The protocol's pyramid over the network of the weights, and the weights.

    Args:
        config: with weights, protocol, folded and device.

    Raises:
        FacedetError: the weights or the device cannot be used.
        UsageError: a value of the protocol is wrong.
    """
    from facedet.api import find_device
    from facedet.inference.pyramid import Pyramid
    from facedet.models.folding import fold
    from facedet.weights.store import build_coder, build_net, read_weights

    weights = read_weights(config.weights)
    net = build_net(weights, config.weights)
    coder = build_coder(weights, config.weights)
    protocol = config.protocol
    try:
        pyramid = Pyramid(
            (fold(net) if config.folded else net).to(find_device(config.device)),
            build(protocol.postprocess)(box_coder=coder),
            build(protocol.scales),
            build(protocol.merge),
            protocol.pixel_budget,
            protocol.on_large,
        )
    except ValueError as error:
        raise UsageError(f"protocol: {error}") from error
    return pyramid, weights
