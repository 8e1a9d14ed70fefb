"""Files fetched once, checked by SHA-256, and named weights: that they are what their name says."""

import math
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tqdm import tqdm

from facedet.errors import FacedetError
from facedet.files import file_sha256, locked, replacing
from facedet.weights import zoo
from facedet.weights.store import Weights, build_coder, build_net, read_weights, save_weights

_TIMEOUT_S = 30


def require_file(path: Path, url: str, sha256: str, remedy: str) -> Path:
    """A file that is there already, checked, or downloaded.

    Of several processes that need the same file one downloads it and the others wait.

    Args:
        path: where the file is or will be; parent folders are made.
        url: where it comes from.
        sha256: the file's SHA-256 in hexadecimal.
        remedy: what to do about another file at `path`, for the message.

    Returns:
        `path`.

    Raises:
        FacedetError: another file is there, the URL cannot be reached, what arrives is cut off or
            another file, or the folder cannot be written. `path` is then as it was before.
    """
    if not path.is_file():
        with locked(path.with_name(f".{path.name}.lock"), timeout=math.inf):
            # Whoever held the lock before may have fetched it.
            if not path.is_file():
                _download(path, url, sha256)
    _check_digest(path, sha256, str(path), remedy)
    return path


def _download(path: Path, url: str, sha256: str) -> None:
    with replacing(path) as aside:
        try:
            with urlopen(url, timeout=_TIMEOUT_S) as answer, aside.open("wb") as stream:
                total = int(answer.headers.get("Content-Length") or 0) or None
                bar = {"desc": path.name, "total": total, "unit": "B", "unit_scale": True}
                with tqdm.wrapattr(answer, "read", disable=None, **bar) as body:
                    shutil.copyfileobj(body, stream)
        # Not every OSError: a full disk is another matter than a lost connection.
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = getattr(error, "reason", error)
            raise FacedetError(
                f"{url} cannot be fetched ({reason}): fetch it by other means and put it at {path}"
            ) from error
        _check_digest(aside, sha256, f"{url}: what arrived", "try again")


def _check_digest(path: Path, sha256: str, what: str, remedy: str) -> None:
    digest = file_sha256(path)
    if digest != sha256:
        raise FacedetError(f"{what} has SHA-256 {digest}, expected {sha256}: {remedy}")


def fetch_named(named: zoo.NamedWeights, cache: Path | None = None) -> Path:
    """Downloads released weights, and keeps them as a file of ours; returns its path.

    Raises:
        FacedetError: it cannot be fetched, read or written.
    """
    assert named.url is not None
    assert named.sha256 is not None
    # The released file stays in the folder; one put there by other means is taken.
    released = (cache or zoo.cache_folder()) / named.url.rpartition("/")[2]
    require_file(released, named.url, named.sha256, "remove it, and fetch again")
    return save_weights(named.path(cache), read_weights(released))


def check_named(name: str, cache: Path | None = None) -> tuple[Weights, int]:
    """Weights that load and, where they have the name of ours, are those; and their parameters.

    Args:
        name: a path, or a name of `NAMED`.
        cache: folder of fetched files; None: `cache_folder()`.

    Raises:
        FacedetError: they are missing, damaged, or others than their name or card says.
    """
    path, named = zoo.locate(name, cache), zoo.NAMED.get(name)
    weights = read_weights(path)
    build_coder(weights, path)
    parameters = sum(value.numel() for value in build_net(weights, path).parameters())
    # A user's own file that has the name of ours may be anything.
    if named is not None and path == named.path(cache):
        found, expected = weights.info.get("origin_sha256"), named.sha256
        remedy = f"facedet weights fetch {name}"
        if named.url is None:
            card, remedy = named.card(), "install facedet again"
            found = weights.info["sha256"]
            expected = card.sha256 if card else "that of its model card"
        if found != expected:
            raise FacedetError(f"{path}: SHA-256 is {found}, expected {expected}: {remedy}")
    return weights, parameters
