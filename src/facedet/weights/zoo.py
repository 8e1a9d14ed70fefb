"""Weights that have a name: those shipped in the package, and released ones from a URL."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.errors import FacedetError, UsageError
from facedet.weights.released_extd import KNOWN_FILES

# `facedet.load()` and `facedet predict` without weights take these.
DEFAULT = "extd-fpn-64-prelu"
DEFAULT_SCORE = 0.5
SHIPPED_DIR = Path(__file__).resolve().parents[1] / "shipped"
_RELEASE = "https://raw.githubusercontent.com/clovaai/EXTD_Pytorch/master/weights"
_DIGESTS = {file: digest for digest, (file, _) in KNOWN_FILES.items()}


class Card(NamedTuple):
    """The model card of shipped weights: NAME.md, which begins with YAML between lines `---`.

    Every number about weights stands there and nowhere else: `sha256` of NAME.safetensors, `score`
    from which a box is shown as a face (default 0.5), and `measured`, a list of
    `{protocol: …, pictures: …, ap: {easy: …, medium: …, hard: …}}`.
    """

    sha256: str
    score: float
    measured: list[dict[str, Any]]
    text: str


class NamedWeights(NamedTuple):
    """Weights that a name stands for."""

    name: str
    parameters: int  # trainable
    licence: str
    summary: str  # one line
    url: str | None = None  # of a released file; None: shipped, as NAME.safetensors
    sha256: str | None = None  # of the file at the URL; that of a shipped one is in its card
    size: int = 0  # bytes of the file at the URL, about

    def path(self, cache: Path | None = None) -> Path:
        """The file, whether it exists or not.

        Args:
            cache: folder of fetched files; None: `cache_folder()`.
        """
        folder = SHIPPED_DIR if self.url is None else cache or cache_folder()
        return folder / f"{self.name}.safetensors"

    def card(self) -> Card | None:
        """The card; None: there is none.

        Raises:
            FacedetError: the file is no card.
        """
        path = SHIPPED_DIR / f"{self.name}.md"
        return read_card(path) if self.url is None and path.is_file() else None


def _released(width: int, parameters: int, size: int) -> NamedWeights:
    return NamedWeights(
        f"extd-released-{width}",
        parameters,
        "MIT, Copyright (c) 2019-present NAVER Corp.",
        f"EXTD, FPN-like, width {width}, PReLU: the authors' release",
        f"{_RELEASE}/EXTD_{width}.pth",
        _DIGESTS[f"EXTD_{width}.pth"],
        size,
    )


_LICENCE = "MIT, as facedet; trained on WIDER FACE, whose pictures are for research"
NAMED = {
    one.name: one
    for one in (
        NamedWeights(DEFAULT, 162_352, _LICENCE, "EXTD, FPN-like, width 64, PReLU"),
        NamedWeights("extd-fpn-32-prelu", 62_939, _LICENCE, "EXTD, FPN-like, width 32, PReLU"),
        NamedWeights(
            "extd-plain-32", 50_838, _LICENCE, "plain 3x3 convolutions, width 32: the quickest"
        ),
        _released(64, 162_352, 697_000),
        _released(48, 100_160, 444_000),
        _released(32, 62_939, 302_000),
    )
}


def cache_folder() -> Path:
    """The folder of files that are fetched once, as `conf/paths/default.yaml` names it."""
    usual = Path(os.environ.get("HOME", ".")) / ".cache" / "facedet"
    return Path(os.environ.get("FACEDET_CACHE", usual)).expanduser()


def locate(name: str | Path, cache: Path | None = None) -> Path:
    """The weights file of a path or a name; a file of that name comes first.

    Args:
        name: a path, or a name of `NAMED`.
        cache: folder of fetched files; None: `cache_folder()`.

    Raises:
        FacedetError: there is no such file, or the named weights are not there.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if str(name) in NAMED:
        return _require(NAMED[str(name)], cache)
    if path.is_dir():
        raise FacedetError(f"{path}: is a folder, expected a weights file")
    # With a suffix or a folder before it, it was not meant as a name.
    is_name = str(name) == path.stem
    hint = f", and no such name: there are {', '.join(NAMED)}" if is_name else ""
    raise FacedetError(f"{path}: no such weights file{hint}")


def _require(named: NamedWeights, cache: Path | None) -> Path:
    """The file of the name; where it is missing an error says how to get it."""
    path = named.path(cache)
    if path.is_file():
        return path
    if named.url is None:
        raise FacedetError(
            f"{named.name}: these weights are not part of this installation ({path} is missing): "
            "name a weights file, or others of `facedet weights list`"
        )
    where = "" if cache is None else f" --cache {cache}"
    raise FacedetError(
        f"{named.name}: is not fetched yet ({path} is missing): "
        f"facedet weights fetch {named.name}{where}"
    )


def usual_score(name: str | Path) -> float:
    """The score from which a box is shown as a face: of shipped weights their card's, else 0.5.

    Args:
        name: as for `locate`.

    Raises:
        FacedetError: the card is damaged.
    """
    if Path(name).expanduser().is_file() or str(name) not in NAMED:
        return DEFAULT_SCORE
    card = NAMED[str(name)].card()
    return DEFAULT_SCORE if card is None else card.score


def find_named(name: str) -> NamedWeights:
    """The entry of a name.

    Raises:
        UsageError: there is no such name; lists them.
    """
    if name not in NAMED:
        raise UsageError(f"{name}: no such name: there are {', '.join(NAMED)}")
    return NAMED[name]


def read_card(path: Path) -> Card:
    """Reads a model card.

    Raises:
        FacedetError: its head does not hold what `Card` says.
    """
    try:
        text = path.read_text(encoding="utf-8")
        head = re.match(r"---\n(.*?)\n---\n", text, flags=re.DOTALL)
        values = yaml.safe_load(head[1]) if head else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FacedetError(f"{path}: not a readable model card ({reason})") from error
    values = values if isinstance(values, dict) else {}
    digest, score = str(values.get("sha256")), values.get("score", DEFAULT_SCORE)
    measured = values.get("measured") or []
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise FacedetError(f"{path}: its head says sha256: {digest}, expected 64 digits of 0 … f")
    if not _is_share(score):
        raise FacedetError(f"{path}: its head says score: {score}, expected a number in 0 … 1")
    if not isinstance(measured, list) or not all(map(_is_measured, measured)):
        raise FacedetError(
            f"{path}: its head's measured must be entries of protocol, pictures and ap (numbers "
            f"in 0 … 1), not {measured}"
        )
    return Card(digest, score, measured, text)


def _is_measured(entry: Any) -> bool:  # noqa: ANN401
    if not isinstance(entry, dict) or not {"protocol", "pictures"} <= entry.keys():
        return False
    ap = entry.get("ap")
    return isinstance(ap, dict) and all(map(_is_share, ap.values()))


def _is_share(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, float) and 0 <= value <= 1
