"""`facedet weights`: the weights that have a name."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facedet.errors import FacedetError, UsageError

if TYPE_CHECKING:
    from facedet.weights.zoo import NamedWeights

HELP = """Weights by name. Every option that takes a weights file takes a name as well.
  list     the names: size, whether they are here, parameters, what they are
  fetch    download released weights of the authors of EXTD, check them by SHA-256 and keep them
           as our files in the cache folder (fetch all: all of them)
  verify   look whether files are undamaged, and load them (without words: all that are here)
  card     print what is known about named weights"""
EXAMPLE = """examples:
  facedet weights list
  facedet weights fetch extd-released-64
  facedet weights verify extd-released-64 my/weights.safetensors
  facedet weights card extd-fpn-64-prelu"""

_ACTIONS = {
    "list": "takes no further words",
    "fetch": "takes names, or all",
    "verify": "takes names and files",
    "card": "takes one name",
}


class Sound(NamedTuple):
    """What `verify` finds of weights that are as they should be."""

    parameters: int  # that are trained
    sha256: str  # of the file
    source: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("action", choices=_ACTIONS, help="what to do")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a name; for verify also a file")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder of fetched files; $FACEDET_CACHE names it to all commands (~/.cache/facedet)",
    )


def run(args: argparse.Namespace) -> int:
    """Does what the first word says."""
    wanted = {"list": 0, "card": 1}.get(args.action, len(args.names))
    if len(args.names) != wanted or (args.action == "fetch" and not args.names):
        given = " ".join(args.names) or "nothing"
        raise UsageError(f"{args.action} {_ACTIONS[args.action]}, not {given}")
    if args.cache is not None and args.action == "card":
        raise UsageError("--cache does not belong to card")
    if args.cache is not None:
        args.cache = args.cache.expanduser()
    return {"list": _list, "fetch": _fetch, "verify": _verify, "card": _card}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from facedet.weights.zoo import NAMED

    for name, named in NAMED.items():
        path = named.path(args.cache)
        is_here = path.is_file()
        size = path.stat().st_size if is_here else named.size
        kilobytes = f"{size / 1e3:,.0f} kB" if size else "-"
        about = "; ".join([named.summary, *_measured(named)])
        state = _state(named, is_here)
        print(f"{name:18} {kilobytes:>7}  {state:11} {named.parameters:>8,} parameters  {about}")
    return 0


def _state(named: "NamedWeights", is_here: bool) -> str:
    if named.url is None:
        return "shipped" if is_here else "missing"
    return "cached" if is_here else "not fetched"


def _measured(named: "NamedWeights") -> list[str]:
    """`AP easy .909 medium .893 (wider_single, 243 of WIDER val)` for each entry of the card."""
    card = named.card()
    return [
        f"AP {' '.join(f'{subset} {value:.3f}' for subset, value in entry['ap'].items())} "
        f"({entry['protocol']}, {entry['pictures']})"
        for entry in (card.measured if card else ())
    ]


def _fetch(args: argparse.Namespace) -> int:
    from facedet.weights.zoo import NAMED, cache_folder, find_named

    is_all = args.names == ["all"]
    released = [named for named in NAMED.values() if named.url is not None]
    chosen = released if is_all else [find_named(name) for name in args.names]
    cache = args.cache or cache_folder()

    def one(named: "NamedWeights") -> str:
        if named.url is None:
            return f"{named.name}: is shipped with facedet, nothing is to be fetched"
        return f"{named.name}: {fetch(named, cache)}"

    return _each(one, chosen)


def fetch(named: "NamedWeights", cache: Path) -> Path:
    """Released weights as a file of ours in the cache folder.

    Args:
        named: with a URL.
        cache: folder; the released file stays there too, and is taken from there if it was put
            there by other means.

    Raises:
        FacedetError: it cannot be downloaded, is another file, or the folder cannot be written.
    """
    from facedet.weights.downloading import require_file
    from facedet.weights.store import read_weights, save_weights

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


def _verify(args: argparse.Namespace) -> int:
    from facedet.weights.zoo import NAMED

    # What ships must be there; what may be fetched need not.
    here = [
        name
        for name, named in NAMED.items()
        if named.url is None or named.path(args.cache).is_file()
    ]

    def one(wish: str) -> str:
        found = check(wish, args.cache)
        numbers = f"{found.parameters:,} parameters, all finite, SHA-256 {found.sha256}"
        return f"{wish}: sound: {numbers} ({found.source})"

    return _each(one, args.names or here)


def check(wish: str | Path, cache: Path | None = None) -> Sound:
    """Reads weights and builds their network.

    Args:
        wish: a file or a name.
        cache: folder of fetched files; None: the usual one.

    Raises:
        FacedetError: they are missing, damaged, not those of the name, do not fit their network,
            or hold values that are no finite numbers.
    """
    from facedet.weights.store import build_coder, build_net, read_weights
    from facedet.weights.zoo import NAMED, locate

    path = locate(wish, cache)
    weights = read_weights(path)
    net = build_net(weights, path)
    build_coder(weights, path)
    parameters = sum(value.numel() for value in net.parameters())
    named = NAMED.get(str(wish))
    # A file of the user's that has the name of ours may be anything.
    if named is not None and path == named.path(cache):
        _check_named(named, path, weights.info, parameters)
    return Sound(parameters, weights.info["sha256"], str(weights.info.get("source", "not said")))


def _check_named(named: "NamedWeights", path: Path, info: dict, parameters: int) -> None:
    remedy = "install facedet again" if named.url is None else f"facedet weights fetch {named.name}"
    if named.url is None:
        card = named.card()
        if card is None:
            raise FacedetError(f"{path}: has no model card {path.with_suffix('.md')}: {remedy}")
        digest, wanted, of = info["sha256"], card.sha256, ""
    else:
        digest, wanted, of = info.get("origin_sha256"), str(named.sha256), " of the released file"
    if digest != wanted:
        raise FacedetError(f"{path}: SHA-256{of} is {digest}, wanted is {wanted}: {remedy}")
    if parameters != named.parameters:
        raise FacedetError(
            f"{path}: holds {parameters:,} parameters, wanted are {named.parameters:,}: {remedy}"
        )


def _each(action: Callable[[Any], str], items: Sequence[Any]) -> int:
    """Prints what `action` says of each; one that fails does not stop the rest."""
    failures = []
    for item in items:
        try:
            print(action(item), flush=True)
        except FacedetError as error:
            failures.append(error)
            print(f"facedet weights: {error}", file=sys.stderr)
    return 1 if failures else 0


def _card(args: argparse.Namespace) -> int:
    from facedet.weights.zoo import find_named

    named = find_named(args.names[0])
    card = named.card()
    if card is not None:
        print(card.text, end="")
    elif named.url is None:
        raise FacedetError(f"{named.name}: has no model card in this installation")
    else:
        print(
            f"# {named.name}\n\n{named.summary} (arXiv 1906.06579).\n\n"
            f"- parameters: {named.parameters:,}\n- from: {named.url}\n"
            f"- SHA-256: {named.sha256}\n- licence: {named.licence}"
        )
    return 0
