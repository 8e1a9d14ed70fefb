"""`facedet weights`: the weights that have a name, and files of other projects made ours."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from facedet.errors import FacedetError, UsageError

HELP = """Weights by name. Every option that takes a weights file takes a name as well.
  list     the names: size, whether they are here, parameters, what they are
  fetch    download released weights of the authors of EXTD, check them by SHA-256 and keep them
           as our files in the cache folder (fetch all: all of them)
  verify   check that files are undamaged, and load them (without names: all that are here)
  card     print what is known about named weights
  convert  turn released EXTD weights (EXTD_64.pth …) or a training checkpoint (SOURCE) into a
           safetensors file that carries its own network description (TARGET)
Only tensors are read; nothing in a file is run."""
EXAMPLE = """examples:
  facedet weights list
  facedet weights fetch extd-released-64
  facedet weights verify extd-released-64 my/weights.safetensors
  facedet weights card extd-fpn-64-prelu
  facedet weights convert EXTD_64.pth extd64.safetensors"""

# The words of each action: (fewest, most, in words).
_WORDS = {
    "list": (0, 0, "takes no further words"),
    "fetch": (1, 99, "takes names, or all"),
    "verify": (0, 99, "takes names and files"),
    "card": (1, 1, "takes one name"),
    "convert": (2, 2, "takes SOURCE and TARGET"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("action", choices=_WORDS, help="what to do")
    parser.add_argument("names", nargs="*", metavar="NAME", help="names, or files where it says so")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder of fetched files; $FACEDET_CACHE names it to all commands (~/.cache/facedet)",
    )
    parser.add_argument("--force", action="store_true", help="convert: replace an existing target")


def run(args: argparse.Namespace) -> int:
    """Does what the first word says."""
    fewest, most, words = _WORDS[args.action]
    if not fewest <= len(args.names) <= most:
        given = " ".join(args.names) or "nothing"
        raise UsageError(f"{args.action} {words}, not {given}")
    if args.cache is not None and args.action in ("card", "convert"):
        raise UsageError(f"--cache does not belong to {args.action}")
    if args.force and args.action != "convert":
        raise UsageError(f"--force does not belong to {args.action}")
    if args.cache is not None:
        args.cache = args.cache.expanduser()
    actions = {"list": _list, "fetch": _fetch, "verify": _verify, "card": _card}
    return (actions | {"convert": _convert})[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from facedet.weights.zoo import NAMED

    for name, named in NAMED.items():
        path, card = named.path(args.cache), named.card()
        is_here = path.is_file()
        size = path.stat().st_size if is_here else named.size
        kilobytes = f"{size / 1e3:,.0f} kB" if size else "-"
        shipped = ("missing", "shipped") if named.url is None else ("not fetched", "cached")
        measured = [
            f"AP {' '.join(f'{subset} {value:.3f}' for subset, value in entry['ap'].items())} "
            f"({entry['protocol']}, {entry['pictures']})"
            for entry in (card.measured if card else ())
        ]
        about = "; ".join([named.summary, *measured])
        print(
            f"{name:18} {kilobytes:>7}  {shipped[is_here]:11} {named.parameters:>8,} parameters  "
            f"{about}"
        )
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from facedet.weights.fetching import fetch
    from facedet.weights.zoo import NAMED, cache_folder, find_named

    cache = args.cache or cache_folder()
    if args.names == ["all"]:
        chosen = [named for named in NAMED.values() if named.url is not None]
    else:
        chosen = [find_named(name) for name in args.names]

    def one(named: Any) -> str:  # noqa: ANN401
        if named.url is None:
            return f"{named.name}: is shipped with facedet, nothing to fetch"
        return f"{named.name}: {fetch(named, cache)}"

    return _each(one, chosen)


def _verify(args: argparse.Namespace) -> int:
    from facedet.weights.fetching import check
    from facedet.weights.zoo import NAMED

    # What ships must be there; what may be fetched need not.
    here = [
        name
        for name, named in NAMED.items()
        if named.url is None or named.path(args.cache).is_file()
    ]

    def one(name: str) -> str:
        found = check(name, args.cache)
        numbers = f"{found.parameters:,} parameters, all finite, SHA-256 {found.sha256}"
        return f"{name}: sound: {numbers} ({found.source})"

    return _each(one, args.names or here)


def _each(action: Callable[[Any], str], items: Sequence[Any]) -> int:
    """Prints what `action` says of each; one that fails does not stop the rest."""
    failures = 0
    for item in items:
        try:
            print(action(item), flush=True)
        except FacedetError as error:
            failures += 1
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


def _convert(args: argparse.Namespace) -> int:
    from facedet.weights.store import build_net, read_weights, save_weights

    source, target = map(Path, args.names)
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: the target's name must end in .safetensors")
    if target.exists() and not args.force:
        raise UsageError(f"{target} exists already: add --force to replace it")
    weights = read_weights(source)
    net = build_net(weights, source)  # to see that it works
    save_weights(target, weights)
    parameters = sum(value.numel() for value in net.parameters())
    size = target.stat().st_size
    print(f"{target}: {parameters:,} parameters, {size / 1e6:.2f} MB, {weights.info['source']}")
    return 0
