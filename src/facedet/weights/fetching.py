"""Fetches files once into a folder, checked by SHA-256, and checks weights that have a name."""

import math
import shutil
import sys
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from tqdm import tqdm

from facedet.errors import FacedetError
from facedet.files import locked, replacing
from facedet.weights import zoo
from facedet.weights.store import build_coder, build_net, file_sha256, read_weights, save_weights
from facedet.weights.zoo import NamedWeights, locate

_TIMEOUT_S = 30


class Checked(NamedTuple):
    """What `check` found of weights that are as they should be."""

    parameters: int  # trainable
    sha256: str  # of the file
    source: str


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
                return path
    _check_digest(path, sha256, str(path), remedy)
    return path


def fetch(named: NamedWeights, cache: Path) -> Path:
    """Released weights as a file of ours in the cache folder.

    Args:
        named: with a URL.
        cache: folder; the released file stays there too, and is taken from there if it was put
            there by other means.

    Raises:
        FacedetError: it cannot be downloaded, is another file, or the folder cannot be written.
    """
    path = named.path(cache)
    if path.is_file():
        try:
            check(named.name, cache)
        except FacedetError as error:
            print(f"facedet weights: {error}; made again", file=sys.stderr)
        else:
            return path
    assert named.url is not None
    assert named.sha256 is not None
    released = cache / named.url.rpartition("/")[2]
    require_file(released, named.url, named.sha256, "remove it, and fetch again")
    return save_weights(path, read_weights(released))


def check(name: str | Path, cache: Path | None = None) -> Checked:
    """Reads weights and builds their network.

    Args:
        name: a file or a name.
        cache: folder of fetched files; None: the usual one.

    Raises:
        FacedetError: they are missing, damaged, not those of the name, do not fit their network,
            or hold values that are not finite.
    """
    path = locate(name, cache)
    weights = read_weights(path)
    build_coder(weights, path)
    parameters = sum(value.numel() for value in build_net(weights, path).parameters())
    named = zoo.NAMED.get(str(name))
    # A user's own file that has the name of ours may be anything.
    if named is not None and path == named.path(cache):
        _check_named(named, path, weights.info, parameters)
    return Checked(parameters, weights.info["sha256"], str(weights.info.get("source", "unknown")))


def _check_named(named: NamedWeights, path: Path, info: dict, parameters: int) -> None:
    if named.url is None:
        remedy, card = "install facedet again", named.card()
        if card is None:
            raise FacedetError(f"{path}: has no model card {path.with_suffix('.md')}: {remedy}")
        found, expected, of = info["sha256"], str(card.sha256), ""
    else:
        remedy = f"facedet weights fetch {named.name}"
        found, expected, of = info.get("origin_sha256"), str(named.sha256), " of the released file"
    if found != expected:
        raise FacedetError(f"{path}: SHA-256{of} is {found}, expected {expected}: {remedy}")
    if parameters != named.parameters:
        raise FacedetError(
            f"{path}: holds {parameters:,} parameters, expected {named.parameters:,}: {remedy}"
        )


def _download(path: Path, url: str, sha256: str) -> None:
    with replacing(path) as aside:
        try:
            total = _copy(url, aside, path.name)
        # Not every OSError: a full disk is another matter than a lost connection.
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            raise _unreachable(path, url, str(getattr(error, "reason", error))) from error
        size = aside.stat().st_size
        # A server that closes the connection early is no error to `read`.
        if size < total:
            cut = f"the connection ended after {size:,} of {total:,} bytes"
            raise _unreachable(path, url, cut)
        _check_digest(aside, sha256, f"{url}: what arrived", "try again")


def _copy(url: str, path: Path, title: str) -> int:
    """Writes what the URL answers; returns the number of bytes that it announced, 0 for none."""
    with urlopen(url, timeout=_TIMEOUT_S) as answer, path.open("wb") as stream:
        total = int(answer.headers.get("Content-Length") or 0)
        bar = {"desc": title, "total": total or None, "unit": "B", "unit_scale": True}
        with tqdm.wrapattr(answer, "read", disable=None, **bar) as body:
            shutil.copyfileobj(body, stream)
    return total


def _unreachable(path: Path, url: str, reason: str) -> FacedetError:
    return FacedetError(
        f"{url} cannot be fetched ({reason}): fetch it by other means and put it at {path}"
    )


def _check_digest(path: Path, sha256: str, what: str, remedy: str) -> None:
    digest = file_sha256(path)
    if digest != sha256:
        raise FacedetError(f"{what} has SHA-256 {digest}, expected {sha256}: {remedy}")
