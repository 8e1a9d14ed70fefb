"""Weights by name, fetched and checked: nothing damaged, and what their name says."""

from pathlib import Path

from facedet.errors import FacedetError
from facedet.weights import zoo
from facedet.weights.fetching import require_file
from facedet.weights.store import Weights, build_coder, build_net, read_weights, save_weights


def fetch_named(named: zoo.NamedWeights, cache: Path | None = None) -> Path:
    """Downloads released weights and keeps them as a file of ours.

    Args:
        named: weights with a URL.
        cache: folder of fetched files; None: `cache_folder()`.

    Returns:
        The file.

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
