"""Trainings of a few seconds, for tests that need one; their data is not among the settings."""

from contextlib import contextmanager

import torch

from facedet.config import compose
from facedet.training.hydra_app import is_setting, with_settings

# float32: in bfloat16 oneDNN leaves some of the gradients of a convolution of stride 2 on a map of
# one cell, which crops of 64 px have, as they lie in memory.
SMALL_TRAINING = (
    "preset=extd_ssd_32_relu", "augmentation.size=64", "data.batch_size=2", "data.num_workers=0",
    "trainer=cpu", "trainer.num_sanity_val_steps=0", "trainer.limit_val_batches=1", "estimate=off",
    "trainer.precision=32-true",
)  # fmt: skip
# A sixth of the layers, where the network does not matter.
TINY_NET = ("backbone.width=8", "backbone.blocks=[[1,2]]")


def training_config(*words):
    """The config of `facedet train WORDS`; Hydra composes once for words that only set values."""
    parts = [one for one in words if not is_setting(one)]
    return with_settings(compose("train", parts), words)


@contextmanager
def one_thread():
    """Sums in the order of processes that have OMP_NUM_THREADS=1."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
