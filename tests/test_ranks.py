"""Two processes do what one does: the same losses, and images that are drawn once."""

import csv
import os
import subprocess
import sys

import pytest

from facedet.data.crowds import make_crowds

# No batch normalisation, and a loss that is a mean over images: batches can be cut in two.
SETTINGS = [
    "preset=smallhardface", "augmentation=smallhardface", "augmentation.scales=[64]",
    "data.prepare=null", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_steps=4",
    "trainer.val_check_interval=100", "trainer.num_sanity_val_steps=0",
    "trainer.log_every_n_steps=1", "optimizer.lr=0.001", "mining=him", "mining.threshold=0.0",
    # Images of one size: what a smaller one is padded with depends on its batch.
    "augmentation.crop=0.0",
    "mining.probability=0.3",
]  # fmt: skip


def losses(root, output, *words):
    """The loss of every step, averaged over the processes, and the mined images."""
    words = [*SETTINGS, f"data.root={root}", f"paths.output={output}", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "facedet.cli", "train", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (output / "logs" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (output / "mining.csv").open(newline="") as stream:
        mined = list(csv.DictReader(stream))
    return [float(row["train/loss"]) for row in rows if row["train/loss"]], mined


@pytest.mark.slow
def test_two_processes_of_four_images_are_one_of_eight(tmp_path):
    root = make_crowds(tmp_path / "crowds", train_images=16, val_images=1, size=128, progress=False)
    one, mined = losses(root, tmp_path / "one", "data.batch_size=8", "trainer=default")
    two, mined_by_two = losses(
        root, tmp_path / "two", "data.batch_size=4", "trainer=ddp", "trainer.devices=2"
    )
    assert len(one) == 4
    assert two == pytest.approx(one, rel=0, abs=1e-5)
    # The tables are one table: all that either rank has seen counts.
    assert [row["visited"] for row in mined_by_two] == [row["visited"] for row in mined]
    assert [row["easy"] for row in mined_by_two] == [row["easy"] for row in mined]
