"""Builds networks and decoding out of a config that a file brings: only classes on a list.

Hydra's `instantiate` would call whatever a stranger's file names; and importing Hydra takes longer
than finding the faces of a picture.
"""

from functools import partial
from importlib import import_module
from typing import Any

from facedet.errors import FacedetError, first_line

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


def build_untrusted(node: Any, source: str) -> Any:  # noqa: ANN401
    """Builds a node that came out of the file `source`: only classes of networks and decoding.

    Raises:
        FacedetError: the node names something else, or its class refuses the arguments.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise FacedetError(f"{source}: its config does not say what to build")
    try:
        return _build(node)
    except Exception as error:  # of somebody's arguments: anything
        raise FacedetError(f"{source}: its config cannot be built: {first_line(error)}") from error


def _build(node: Any) -> Any:  # noqa: ANN401
    if isinstance(node, list):
        return [_build(value) for value in node]
    if not isinstance(node, dict):
        return node
    found = _find(str(node["_target_"])) if "_target_" in node else dict
    options = ("_target_", "_partial_")
    arguments = {key: _build(value) for key, value in node.items() if key not in options}
    return partial(found, **arguments) if node.get("_partial_") else found(**arguments)


def _find(target: str) -> type:
    """The class of a dotted name that a trusted module defines itself.

    What a module has only imported is reached by the same kind of name, `….torch.hub.load` say.
    """
    name = target
    for old, new in _MOVED.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
    module, _, last = name.rpartition(".")
    found = getattr(import_module(module), last, None) if name.startswith(_TRUSTED) else None
    if not isinstance(found, type) or found.__module__ != module:
        raise FacedetError(f"building {target!r} is refused")
    return found
