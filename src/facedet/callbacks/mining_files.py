"""What hard image mining leaves in a run's folder: tables, every epoch's scores, and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facedet.callbacks.image_log import NOTHING, Picture, shrunk
from facedet.data.dataset import mirror
from facedet.data.difficulty import DifficultyTable
from facedet.data.images import read_rgb
from facedet.files import replacing, replacing_table
from facedet.plots import drawing

BINS = 20  # of a histogram of scores
_SIDE = 1024  # longest side of a picture in pixels


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows under the names of the last one."""
    with replacing_table(path, errors="surrogateescape") as table:
        # Rows that an older version began lack the newer columns.
        table.writerow(rows[-1])
        table.writerows([row.get(name, "") for name in rows[-1]] for row in rows)


def difficulties(data: Any, table: DifficultyTable) -> list[dict[str, Any]]:  # noqa: ANN401
    """Score and path of every entry of the `FaceDataModule` with a score, hardest first."""
    rows = []
    for entry, score in table.hardest(len(table)):
        record, is_mirrored = data.record_of(entry)
        rows.append({"score": f"{score:.6f}", "mirrored": int(is_mirrored), "path": record.path})
    return rows


def append_scores(path: Path, epoch: int, scores: np.ndarray) -> None:
    """Writes an epoch's scores [N] as row `epoch` of a .npy file, float16 [epochs, N].

    Later rows go; rows that are not in the file, as after a move without it, are NaN.
    """
    rows = np.full((epoch + 1, len(scores)), np.nan, np.float16)
    if path.is_file():
        with path.open("rb") as stream:
            before = np.load(stream, allow_pickle=False)
        if before.ndim == 2 and before.shape[1] == len(scores):
            rows[: min(epoch, len(before))] = before[:epoch]
    rows[epoch] = scores
    with replacing(path) as aside, aside.open("wb") as stream:
        np.save(stream, rows)


def draw_course(path: Path, history: Sequence[Mapping[str, float]], entries: int) -> None:
    """Draws the rows of `mining.csv`: histograms of scores, and shares of the `entries`."""
    counts = np.array([[row[bin_name(k)] for row in history] for k in range(BINS)])
    epochs = np.arange(1, len(history) + 1)
    with drawing(path, (8, 6)) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        above.imshow(
            counts / np.maximum(1, counts.sum(axis=0)),
            origin="lower", aspect="auto", cmap="viridis", extent=(0.5, len(history) + 0.5, 0, 1),
        )  # fmt: skip
        above.set(ylabel="score of the worst positive anchor", title="share of images per epoch")
        for name, label in (
            ("easy", "easy"), ("no_positive", "without a positive anchor"), ("left_out", "left out")
        ):  # fmt: skip
            shares = [row.get(name, 0) / max(1, entries) for row in history]
            below.plot(epochs, shares, marker=".", label=label)
        below.set(xlabel="epoch", ylabel="share of all images", ylim=(0, 1))
        below.grid(alpha=0.3)
        below.legend()


def bin_name(number: int) -> str:
    """The column of a histogram's bin, named after its lower edge."""
    return f"bin_{number / BINS:.2f}"


def picture_of(data: Any, entry: int) -> Picture:  # noqa: ANN401
    """A training entry with its faces, none of them found."""
    record, is_mirrored = data.record_of(entry)
    rgb, boxes = read_rgb(record.path, record.upright), record.boxes
    if is_mirrored:
        rgb, boxes = mirror(rgb, boxes)
    return shrunk(Picture(data.name_of(entry), rgb, torch.tensor(boxes), NOTHING), _SIDE)
