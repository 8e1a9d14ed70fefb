"""`facedet weights`: the weights that have a name, and files of other projects made ours."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.errors import FacedetError, UsageError
from facedet.files import expand_home

if TYPE_CHECKING:
    from torch import nn

    from facedet.weights.store import Weights
    from facedet.weights.zoo import NamedWeights

HELP = """Weights by name. Every option that takes a weights file takes a name as well.
  list     the names: size, whether they are here, parameters, what they are
  fetch    download released weights of the authors of EXTD, check them by SHA-256 and keep them
           as our files in the cache folder (fetch all: all of them)
  verify   check that files are undamaged, and load them (without names: all that are here)
  card     print what is known about named weights
  convert  turn released EXTD weights (EXTD_64.pth …), SmallHardFace's Caffe model (.caffemodel)
           or a training checkpoint (SOURCE) into a safetensors file that carries its own network
           description (TARGET)
  average  the mean of several weights of one network, as of a fine-tuning's start and end or of
           trainings with other seeds, which is often better than each (SOURCE SOURCE … TARGET)
  push     upload weights (SOURCE) with a model card to the Hugging Face Hub, TARGET hf://owner/name,
           or only write these files into a folder (TARGET); then hf://owner/name, or the folder,
           names the weights. Needs huggingface-hub: pip install 'facedet-lightning[hub]'
Only tensors are read; nothing in a file is run."""
EXAMPLE = """examples:
  facedet weights list
  facedet weights fetch extd-released-64
  facedet weights verify extd-released-64 my/weights.safetensors
  facedet weights card extd-fpn-64-prelu
  facedet weights convert EXTD_64.pth extd64.safetensors
  facedet weights average seed1/weights.safetensors seed2/weights.safetensors mean.safetensors
  facedet weights push outputs/run/weights.safetensors hf://me/faces --licence mit"""

# The words of each action: (fewest, most, in words).
_WORDS = {
    "list": (0, 0, "takes no further words"),
    "fetch": (1, 99, "takes names, or all"),
    "verify": (0, 99, "takes names and files"),
    "card": (1, 1, "takes one name"),
    "convert": (2, 2, "takes SOURCE and TARGET"),
    "average": (3, 99, "takes two SOURCES or more and TARGET"),
    "push": (2, 2, "takes SOURCE and TARGET"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("action", choices=_WORDS, help="what to do")
    add("names", nargs="*", default=[], metavar="NAME", help="names, or files where it says so")
    text = "folder of fetched files; $FACEDET_CACHE names it to all commands (~/.cache/facedet)"
    add("--cache", type=Path, metavar="DIR", help=text)
    add("--force", action="store_true", help="convert, average: replace an existing target")
    add("--private", action="store_true", help="push: a new repository is private")
    text = "push: the Hub's word for the licence of your own weights (mit, cc-by-nc-4.0 …)"
    add("--licence", default="", metavar="ID", help=text)


def run(args: argparse.Namespace) -> int:
    """Does what the first word says."""
    fewest, most, words = _WORDS[args.action]
    if not fewest <= len(args.names) <= most:
        given = " ".join(args.names) or "nothing"
        raise UsageError(f"{args.action} {words}, not {given}")
    if args.cache is not None:
        args.cache = expand_home(args.cache)
    actions = {"list": _list, "fetch": _fetch, "verify": _verify, "card": _card}
    actions |= {"convert": _convert, "average": _average, "push": _push}
    return actions[args.action](args)


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
            for entry in (card.measured if card else named.measured)
        ]
        about = "; ".join([named.summary, *measured])
        print(
            f"{name:18} {kilobytes:>7}  {shipped[is_here]:11} {named.parameters:>8,} parameters  "
            f"{about}"
        )
    return 0


def _find(name: str) -> "NamedWeights":
    from facedet.weights.zoo import NAMED, names_like

    if name not in NAMED:
        raise UsageError(f"{name}: no such name{names_like(name)}")
    return NAMED[name]


def _fetch(args: argparse.Namespace) -> int:
    from facedet.weights.fetching import fetch_named
    from facedet.weights.zoo import NAMED

    is_all = args.names == ["all"]
    chosen = [one for one in NAMED.values() if one.url] if is_all else map(_find, args.names)

    def fetch(named: "NamedWeights") -> str:
        if named.url is None:
            return f"{named.name}: is shipped with facedet, nothing to fetch"
        return f"{named.name}: {fetch_named(named, args.cache)}"

    return _each(fetch, list(chosen))


def _verify(args: argparse.Namespace) -> int:
    from facedet.weights.fetching import check_named
    from facedet.weights.zoo import NAMED

    def verify(name: str) -> str:
        weights, parameters = check_named(name, args.cache)
        numbers = f"{parameters:,} parameters, all finite, SHA-256 {weights.info['sha256']}"
        return f"{name}: sound: {numbers} ({weights.info.get('source', 'unknown')})"

    # What ships must be there; what may be fetched need not.
    here = [name for name, one in NAMED.items() if not one.url or one.path(args.cache).is_file()]
    return _each(verify, args.names or here)


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
    named = _find(args.names[0])
    card = named.card()
    if named.url is not None:
        print(
            f"# {named.name}\n\n{named.summary} (arXiv 1906.06579).\n\n"
            f"- parameters: {named.parameters:,}\n- from: {named.url}\n"
            f"- SHA-256: {named.sha256}\n- licence: {named.licence}"
        )
    elif card is None:
        raise FacedetError(f"{named.name}: has no model card in this installation")
    else:
        print(card.text, end="")
    return 0


def _push(args: argparse.Namespace) -> int:
    from facedet.weights.hub import parse_address
    from facedet.weights.pushing import push_to_hub, write_repository

    source, target = args.names
    if parse_address(target) is not None:
        print(push_to_hub(source, target, private=args.private, licence=args.licence))
    else:
        write_repository(source, Path(target), licence=args.licence)
        print(f"{target}: the files of a repository; facedet takes the folder as weights")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from facedet.weights.store import build_net, read_weights

    source, target = args.names[0], _new_target(args)
    weights = read_weights(Path(source))
    return _write(weights, build_net(weights, source), target)  # built to see that it works


def _average(args: argparse.Namespace) -> int:
    from facedet.weights.averaging import average

    target = _new_target(args)
    return _write(*average(args.names[:-1]), target)


def _new_target(args: argparse.Namespace) -> Path:
    """The last of the names, checked before any source is read."""
    target = Path(args.names[-1])
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: the target's name must end in .safetensors")
    if target.exists() and not args.force:
        raise UsageError(f"{target} exists already: add --force to replace it")
    return target


def _write(weights: "Weights", net: "nn.Module", target: Path) -> int:
    from facedet.weights.store import save_weights

    save_weights(target, weights)
    parameters = sum(value.numel() for value in net.parameters())
    size = target.stat().st_size
    print(f"{target}: {parameters:,} parameters, {size / 1e6:.2f} MB, {weights.info['source']}")
    return 0
