"""Face detectors of a few hundred kilobytes, and the experiments that make them.

>>> import facedet
>>> det = facedet.load()  # doctest: +SKIP
>>> found = det.detect("photo.jpg")  # doctest: +SKIP
>>> found.boxes, found.scores, found.note  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
DISTRIBUTION = "facedet-lightning"  # on the package index; another project has `facedet`
__all__ = ["Detections", "Face", "FaceDetector", "load", "push_to_hub"]

if TYPE_CHECKING:
    from facedet.api import FaceDetector, load
    from facedet.detections import Detections, Face
    from facedet.weights.pushing import push_to_hub

_HOMES = {
    "load": "api",
    "FaceDetector": "api",
    "Detections": "detections",
    "Face": "detections",
    "push_to_hub": "weights.pushing",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # `import facedet` and `facedet --help` must not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'facedet' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"facedet.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
