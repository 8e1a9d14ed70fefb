"""Which training images are still hard: SmallHardFace's hard image mining (arXiv 1811.11662).

An image's difficulty is the lowest face score among its positive anchors at its latest visit. The
images whose score reaches a threshold are easy, and the sampler leaves most of them out; so it does
with the images that had no positive anchor, as in the release, but they are counted apart.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from facedet.errors import FacedetError, UsageError
from facedet.structures import NO_POSITIVE, Record

_RULES = {"rule": ("refresh", "sticky"), "table": ("shared", "per_rank")}
_COUNTS = ("visited", "easy", "no_positive", "became_easy", "became_hard")


@dataclass(frozen=True)
class DifficultyRule:
    """When an image is easy, and how often an easy one is left out.

    Args:
        threshold: score in [0, 1] from which an image is easy.
        probability: of leaving an easy image out of an epoch.
        rule: `refresh`: the latest visit decides, as the paper's dynamic scores want; `sticky`:
            once easy, always easy, as in the release.
        table: `shared`: one for all processes, each of which draws a part of the images;
            `per_rank`: one for each process, which draws all images by itself, as in the release.

    Raises:
        UsageError: a value is out of its range.
    """

    threshold: float = 0.85
    probability: float = 0.7
    rule: str = "refresh"
    table: str = "shared"

    def __post_init__(self) -> None:
        for name in ("threshold", "probability"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"mining.{name}={value}: a number from 0 to 1 is expected")
        for name, choices in _RULES.items():
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                raise UsageError(f"mining.{name}={value} is none of {', '.join(choices)}")


class DifficultyTable:
    """The latest score of every entry of a training set, and which entries may be left out.

    Several processes each hold a table; given the same records they stay equal.

    Args:
        num_entries: N, entries of the data set; a mirrored copy is an entry of its own.
        rule: what makes an entry easy.
        fingerprint: of the data set; a state of another one is refused.
    """

    def __init__(self, num_entries: int, rule: DifficultyRule, fingerprint: str = "") -> None:
        self.rule = rule
        self.fingerprint = fingerprint
        # [N] float32 in [0, 1]; NO_POSITIVE: none at the latest visit; NaN: not visited
        self.scores = torch.full((num_entries,), torch.nan)
        self.easy = torch.zeros(num_entries, dtype=torch.bool)  # [N], without a positive too
        self.counts = dict.fromkeys(_COUNTS, 0)

    def __len__(self) -> int:
        return len(self.scores)

    def record(self, indices: Tensor, scores: Tensor) -> dict[str, int]:
        """Takes over one epoch's visits; entries that were not visited keep what they have.

        Args:
            indices: [K] entries; the lowest score counts where one comes several times.
            scores: [K] in [0, 1], or `NO_POSITIVE`; see `is_score`.

        Returns:
            Counts of entries: `visited` in this epoch; from now on `easy` by their score, and
            with `no_positive` anchor at their latest visit; `became_easy` by their score and
            `became_hard` in this epoch.
        """
        indices = indices.detach().cpu().long()
        scores = scores.detach().cpu().float()
        worst = torch.full_like(self.scores, torch.inf)
        worst = worst.scatter_reduce(0, indices, scores, "amin")
        visited = worst.isfinite()
        reached = visited & (worst >= self.rule.threshold)
        before = self.easy
        kept = before if self.rule.rule == "sticky" else before & ~visited
        self.easy = kept | reached
        self.scores = torch.where(visited, worst, self.scores)
        empty = self.scores == NO_POSITIVE
        sets = (
            visited,
            self.easy & ~empty,
            empty,
            self.easy & ~before & ~empty,
            before & ~self.easy,
        )
        self.counts = {name: int(one.sum()) for name, one in zip(_COUNTS, sets, strict=True)}
        return dict(self.counts)

    def histogram(self, bins: int) -> Tensor:
        """Numbers [bins] of the entries that have a score, in equal parts of [0, 1]."""
        return self.scores[self.scores <= 1].histc(bins, 0, 1).long()

    def hardest(self, count: int) -> list[tuple[int, float]]:
        """(entry, score) of the entries with the lowest scores, hardest first."""
        scored = (self.scores <= 1).nonzero().flatten()
        order = scored[self.scores[scored].argsort(stable=True)][:count]
        return list(zip(order.tolist(), self.scores[order].tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The table as tensors and plain data."""
        return {
            "scores": self.scores.clone(),
            "easy": self.easy.clone(),
            "counts": dict(self.counts),
            "fingerprint": self.fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over a table; under `refresh` the threshold of now decides what is easy.

        Raises:
            FacedetError: the state belongs to another data set.
        """
        here = (self.fingerprint, len(self))
        if (state["fingerprint"], len(state["scores"])) != here:
            raise FacedetError(
                f"the checkpoint's difficulties are of {len(state['scores']):,} other images than "
                f"the {len(self):,} here: go on with the data.root, data.mirrored_copies and "
                "data.faceless of then, or start afresh with weights=FILE"
            )
        self.scores = state["scores"].clone()
        self.easy = state["easy"].clone()
        if self.rule.rule == "refresh":
            self.easy = self.scores >= self.rule.threshold
        self.counts = dict(state["counts"])


def merged(tables: Sequence[DifficultyTable]) -> DifficultyTable:
    """The lowest score that any of several tables of the same entries has of each."""
    if len(tables) == 1:
        return tables[0]
    joined = DifficultyTable(len(tables[0]), tables[0].rule, tables[0].fingerprint)
    for table in tables:
        joined.scores = torch.fmin(joined.scores, table.scores)
    return joined


def is_score(scores: Tensor) -> Tensor:
    """Which values lie in [0, 1] or are `NO_POSITIVE`; NaN does not."""
    return (scores >= 0) & (scores <= 1) | (scores == NO_POSITIVE)


def fingerprint(records: Sequence[Record], mirrored_copies: bool) -> str:
    """SHA-256 (hex) over the names, the numbers of boxes and whether copies are mirrored.

    The folder does not enter, so that a data set may be moved.
    """
    digest = hashlib.sha256(b"mirrored" if mirrored_copies else b"plain")
    for record in records:
        digest.update(f"\n{record.name}\t{len(record.boxes)}".encode())
    return digest.hexdigest()
