"""What a number depends on, written next to it, and how two numbers differ in it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from facedet.config import describe, differences, flat_with_classes, plain
from facedet.errors import FacedetError, UsageError
from facedet.files import expand_home, replace_json
from facedet.structures import Record
from facedet.weights.store import Weights

# What the published curves on WIDER FACE val were computed with, as far as it is known: the
# official toolbox on all pictures. Test scales and merging were each author's own.
PUBLISHED_WIDER = {"images": 3226, "iou": 0.5, "thresholds": 1000, "integer_quirk": True}
# Likewise those on FDDB.
PUBLISHED_FDDB = {"images": 2845, "similarity": 0.5, "ellipses": "masks"}

# Keys of metrics.json, and of the protocol in its "settings", that two results must share.
_MEASURED = ("protocol", "images", "pictures_sha256", "iou", "thresholds", "integer_quirk",
             "similarity", "ellipses", "rounds", "min_face")  # fmt: skip
_DETECTED = ("scales", "merge", "postprocess", "pixel_budget", "on_large", "files")


def picture_digest(records: Sequence[Record]) -> str:
    """SHA-256 of the pictures' sorted names: equal numbers of pictures may be different ones."""
    names = "\n".join(sorted(record.name for record in records))
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def provenance(
    config: DictConfig, weights: Weights, records: Sequence[Record], device: str, engine: str
) -> dict[str, Any]:
    """What the detections of a run of `facedet evaluate` depend on, for its metrics.json.

    "network" is the config of it, by which its cost can be counted without the weights' file.
    """
    path = expand_home(str(config.weights))
    place = str(path.resolve()) if path.is_file() else str(config.weights)
    return {
        "weights": weights.info | {"path": place},
        "network": weights.config["net"],
        "settings": plain(config.protocol),
        "pictures_sha256": picture_digest(records),
        "limit": config.limit,
        "folded": config.folded,
        "device": device,
        "engine": engine,
    }


def read_report(path: Path) -> dict[str, Any]:
    """A JSON object such as metrics.json; raises `FacedetError` where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)  # without the path a second time
        raise FacedetError(f"{path} cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{path}: expected a JSON object")
    return content


def require_same_run(path: Path, made_with: Mapping[str, Any], resume: bool) -> None:
    """Writes what detections are made with; a resumed run must have been made with the same.

    `path` is the note next to the detections' folder, which has its name without the suffix. A
    fresh run removes detections that it could not be resumed with, and what was noted of their
    pictures, before it writes the note: were it interrupted, they would pass for its own.

    The pictures of `made_with`, see `provenance`, are left out: more of them may be asked for
    later. Raises `UsageError` where `path` has something else, or there is none of detections.
    """
    now = {key: made_with[key] for key in ("folded", "device")}
    now["engine"] = made_with["engine"].split()[0]  # another version of it may resume
    now["settings"] = {key: made_with["settings"][key] for key in _DETECTED}
    now["weights"] = made_with["weights"]["sha256"]
    problem = ""
    if files := list(path.with_suffix("").rglob("*.txt")):
        try:
            problem = _unlike(path, now)
        except FacedetError as error:
            if resume:
                raise
            problem = str(error)
        if problem and resume:
            raise UsageError(
                f"{path.parent} holds detections of another run ({problem}): give another "
                "paths.output, or resume=false to start fresh"
            )
    for file in [*files, path.with_suffix(".notes")] if problem or not files else ():
        file.unlink(missing_ok=True)
    replace_json(path, now)


def _unlike(path: Path, now: Mapping[str, Any]) -> str:
    """What the note `path` has that is unlike `now`, in words; "" where nothing is."""
    if not path.is_file():
        return f"there is no {path.name} that says how they were made"
    return describe(
        differences({"before": flat_with_classes(read_report(path)), "now": flat_with_classes(now)})
    )


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a report that must be alike where its numbers are compared with others.

    Versions, weights and networks may differ: a comparison is about these.
    """
    settings = report.get("settings") or {}
    detected = {key: settings[key] for key in _DETECTED if key in settings}
    return {key: report[key] for key in _MEASURED if key in report} | flat_with_classes(detected)
