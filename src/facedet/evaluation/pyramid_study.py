"""What each choice of a pyramid's scales would have found, from one look at every scale.

SmallHardFace (arXiv 1811.11662) asks what its pyramid's sizes are worth. A network's detections in
a pass do not depend on the other passes, so every pass is run once (`raw_looks`) and each choice
of scales only merges anew what its passes found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from facedet.evaluation.detect import DetectionWriter
from facedet.inference.pyramid import Merge
from facedet.inference.raw_views import Looks, join, read_looks
from facedet.inference.scales import FixedScales, Pass, ShortSides, Size
from facedet.structures import Detections

Planner = Callable[[Size], list[Pass]]


class Subset(NamedTuple):
    """A choice of a pyramid's scales."""

    label: str
    scales: tuple[str, ...]  # names of those chosen


def scale_names(plan: Planner, passes: Sequence[Pass]) -> list[str]:
    """The scale that each pass over one picture belongs to.

    A pyramid's size is one scale, plain and mirrored. Elsewhere each pass is a scale of its own,
    under its part in EXTD's multi-scale test: "shrunk", "mirrored", "small" (for large faces),
    then "middle" or, one for each doubling, "enlarged 1", "enlarged 2", … A picture's size decides
    which of these it has.

    Args:
        plan: that made the passes.
        passes: over one picture, all of them.
    """
    if isinstance(plan, (ShortSides, FixedScales)):
        sizes = plan.sides if isinstance(plan, ShortSides) else plan.scales
        return [f"{size:g}" for size in sizes for _ in range(1 + plan.flip)]
    names = []
    for place, one in enumerate(passes):
        first = "mirrored" if one.flip else ("shrunk", "", "small")[min(place, 2)]
        last = "middle" if one.larger_than > 0 else f"enlarged {place - 2}"
        names.append(first if place < 3 else last)
    return names


def choose_subsets(plan: Planner, names: Sequence[str]) -> list[Subset]:
    """All scales; all but one, for each; and each alone.

    A plan with a list of three sizes or more gets SmallHardFace's row too, without the two
    smallest. No choice comes twice.

    Args:
        plan: of the protocol.
        names: of its scales.
    """
    names = list(dict.fromkeys(names))
    left_out: list[tuple[str, set[str]]] = [("all", set())]
    left_out += [(f"without {name}", {name}) for name in names]
    if isinstance(plan, (ShortSides, FixedScales)) and len(names) > 2:
        smallest = sorted(names, key=float)[:2]
        left_out.append((f"without {' and '.join(smallest)}", set(smallest)))
    left_out += [(f"only {name}", set(names) - {name}) for name in names]
    chosen: dict[tuple[str, ...], str] = {}
    for label, missing in left_out:
        chosen.setdefault(tuple(name for name in names if name not in missing), label)
    return [Subset(label, scales) for scales, label in chosen.items() if scales]


def choose(plan: Planner, looks: Looks, scales: Sequence[str]) -> Looks:
    """The looks of the passes that belong to some of the scales, by name; candidates if read."""
    names = scale_names(plan, looks.passes)
    places = [place for place, name in enumerate(names) if name in scales]
    found = [looks.found[place] for place in places] if looks.found else []
    return looks._replace(passes=[looks.passes[place] for place in places], found=found)


def cut(looks: Looks, score: float) -> Looks:
    """The looks without the candidates of a score below `score`."""
    kept = [one.scores >= score for one in looks.found]
    found = [
        one._replace(boxes=one.boxes[chosen], scores=one.scores[chosen])
        for one, chosen in zip(looks.found, kept, strict=True)
    ]
    return looks._replace(found=found)


def merge_looks(merge: Merge, looks: Looks) -> Detections:
    """What a pyramid of just these passes finds: the rule of `inference.Pyramid`.

    No pass at all finds nothing.
    """
    if not looks.found:
        return Detections(torch.zeros(0, 4), torch.zeros(0))
    if len(looks.found) == 1 and not merge.raw:
        return looks.found[0]
    return merge(join(looks.found))


def write_variants(
    folder: Path,
    names: Iterable[str],
    variants: Mapping[str, Callable[[Looks], Detections]],
    sinks: Mapping[str, DetectionWriter],
) -> None:
    """Writes, for each variant, what it makes of every picture's looks.

    Picture by picture, so that no more than one picture's looks are in memory.

    Args:
        folder: of the looks.
        names: of the pictures' records.
        variants: by label, looks to merged detections.
        sinks: by label, what writes a variant's result files.
    """
    for name in names:
        looks = read_looks(folder, name)
        for label, variant in variants.items():
            sinks[label].add(name, variant(looks))
    for sink in sinks.values():
        sink.close()


def megapixels(looks: Looks) -> float:
    """Millions of pixels that the passes show to the network; candidates need not be read."""
    height, width = looks.size
    return sum(one.scale**2 for one in looks.passes) * height * width / 1e6
