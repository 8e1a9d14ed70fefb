"""A real training, killed by the system at random moments, started again by the same command.

FACEDET_KILLS=20 kills so often, and not only once or twice.
"""

import os
import random
import signal
import time

import pytest
import torch

from facedet.cli import main
from facedet.data.crowds.dataset import ensure_crowds
from reference.commands import finish, start
from reference.small_training import SMALL_TRAINING, TINY_NET, one_thread

KILLS = int(os.environ.get("FACEDET_KILLS", "0"))
STEPS = 400 if KILLS else 40
SETTINGS = [
    *SMALL_TRAINING, *TINY_NET, "data.prepare=null", f"trainer.max_steps={STEPS}", "ckpt_path=auto",
    "trainer.val_check_interval=7", "callbacks.last.every_n_train_steps=2",
    "mining=him", "mining.threshold=0.0", "mining.probability=0.4",
    "~callbacks.throughput",  # images a second differ from run to run
]  # fmt: skip
MODES = {
    "one process": (),
    "workers": ("data.num_workers=2",),
    "two ranks": ("trainer=ddp", "trainer.accelerator=cpu"),
}
# Without FACEDET_KILLS: by the system, by a scheduler, by Ctrl-C.
FEW = {
    "one process": [signal.SIGKILL, signal.SIGINT],
    "workers": [],
    "two ranks": [signal.SIGTERM],
}


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "crowds"
    return ensure_crowds(root, train_images=10, val_images=2, size=160, progress=False)


def words(root, output, mode):
    return ["train", *SETTINGS, *MODES[mode], f"data.root={root}", f"paths.output={output}"]


def steps_done(output):
    path = output / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True, mmap=True)["global_step"] if path.is_file() else 0


def final(output):
    last = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(output / "checkpoints" / "best.ckpt", weights_only=True)
    return {f"last.{k}": v for k, v in last["state_dict"].items()} | {
        f"best.{k}": v for k, v in best["state_dict"].items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_killed_at_random_moments_a_training_ends_the_same(crowds, tmp_path, mode):
    signals = [signal.SIGKILL] * KILLS or FEW[mode]
    if not signals:
        pytest.skip("with FACEDET_KILLS=20 only: the other modes cover it in little time")
    if mode == "one process":
        with one_thread():
            assert main(words(crowds, tmp_path / "whole", mode)) == 0
    else:
        finish(words(crowds, tmp_path / "whole", mode), tmp_path / "whole.log")
    output, log, draw = tmp_path / "killed", tmp_path / "killed.log", random.Random(0)
    killed = 0
    for number in signals:
        process = start(words(crowds, output, mode), log)
        before, began = steps_done(output), time.monotonic()
        # Starting takes seconds in which nothing happens: most kills shall hit the training.
        while steps_done(output) == before and process.is_alive():
            time.sleep(0.05)
            if time.monotonic() - began > 60:
                break
        time.sleep(draw.uniform(0, 1.5 if KILLS else 0.3))
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
            process.join()
        else:  # to the first process alone, as a scheduler does
            os.kill(process.pid, number)
            process.join(60)
            if steps_done(output) < STEPS:  # else it had ended before the signal came
                assert process.exitcode == 128 + number
                said = f"{number.name} at step {steps_done(output)}: everything is saved"
                assert said in log.read_text()
        if steps_done(output) == STEPS:
            break
        killed += 1
    print(f"{mode}: {killed} times ended amid the training")
    finish(words(crowds, output, mode), log)
    expected, found = final(tmp_path / "whole"), final(output)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(value, found[key]), key
    same = (tmp_path / "whole" / "logs" / "metrics.csv").read_text()
    assert (output / "logs" / "metrics.csv").read_text() == same
