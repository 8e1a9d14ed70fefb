"""Pictures, curves and tables as W&B shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facedet.callbacks.image_log import Picture

_CURVE_POINTS = 200


def to_chart(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Any:  # noqa: ANN401
    """A chart of lines from precision [T] and recall [T] by line."""
    import wandb

    # A chart is drawn from a table of all points: a fifth of them looks the same.
    thin = {key: _thinned(*curve) for key, curve in curves.items()}
    return wandb.plot.line_series(
        xs=[recall for _, recall in thin.values()],
        ys=[precision for precision, _ in thin.values()],
        keys=list(thin),
        title="precision over recall",
        xname="recall",
    )


def to_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401
    """A `wandb.Table`; a cell that is a `Picture` is shown."""
    import wandb

    table = wandb.Table(columns=list(columns))
    for row in rows:
        table.add_data(*(to_image(one) if isinstance(one, Picture) else one for one in row))
    return table


def to_histogram(counts: np.ndarray, edges: np.ndarray) -> Any:  # noqa: ANN401
    """A `wandb.Histogram` of numbers [N] between edges [N + 1]."""
    import wandb

    return wandb.Histogram(np_histogram=(counts, edges))


def to_image(picture: Picture) -> Any:  # noqa: ANN401
    """A `wandb.Image` with the layers "truth" and "found", whose scores its slider cuts."""
    import wandb

    truth = [_box(box) for box in picture.faces.tolist()]
    scores = picture.found.scores.tolist()
    found = [
        {**_box(box), "box_caption": f"{score:.2f}", "scores": {"score": score}}
        for box, score in zip(picture.found.boxes.tolist(), scores, strict=True)
    ]
    names = {0: "face"}
    layers = {
        "truth": {"box_data": truth, "class_labels": names},
        "found": {"box_data": found, "class_labels": names},
    }
    return wandb.Image(picture.rgb, caption=picture.name, boxes=layers, file_type="jpg")


def _box(corners: Sequence[float]) -> dict[str, Any]:
    position = dict(zip(("minX", "minY", "maxX", "maxY"), corners, strict=True))
    return {"position": position, "domain": "pixel", "class_id": 0}


def _thinned(precision: np.ndarray, recall: np.ndarray) -> tuple[list[float], list[float]]:
    """At most so many points of a curve, from its first detection on, the last one always."""
    places = np.flatnonzero(recall > 0)
    if len(places) > _CURVE_POINTS:
        places = places[np.linspace(0, len(places) - 1, _CURVE_POINTS).round().astype(int)]
    return precision[places].tolist(), recall[places].tolist()
