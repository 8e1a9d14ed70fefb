"""Two processes do what one does: the same losses, and images that are drawn once."""

import csv
import os
import socket
import subprocess
import sys

import pytest

from facedet.cli import main
from facedet.data.crowds.dataset import ensure_crowds
from facedet.weights.store import read_weights
from reference.small_training import one_thread

# No batch normalisation, and a loss that is a mean over images: batches can be cut in two.
SETTINGS = [
    "preset=smallhardface", "backbone.width_multiplier=0.125",
    "augmentation=smallhardface", "augmentation.scales=[64]",
    "data.prepare=null", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_steps=4",
    "trainer.val_check_interval=100", "trainer.num_sanity_val_steps=0",
    "trainer.log_every_n_steps=1", "optimizer=sgd", "trainer.precision=32-true",
    "mining=him", "mining.threshold=0.0", "optimizer.lr=0.001", "trainer.gradient_clip_val=null",
    # Images of one size: what a smaller one is padded with depends on its batch.
    "augmentation.crop=0.0",
    "mining.probability=0.3",
]  # fmt: skip


# As the console script does; `python -m` would tell Lightning another way to start ranks.
START = "import sys; from facedet.cli import main; sys.exit(main())"


def words_of(root, output, *words):
    """The arguments that train with the settings above."""
    return ["train", *SETTINGS, f"data.root={root}", f"paths.output={output}", *words]


def run_all(words, *environments):
    """Runs a command in these environments at the same time; all of them must succeed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", START, *words],
            env=environment | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for own in environments
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), "\n".join(said)


def read(output):
    """The loss of every step, averaged over the processes, and the mined images."""
    assert read_weights(output / "weights.safetensors").info["steps"] == 4
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


def machine(number, port):
    """What torchrun sets on one of two machines with a process each, which meet at an address."""
    return {
        "TORCHELASTIC_RUN_ID": "one", "RANK": str(number), "LOCAL_RANK": "0", "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": str(number), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip


@pytest.mark.slow
def test_two_processes_of_four_images_are_one_of_eight(tmp_path):
    root = ensure_crowds(tmp_path / "set", train_images=16, val_images=1, size=128, progress=False)
    with one_thread():
        words = words_of(root, tmp_path / "one", "data.batch_size=8", "trainer=default")
        assert main(words) == 0
    expected, mined = read(tmp_path / "one")
    assert len(expected) == 4
    halves = ("data.batch_size=4", "trainer=ddp")
    run_all(words_of(root, tmp_path / "two ü", *halves, "trainer.devices=2"), {})
    port = free_port()
    run_all(
        words_of(root, tmp_path / "apart", *halves, "trainer.devices=1", "trainer.num_nodes=2"),
        *(machine(number, port) for number in range(2)),
    )
    for name in ("two ü", "apart"):
        losses, mined_by_two = read(tmp_path / name)
        assert losses == pytest.approx(expected, rel=0, abs=1e-5)
        # The tables are one table: all that either rank has seen counts.
        for key in ("visited", "easy"):
            assert [row[key] for row in mined_by_two] == [row[key] for row in mined]
