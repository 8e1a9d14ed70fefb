"""`facedet hardest`: the training pictures that a detector finds hardest."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.commands.option_types import count
from facedet.errors import FacedetError

if TYPE_CHECKING:
    from torch import Tensor

HELP = """List the training pictures with the lowest difficulty scores: at the last visit, the face
score of the picture's worst positive anchor. Only trainings with mining=him keep them."""
EXAMPLE = """examples:
  facedet hardest outputs/train/RUN/checkpoints/last.ckpt
  facedet hardest last.ckpt --count 50 --sheet hardest.png --root /data/wider"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("checkpoint", type=Path, help="a .ckpt of a training with mining=him")
    parser.add_argument("--count", type=count, default=20, metavar="N", help="pictures (20)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="also draw them: a .png or .jpg")
    parser.add_argument("--root", type=Path, help="folder of the pictures (that of the training)")
    parser.add_argument("--json", action="store_true", help="print one object")


def run(args: argparse.Namespace) -> int:
    """Lists, and draws where a sheet is asked for."""
    from facedet.callbacks.hard_image_mining import KEY
    from facedet.training.resume import read_checkpoint

    content = read_checkpoint(str(args.checkpoint))
    if KEY not in content:
        raise FacedetError(
            f"{args.checkpoint} holds no difficulties: its training had mining=none, wanted him"
        )
    state = content[KEY]
    scores = latest_scores(state)
    rows = hardest(scores, state["names"], args.count)
    summary = {
        "images": len(state["names"]),
        "visited": int((~scores.isnan()).sum()),
        "easy": int(state["table"]["easy"].sum()),
        "epochs": len(state["history"]),
    }
    if args.sheet is not None:
        root = args.root or Path(_data(content)["root"])
        draw(args.sheet, rows, root, args.checkpoint)
    if args.json:
        print(json.dumps({**summary, "hardest": rows}, indent=1))
        return 0
    for row in rows:
        print(f"{row['score']:.4f}  {row['name']}")
    print(
        f"{summary['images']:,} training images, {summary['visited']:,} visited, "
        f"{summary['easy']:,} easy after {summary['epochs']:,} epochs"
    )
    return 0


def latest_scores(state: dict[str, Any]) -> "Tensor":
    """Each image's latest score [N], NaN where there is none; the begun epoch counts as well."""
    import torch

    scores = state["table"]["scores"].clone()
    begun = scores.new_full(scores.shape, 2.0)
    begun = begun.scatter_reduce(0, state["entries"], state["scores"], "amin")
    return torch.where(begun <= 1, begun, scores)


def hardest(scores: "Tensor", names: list[str], number: int) -> list[dict[str, Any]]:
    """Name and score of the visited images with the lowest scores, hardest first."""
    order = scores.nan_to_num(nan=2.0).argsort(stable=True)[:number].tolist()
    return [
        {"name": names[entry], "score": float(scores[entry])}
        for entry in order
        if not scores[entry].isnan()
    ]


def draw(path: Path, rows: list[dict[str, Any]], root: Path, checkpoint: Path) -> None:
    """Draws the pictures of `rows`, as far as `root`, in WIDER FACE's layout, holds them."""
    from facedet.callbacks.hard_image_mining import save_sheet
    from facedet.data.readers.wider import read_wider

    reading = read_wider(root, "train", images="present", faceless="keep")
    records = {record.name: record for record in reading.records}
    drawn = []
    for row in rows:
        name, is_mirrored = row["name"].removesuffix(" (mirrored)"), row["name"].endswith(")")
        if name in records:
            drawn.append((records[name], is_mirrored, row["score"]))
    if not drawn:
        raise FacedetError(f"{root}: none of the pictures of {checkpoint} is there; give --root")
    save_sheet(path, drawn)
    print(f"{path}: {len(drawn)} of {len(rows)} pictures")


def _data(content: dict[str, Any]) -> dict[str, Any]:
    from facedet.structures import CHECKPOINT_KEY

    return content[CHECKPOINT_KEY]["config"]["data"]
