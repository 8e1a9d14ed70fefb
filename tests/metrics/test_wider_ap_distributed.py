"""The WIDER FACE metric in two processes."""

import pytest
import torch
from wider_sets import feed, random_images

from facedet.metrics.wider import WiderAP


def run_rank(rank, folder, shares, results):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(shares)
    )
    metric = feed(WiderAP(), random_images(), shares[rank])
    values = {name: value.item() for name, value in metric.compute().items()}
    results[rank] = (values, metric.images, metric.detections)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(
    "shares",
    [
        [[0, 1, 2, 3], [4, 5]],
        [[0, 2, 4, 0], [1, 3, 5, 1]],  # padded by a sampler
        [[0, 1, 2, 3, 4, 5], []],
    ],
    ids=["uneven", "padded", "idle"],
)
@pytest.mark.filterwarnings("ignore")
def test_two_processes_agree_with_one(tmp_path, shares):
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.spawn(
            run_rank, args=(str(tmp_path), shares, results), nprocs=len(shares)
        )
        found = dict(results)
    alone = feed(WiderAP(), random_images(), range(6))
    expected = {name: value.item() for name, value in alone.compute().items()}
    assert found == {0: (expected, 6, 96), 1: (expected, 6, 96)}
