"""Two processes do what one does: the same losses, and images that are drawn once."""

import csv
import os
import socket
import subprocess
import sys

import pytest

from facedet.data.crowds.dataset import make_crowds

# No batch normalisation, and a loss that is a mean over images: batches can be cut in two.
SETTINGS = [
    "preset=smallhardface", "augmentation=smallhardface", "augmentation.scales=[64]",
    "data.prepare=null", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_steps=4",
    "trainer.val_check_interval=100", "trainer.num_sanity_val_steps=0",
    "trainer.log_every_n_steps=1", "optimizer=sgd", "trainer.precision=32-true",
    "mining=him", "mining.threshold=0.0", "optimizer.lr=0.001", "trainer.gradient_clip_val=null",
    # Images of one size: what a smaller one is padded with depends on its batch.
    "augmentation.crop=0.0",
    "mining.probability=0.3",
]  # fmt: skip


def words_of(root, output, *words):
    """The command that trains with the settings above."""
    places = [f"data.root={root}", f"paths.output={output}"]
    return ["-m", "facedet.cli", "train", *SETTINGS, *places, *words]


def run_all(*commands):
    """Runs commands at the same time; all of them must succeed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), "\n".join(said)


def losses(root, output, *words):
    """The loss of every step, averaged over the processes, and the mined images."""
    run_all(words_of(root, output, *words))
    return read(output)


def read(output):
    """What a training into `output` has written."""
    with (output / "logs" / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (output / "mining.csv").open(newline="") as stream:
        mined = list(csv.DictReader(stream))
    return [float(row["train/loss"]) for row in rows if row["train/loss"]], mined


def free_port():
    """A port on this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
    # Two machines, each with a process group of its own, that meet at one address.
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
    meeting.append(f"--master-port={free_port()}")
    settings = ["data.batch_size=4", "trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2"]
    train = words_of(root, tmp_path / "apart", *settings)
    run_all(
        *(["-m", "torch.distributed.run", *meeting, f"--node-rank={n}", *train] for n in (0, 1))
    )
    apart, mined_apart = read(tmp_path / "apart")
    assert apart == pytest.approx(one, rel=0, abs=1e-5)
    assert [row["easy"] for row in mined_apart] == [row["easy"] for row in mined]
