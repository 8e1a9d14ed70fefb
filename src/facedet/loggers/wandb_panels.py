"""Pictures and curves as W&B shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facedet.callbacks.image_log import Picture

_CURVE_POINTS = 200


def to_chart(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:  # noqa: ANN401
    """A chart of lines from precision [T] and recall [T] by line."""
    import wandb

    xs, ys = [], []
    for precision, recall in curves.values():
        # From the first detection on; a chart is a table of all points, so it gets a few of them.
        places = np.flatnonzero(recall > 0)
        kept = np.linspace(0, len(places) - 1, min(len(places), _CURVE_POINTS)).round().astype(int)
        xs.append(recall[places[kept]].tolist())
        ys.append(precision[places[kept]].tolist())
    title, keys = "precision over recall", list(curves)
    return wandb.plot.line_series(xs=xs, ys=ys, keys=keys, title=title, xname="recall")


def to_image(picture: Picture) -> Any:  # noqa: ANN401
    """A `wandb.Image` with the layers "truth" and "found", whose scores its slider cuts."""
    import wandb

    def layer(boxes: Sequence[Sequence[float]], notes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        corners = ("minX", "minY", "maxX", "maxY")
        drawn = [
            {"position": dict(zip(corners, box, strict=True)), "domain": "pixel", "class_id": 0}
            for box in boxes
        ]
        data = [one | note for one, note in zip(drawn, notes, strict=True)]
        return {"box_data": data, "class_labels": {0: "face"}}

    faces, scores = picture.faces.tolist(), picture.found.scores.tolist()
    notes = [{"box_caption": f"{score:.2f}", "scores": {"score": score}} for score in scores]
    truth = layer(faces, [{}] * len(faces))
    layers = {"truth": truth, "found": layer(picture.found.boxes.tolist(), notes)}
    return wandb.Image(picture.rgb, caption=picture.name, boxes=layers, file_type="jpg")
