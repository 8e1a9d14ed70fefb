"""`facedet study`: one detector under changed protocols, from one look at every picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from facedet.commands.evaluate import check_limit
from facedet.config import CONF_DIR, plain
from facedet.errors import UsageError
from facedet.training.hydra_app import run_hydra, run_job

if TYPE_CHECKING:
    from facedet.inference.raw_views import Looks
    from facedet.structures import Detections

HELP = """Measure one detector under changes of a protocol. The network looks once at every picture
at every scale; each change only merges what it found anew, and gives the numbers that
`facedet evaluate` would give with that setting. A second start with the same paths.output goes on.
  pyramid      AP of choices of the pyramid's scales: all, without each, each alone, and without
               the two smallest (SmallHardFace's row: easy 78.2 without 100 and 300)
  threshold    AP over the minimal score of a detection
Settings are keys of the config:
  weights=FILE           weights file, checkpoint, or released EXTD file
  data=wider             with data.root=PATH, data.images=present as for evaluate
  protocol=wider_shf     SmallHardFace's five sizes; wider: EXTD's passes, each a scale
  thresholds=[0.1,0.5]   of threshold
  detections=FOLDER      threshold: result files in the place of weights
The output folder gets KIND.csv, KIND.md, KIND.png and KIND.json, and raw/ with what was found."""
EXAMPLE = """examples:
  facedet study pyramid weights=shf.safetensors data=wider data.root=/data/wider paths.output=out
  facedet study threshold detections=out/detections data=wider data.root=/data/wider"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("kind", choices=_KINDS, help="what is changed")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the config")


def run(args: argparse.Namespace) -> int:
    """Hands over to Hydra."""
    return run_hydra(main, "study", [*args.overrides, f"kind={args.kind}"])


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="study")
def main(config: DictConfig) -> None:
    """Studies what `config` describes."""
    run_job(study, config)


def study(config: DictConfig) -> dict[str, Any]:
    """Makes the table of `config.kind`, draws and prints it.

    Returns:
        What `KIND.json` holds.

    Raises:
        FacedetError: weights, data, detections or output are not as they should be.
        UsageError: a setting is wrong, or other settings than the output folder's.
    """
    plain(config)
    check_limit(config.limit)
    from facedet.allocator import keep_freed_memory

    keep_freed_memory()
    if config.kind not in _KINDS:
        raise UsageError(f"kind={config.kind} is none of {', '.join(_KINDS)}")
    return _KINDS[config.kind](config)


def _study_pyramid(config: DictConfig) -> dict[str, Any]:
    """AP of choices of the scales."""
    from facedet.evaluation.pyramid_study import (
        choose,
        choose_subsets,
        megapixels,
        merge_looks,
        scale_names,
    )
    from facedet.evaluation.study_runs import (
        look_at_pictures,
        raw_folder,
        save_study,
        score_variants,
    )
    from facedet.inference.raw_views import read_looks

    pictures = look_at_pictures(config)
    plan, merge = pictures.pyramid.scales, pictures.pyramid.merge
    folder = raw_folder(config)
    plans = [read_looks(folder, one.name, candidates=False) for one in pictures.records]
    subsets = choose_subsets(
        plan, [name for one in plans for name in scale_names(plan, one.passes)]
    )
    if len(subsets) < 2:
        raise UsageError(f"protocol={config.protocol.name} has one scale: there is nothing to vary")

    def variant(scales: tuple[str, ...]) -> Callable[[Looks], Detections]:
        return lambda looks: merge_looks(merge, choose(plan, looks, scales))

    variants = {subset.label: variant(subset.scales) for subset in subsets}
    reports = score_variants(config, pictures, variants)
    rows = []
    for subset in subsets:
        used = [choose(plan, one, subset.scales) for one in plans]
        shown = {
            "scales": subset.label,
            "pictures": sum(bool(one.passes) for one in used),
            "megapixels": sum(map(megapixels, used)) / len(used),
        }
        rows.append(shown | reports[subset.label].values)
    legend = "pictures: those that have such a pass; megapixels: shown to the network per picture"
    return save_study(config, rows, reports, pictures.stamp, legend)


def _study_threshold(config: DictConfig) -> dict[str, Any]:
    """AP over the minimal score."""
    from facedet.evaluation.pyramid_study import cut, merge_looks
    from facedet.evaluation.study_runs import (
        look_at_pictures,
        save_study,
        score_files,
        score_variants,
    )

    limits = _thresholds(config)
    if config.detections is not None:
        reports, stamp = score_files(config, limits)
        legend = "minimal score: of the detections in the files"
    else:
        pictures = look_at_pictures(config)
        merge, stamp = pictures.pyramid.merge, pictures.stamp

        def variant(limit: float) -> Callable[[Looks], Detections]:
            return lambda looks: merge_looks(merge, cut(looks, limit))

        variants = {f"{limit:g}": variant(limit) for limit in limits}
        reports = score_variants(config, pictures, variants)
        cuts = [config.protocol[part].get("score") or 0.0 for part in ("postprocess", "merge")]
        own = f"one up to the protocol's own cut, {max(cuts):g}, changes nothing"
        legend = f"minimal score: of the candidates of each pass, before they are merged; {own}"
    rows = [
        {"minimal score": label, "detections": one.detections, **one.values}
        for label, one in reports.items()
    ]
    return save_study(config, rows, reports, stamp, legend)


def _thresholds(config: DictConfig) -> list[float]:
    """The minimal scores, rising, each once."""
    values = plain(config)["thresholds"]
    numbers = [one for one in values if type(one) in (int, float) and 0 <= one <= 1]
    if not values or len(numbers) < len(values):
        raise UsageError(f"thresholds={values}: wanted one or more scores in 0 … 1")
    return sorted(set(map(float, numbers)))


_KINDS = {"pyramid": _study_pyramid, "threshold": _study_threshold}
