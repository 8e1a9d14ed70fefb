"""Weights that have a name: those shipped in the package, and released ones from a URL."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.errors import FacedetError, nearest, one_line
from facedet.files import expand_home
from facedet.weights.hub import find_repository
from facedet.weights.released_extd import RELEASED

# `facedet.load()` and `facedet predict` without weights take these.
DEFAULT = "extd-plain-64-s8"
DEFAULT_SCORE = 0.5
SHIPPED_DIR = Path(__file__).resolve().parents[1] / "shipped"
_RELEASE = "https://raw.githubusercontent.com/clovaai/EXTD_Pytorch/master/weights"

# AP (easy, medium, hard) of released weights by protocol; the README has the commands.
_SUBSETS = ("easy", "medium", "hard")
_MEASURED_64 = {"wider_single": (0.909, 0.893, 0.784), "wider": (0.912, 0.900, 0.811)}
_MEASURED_32 = {"wider_single": (0.874, 0.862, 0.739), "wider": (0.884, 0.872, 0.773)}


class Card(NamedTuple):
    """The model card of shipped weights: NAME.md, which begins with YAML between lines `---`.

    Every number about shipped weights stands there and nowhere else: `sha256` of NAME.safetensors,
    `score` from which a box is shown as a face (default 0.5), and `measured`, a list of
    `{protocol: …, pictures: …, ap: {easy: …, medium: …, hard: …}}`.
    """

    sha256: str
    score: float
    measured: list[dict[str, Any]]
    text: str


class NamedWeights(NamedTuple):
    """Weights that a name stands for."""

    name: str
    preset: str  # of its network
    parameters: int  # trainable
    licence: str
    summary: str  # one line
    url: str | None = None  # of a released file; None: shipped, as NAME.safetensors
    sha256: str | None = None  # of the file at the URL; that of a shipped one is in its card
    size: int = 0  # bytes of the file at the URL, about
    measured: tuple[dict[str, Any], ...] = ()  # of a released file, as in a `Card`

    def path(self, cache: Path | None = None) -> Path:
        """The file, whether it exists or not; `cache` as for `locate`."""
        folder = SHIPPED_DIR if self.url is None else cache or cache_folder()
        return folder / f"{self.name}.safetensors"

    def card(self) -> Card | None:
        """The card, None if there is none; raises `FacedetError` where it is damaged."""
        return None if self.url is not None else read_card(self.path())


def read_card(weights: Path) -> Card | None:
    """The card NAME.md next to NAME.safetensors, None if there is none.

    Raises:
        FacedetError: it is damaged.
    """
    path = weights.with_suffix(".md")
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        head = yaml.safe_load(text.split("---\n")[1])
        measured = head.get("measured") or []
        return Card(head["sha256"], float(head.get("score", DEFAULT_SCORE)), measured, text)
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = f"{type(error).__name__} {one_line(error)}"
        raise FacedetError(f"{path}: not a readable model card ({reason})") from error


def _released(
    width: int, parameters: int, size: int, measured: dict[str, tuple[float, float, float]]
) -> NamedWeights:
    file = f"EXTD_{width}.pth"
    licence = "MIT, Copyright (c) 2019-present NAVER Corp."
    summary = f"EXTD, FPN-like, width {width}, PReLU: the authors' release"
    entries = tuple(
        {
            "protocol": protocol,
            "pictures": "243 of WIDER val",
            "ap": dict(zip(_SUBSETS, ap, strict=True)),
        }
        for protocol, ap in measured.items()
    )
    preset = f"extd_fpn_{width}_prelu"
    released = (f"{_RELEASE}/{file}", RELEASED[file], size, entries)
    return NamedWeights(f"extd-released-{width}", preset, parameters, licence, summary, *released)


def _shipped(name: str, parameters: int, summary: str) -> NamedWeights:
    licence = "MIT, as facedet; trained on WIDER FACE, whose pictures are for research"
    return NamedWeights(name, name.replace("-", "_"), parameters, licence, summary)


NAMED = {
    one.name: one
    for one in (
        _shipped(DEFAULT, 228_224, "plain 3x3 convolutions, first stride 8, width 64"),
        _shipped("extd-plain-48-s8", 132_944, "the same, width 48: quicker"),
        _shipped("extd-plain-32-s8", 60_728, "the same, width 32: the quickest"),
        _shipped("extd-plain-64", 171_550, "plain, width 64, first stride 4: slower"),
        _shipped("extd-plain-32", 50_838, "plain, width 32, first stride 4"),
        _shipped("extd-fpn-64-prelu", 162_352, "EXTD, FPN-like, width 64, PReLU"),
        _shipped("extd-fpn-32-prelu", 62_939, "EXTD, FPN-like, width 32, PReLU"),
        _released(64, 162_352, 697_000, _MEASURED_64),
        _released(48, 100_160, 444_000, {}),
        _released(32, 62_939, 302_000, _MEASURED_32),
    )
}


def cache_folder() -> Path:
    """The folder of files that are fetched once, as `conf/paths/default.yaml` names it."""
    usual = Path(os.environ.get("HOME", ".")) / ".cache" / "facedet"
    return expand_home(os.environ.get("FACEDET_CACHE", usual))


def locate(name: str | Path, cache: Path | None = None) -> Path:
    """The weights file of a path or a name; a file of that name comes first.

    Args:
        name: a path, a name of `NAMED`, or a repository: `hf://owner/name[@revision]` (fetched into
            the Hub's cache), or a folder with its files.
        cache: folder of fetched files; None: `cache_folder()`.

    Raises:
        FacedetError: there is no such file, or the named weights are not there.
    """
    path = expand_home(name)
    if path.is_file():
        return path
    if (repository := find_repository(name)) is not None:
        return repository.checked()
    if str(name) in NAMED:
        named, where = NAMED[str(name)], "" if cache is None else f" --cache {cache}"
        path = named.path(cache)
        if path.is_file():
            return path
        if named.url is None:
            raise FacedetError(f"{name}: is not part of this installation ({path} is missing)")
        fetch = f"facedet weights fetch {name}{where}"
        raise FacedetError(f"{name}: is not fetched yet ({path} is missing): {fetch}")
    if path.is_dir():
        raise FacedetError(f"{path}: is a folder, expected a weights file")
    # With a suffix or a folder before it, it was not meant as a name.
    is_name = str(name) == path.stem
    hint = f", and no such name{names_like(str(name))}" if is_name else ""
    raise FacedetError(f"{path}: no such weights file{hint}")


def names_like(word: str) -> str:
    """The end of a message about a word that is no name: the nearest name, and all of them."""
    close = nearest(word, NAMED)
    return f"{close}{';' if close else ':'} there are {', '.join(NAMED)}"


def usual_score(name: str | Path) -> float:
    """The score from which a box is shown as a face: as card or repository say, else 0.5."""
    if expand_home(name).is_file():
        return DEFAULT_SCORE
    # `locate` has fetched it.
    if (repository := find_repository(name, is_fetched=True)) is not None:
        return DEFAULT_SCORE if repository.score is None else repository.score
    if str(name) not in NAMED:
        return DEFAULT_SCORE
    card = NAMED[str(name)].card()
    return DEFAULT_SCORE if card is None else card.score
