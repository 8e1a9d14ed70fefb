"""Builds networks and decoding out of a config that a file brings: only classes on a list.

Hydra's `instantiate` would call whatever a stranger's file names; and importing Hydra takes longer
than finding the faces of a picture.
"""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from facedet.errors import FacedetError

_TRUSTED = (
    "facedet.models.",
    "facedet.box_coder.",
    "facedet.inference.postprocess.",
    "facedet.inference.scales.",
)
# Where these classes were when older files were written.
_MOVED = {
    "facedet.postprocess.": "facedet.inference.postprocess.",
    "facedet.scales.": "facedet.inference.scales.",
}
_OPTIONS = ("_target_", "_partial_")


def build_untrusted(node: Any, source: str) -> Any:  # noqa: ANN401
    """Builds a node that came out of a file: only classes of networks and decoding.

    Args:
        node: plain config with `_target_`.
        source: the file, for the message.

    Raises:
        FacedetError: the node names something else, or its class refuses the arguments.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise FacedetError(f"{source}: its config does not say what to build")
    for target in _refused(node):
        raise FacedetError(f"{source}: its config wants to build {target!r}, which is refused")
    try:
        return _build(node)
    except Exception as error:  # of somebody's arguments: anything
        line = str(error).partition("\n")[0]
        raise FacedetError(f"{source}: its config cannot be built: {line}") from error


def _build(node: Any) -> Any:  # noqa: ANN401
    if isinstance(node, list):
        return [_build(value) for value in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: _build(value) for key, value in node.items() if key not in _OPTIONS}
    if "_target_" not in node:
        return arguments
    found = _find(node["_target_"])
    assert found is not None
    return partial(found, **arguments) if node.get("_partial_") else found(**arguments)


def _refused(node: Any) -> Iterator[str]:  # noqa: ANN401
    """What of a node is no plain value and no trusted class."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                if _find(value) is None:
                    yield str(value)
            elif key != "_partial_" and str(key).startswith("_"):
                yield f"{key}={value}"
            else:
                yield from _refused(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _refused(value)
    elif isinstance(node, str) and "${" in node:
        yield node


def _find(target: object) -> type | None:
    """The class of a dotted name that a trusted module defines itself, else None.

    What a module has only imported is reached by the same kind of name, `….torch.hub.load` say.
    """
    name = str(target)
    for old, new in _MOVED.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
    if not name.startswith(_TRUSTED):
        return None
    module, _, last = name.rpartition(".")
    try:
        found = getattr(import_module(module), last, None)
    except ImportError:
        return None
    return found if isinstance(found, type) and found.__module__ == module else None
