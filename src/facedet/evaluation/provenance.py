"""What a number depends on, written beside it, and how two numbers' stamps differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facedet.errors import UsageError
from facedet.files import replacing

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from facedet.structures import Record
    from facedet.weights.store import Weights

# What the published curves on WIDER FACE val were computed with, as far as it is known: the
# official toolbox on all pictures. Test scales and merging were each author's own.
PUBLISHED_WIDER = {"images": 3226, "iou": 0.5, "thresholds": 1000, "integer_quirk": True}

# Keys of metrics.json, and of the protocol in its "settings", that two results must share.
_MEASURED = ("protocol", "images", "pictures_sha256", "iou", "thresholds", "integer_quirk")
_LOOKED = ("scales", "merge", "postprocess", "pixel_budget", "on_large", "files")


class Difference(NamedTuple):
    """A key that results do not share."""

    key: str
    values: dict[str, Any]  # by result; one that does not tell is left out


def picture_digest(records: Sequence[Record]) -> str:
    """SHA-256 of the pictures' sorted names: equal numbers of pictures may be different ones."""
    names = "\n".join(sorted(record.name for record in records))
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def run_stamp(config: DictConfig, weights: Weights, records: Sequence[Record]) -> dict[str, Any]:
    """What the detections of a run depend on, for its metrics.json.

    Args:
        config: of `facedet evaluate` or `facedet study`, with the keys these share.
        weights: read from `config.weights`.
        records: of the pictures.

    Returns:
        "weights" (where they come from, with the file's SHA-256 and place), "network" (its config,
        from which its cost can be counted without the file), "settings" of the protocol,
        "pictures_sha256", "limit", "folded" and "device".
    """
    from facedet.config import plain

    path = Path(str(config.weights)).expanduser()
    place = str(path.resolve()) if path.is_file() else str(config.weights)
    return {
        "weights": weights.info | {"path": place},
        "network": weights.config["net"],
        "settings": plain(config.protocol),
        "pictures_sha256": picture_digest(records),
        "limit": config.limit,
        "folded": config.folded,
        "device": config.device,
    }


def require_same_run(path: Path, stamp: Mapping[str, Any], resume: bool) -> None:
    """Writes what detections are made with; one that goes on must have been made with the same.

    Args:
        path: of the note, beside the detections.
        stamp: of `run_stamp`. The pictures are left out: more of them may be asked for later.
        resume: whether detections that are there are to be kept.

    Raises:
        UsageError: there are detections of other weights or settings.
    """
    told = {key: stamp[key] for key in ("settings", "folded", "device")}
    told["weights"] = stamp["weights"]["sha256"]
    if resume and path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = {}
        differing = differences({"then": flatten(before), "now": flatten(told)})
        if differing or not before:
            raise UsageError(
                f"{path.parent} holds detections of another run ({tell(differing) or 'damaged'}): "
                "give another paths.output, or resume=false to begin afresh"
            )
    with replacing(path) as aside:
        aside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a report that must be alike where its numbers are put beside others.

    Versions, weights and networks may differ: these are what one wants to compare.
    """
    settings = report.get("settings") or {}
    looked = {key: settings[key] for key in _LOOKED if key in settings}
    return {key: report[key] for key in _MEASURED if key in report} | flatten(looked)


def differences(stamps: Mapping[str, Mapping[str, Any]]) -> list[Difference]:
    """The keys in which flat stamps differ, in the order in which they first appear.

    A result that does not tell a key, as published ones do not tell their scales, differs from
    nobody in it. Where the number of pictures differs, their names are not mentioned as well.

    Args:
        stamps: by result, of `comparable` or `flatten`.
    """
    keys = dict.fromkeys(key for stamp in stamps.values() for key in stamp)
    found = []
    for key in keys:
        values = {name: stamp[key] for name, stamp in stamps.items() if key in stamp}
        if len({json.dumps(value, sort_keys=True) for value in values.values()}) > 1:
            found.append(Difference(key, values))
    numbers_differ = any(one.key == "images" for one in found)
    return [one for one in found if not (numbers_differ and one.key == "pictures_sha256")]


def tell(differing: Sequence[Difference], limit: int = 4) -> str:
    """The differences in one line, who has which value; those beyond `limit` are counted."""
    told = []
    for one in differing[:limit]:
        names: dict[str, list[str]] = {}
        for name, value in one.values.items():
            names.setdefault(written(value), []).append(name)
        sides = [f"{value} ({', '.join(who)})" for value, who in names.items()]
        told.append(f"{one.key} {' / '.join(sides)}")
    more = [f"and {len(differing) - limit} more"] if len(differing) > limit else []
    return "; ".join([*told, *more])


def written(value: object) -> str:
    """A value for a reader: digests cut, thousands with commas."""
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else json.dumps(value).strip('"')


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401
    """Dotted keys and values of nested dicts; the class behind a node stands under its own key.

    >>> flatten({"scales": {"_target_": "facedet.inference.scales.FixedScales", "flip": False}})
    {'scales': 'FixedScales', 'scales.flip': False}
    """
    if not isinstance(node, Mapping):
        is_target = prefix.endswith("._target_.")
        value = str(node).rpartition(".")[2] if is_target else node
        return {prefix[:-1].removesuffix("._target_"): value}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten(value, f"{prefix}{key}.")
    return flat
