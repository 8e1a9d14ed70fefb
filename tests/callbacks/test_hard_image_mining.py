"""What the callback does to the table and the sampler; `test_resume` interrupts it."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facedet.callbacks.hard_image_mining import KEY, HardImageMining
from facedet.data.difficulty import DifficultyRule, DifficultyTable
from facedet.data.loader import ResumableLoader
from facedet.data.samplers import DifficultySampler, PerRankSampler
from facedet.errors import FacedetError, UsageError
from facedet.plots import save_picture
from facedet.structures import NO_POSITIVE, Record

IMAGES, BATCH = 200, 10


class Entries(torch.utils.data.Dataset):
    def __len__(self):
        return IMAGES

    def __getitem__(self, draw):
        return draw.index


class Panels:
    """A logger that takes panels and keeps them."""

    def __init__(self):
        self.taken = []

    def log_curves(self, *_):
        raise AssertionError

    def log_pictures(self, name, pictures, step):
        self.taken.append((name, pictures))

    def log_rows(self, name, columns, rows, step):
        self.taken.append((name, [columns, *rows]))


def record_of(entry):
    return SimpleNamespace(path=f"/data/{entry}.jpg"), False


def make_trainer(folder, rule=None, tables=1, limit=1.0, **data):
    """As much of a trainer as the callback looks at, over 200 images in batches of 10."""
    tables = [DifficultyTable(IMAGES, rule or DifficultyRule()) for _ in range(tables)]
    given = {"difficulties": tables, "name_of": lambda entry: f"E/{entry}", "record_of": record_of}
    sampler = (
        DifficultySampler(tables[0], batch_size=BATCH)
        if len(tables) == 1
        else PerRankSampler(tables, 0, 0, BATCH)
    )
    loader = ResumableLoader(Entries(), sampler, BATCH, limit=limit)
    epoch_loop = SimpleNamespace(_batches_that_stepped=0)
    logged = []
    logger = SimpleNamespace(log_metrics=lambda values, step: logged.append(values))
    return SimpleNamespace(
        datamodule=SimpleNamespace(**given | data),
        train_dataloader=loader, fit_loop=SimpleNamespace(epoch_loop=epoch_loop), loggers=[logger],
        world_size=1, global_rank=0, is_global_zero=True, current_epoch=0, global_step=0,
        default_root_dir=str(folder), logged=logged,
    )  # fmt: skip


def visit(callback, trainer, scores):
    """A step with a batch of these entries."""
    batch = (None, [SimpleNamespace(index=entry) for entry in scores])
    outputs = {"hardest_positive": torch.tensor(list(scores.values()))}
    callback.on_train_batch_end(trainer, None, outputs, batch, 0)


def run_epoch(callback, trainer, epoch, score_of):
    """One epoch with given scores; the entries drawn."""
    trainer.current_epoch = epoch
    trainer.train_dataloader.batch_sampler.sampler.set_epoch(epoch)
    drawn = []
    for entries in trainer.train_dataloader:
        visit(callback, trainer, {entry: score_of(entry) for entry in entries.tolist()})
        drawn += entries.tolist()
    callback.on_train_epoch_end(trainer, None)
    return drawn


def test_the_share_of_hard_images_rises_to_what_the_rule_predicts(tmp_path):
    """A tenth is hard: after the first epoch 0.1 / (0.1 + 0.9 * 0.3) = 0.27 of the drawn are."""
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    hard = set(range(0, IMAGES, 10))
    drawn = [
        run_epoch(callback, trainer, e, lambda i: 0.2 if i in hard else 0.95) for e in range(40)
    ]
    assert len(drawn[0]) == IMAGES
    assert len(hard.intersection(drawn[0])) / len(drawn[0]) == 0.1
    later = [image for one in drawn[1:] for image in one]
    share = sum(image in hard for image in later) / len(later)
    # 39 epochs of about 74 images: four standard errors of the share are 0.033.
    assert share == pytest.approx(0.1 / 0.37, abs=0.033)


def test_every_epoch_leaves_a_row_whose_numbers_add_up(tmp_path):
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    run_epoch(callback, trainer, 0, lambda i: 0.9 if i < 150 else 0.1)
    run_epoch(callback, trainer, 1, lambda i: 0.1)
    with (tmp_path / "mining.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["drawn"], first["easy"], first["became_easy"]) == ("200", "150", "150")
    assert (first["bin_0.10"], first["bin_0.90"]) == ("50", "150")
    # Of the 150 easy ones those that were drawn again became hard; the others keep their flag.
    assert int(second["easy"]) == 150 - int(second["became_hard"])
    left = 150 - int(second["became_hard"])
    assert int(second["left_out"]) <= left < int(second["left_out"]) + BATCH
    assert trainer.logged[1]["mining/became_hard"] == int(second["became_hard"])


def test_the_visited_pictures_are_listed_hardest_first(tmp_path):
    """Of an epoch that is cut short, too, of which W&B, that takes no row back, is sent none."""
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    trainer.datamodule.record_of = lambda e: (SimpleNamespace(path=f"/d/{e % 2}"), e > 1)
    visit(callback, trainer, {3: 0.25, 0: 0.5, 1: 0.125, 7: 0.875})
    callback.on_train_epoch_end(trainer, None)
    assert trainer.datamodule.difficulties[0].easy.nonzero().flatten().tolist() == [7]
    assert (tmp_path / "hardest.csv").read_text().splitlines() == [
        "score,mirrored,path", "0.125000,0,/d/1", "0.250000,1,/d/1", "0.500000,0,/d/0",
        "0.875000,1,/d/1",
    ]  # fmt: skip
    assert (len(callback.history), trainer.logged) == (1, [])


def test_an_epoch_ends_with_the_last_batch_of_its_limit(tmp_path):
    """Otherwise a checkpoint of that batch would resume in the middle of an epoch that is over."""
    callback, trainer = HardImageMining(), make_trainer(tmp_path, limit=3)
    for count, entries in enumerate(trainer.train_dataloader):
        visit(callback, trainer, dict.fromkeys(entries.tolist(), 1.0))
        assert len(callback.history) == (count == 2)
        assert trainer.train_dataloader.state_dict() == {"images": [10, 20, 0][count]}
        if count == 2:
            break
    assert callback.history[0]["drawn"] == 30
    # A share of the batches, as Lightning counts it.
    assert make_trainer(tmp_path, limit=0.27).train_dataloader.epoch_length == 5


def test_images_without_a_positive_have_a_column(tmp_path):
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    run_epoch(callback, trainer, 0, lambda i: NO_POSITIVE if i < 60 else 0.9 if i < 100 else 0.5)
    (row,) = callback.history
    assert (row["no_positive"], row["easy"], row["easy_share"]) == (60, 40, 0.2)
    assert sum(row[name] for name in row if name.startswith("bin_")) == 140
    assert trainer.logged[0]["mining/no_positive"] == 60
    assert len((tmp_path / "hardest.csv").read_text().splitlines()) == 141


def test_the_scores_of_every_epoch_are_kept_and_drawn(tmp_path):
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    run_epoch(callback, trainer, 0, lambda i: 0.75)
    content = {}
    callback.on_save_checkpoint(trainer, None, content)
    run_epoch(callback, trainer, 1, lambda i: 0.875)
    trainer.datamodule.difficulties[0].record(torch.arange(IMAGES), torch.ones(IMAGES))
    drawn = run_epoch(callback, trainer, 2, lambda i: 0.25 if i % 2 else NO_POSITIVE)
    scores = np.load(tmp_path / "mining.npy")
    assert (scores.dtype, scores.shape) == (np.float16, (3, IMAGES))
    assert set(scores[0]) == {0.75}
    left_out = sorted(set(range(IMAGES)) - set(drawn))
    assert left_out
    assert np.isnan(scores[2]).nonzero()[0].tolist() == left_out
    assert set(scores[2][drawn]) == {0.25, NO_POSITIVE}
    # No picture has a score that could be drawn: their files do not exist.
    trainer.datamodule.difficulties[0].scores[:] = NO_POSITIVE
    trainer.loggers = [Panels()]
    callback.on_train_end(trainer, None)
    assert (tmp_path / "mining.png").stat().st_size > 1000
    ((name, (picture,)),) = trainer.loggers[0].taken
    assert (name, picture.name) == ("mining/course", "mining")
    trainer.loggers = []
    # Resumed after the first epoch: what followed is replaced.
    other = HardImageMining()
    other.on_load_checkpoint(trainer, None, content)
    run_epoch(other, trainer, 1, lambda i: 0.5)
    scores = np.load(tmp_path / "mining.npy")
    assert [set(row) for row in scores] == [{0.75}, {0.5}]
    # Without the file, which may lie elsewhere, the rows before are open.
    (tmp_path / "mining.npy").unlink()
    run_epoch(other, trainer, 2, lambda i: 0.5)
    assert np.isnan(np.load(tmp_path / "mining.npy")).all(axis=1).tolist() == [True, True, False]


def test_a_training_without_a_table_is_refused():
    trainer = SimpleNamespace(datamodule=SimpleNamespace(difficulties=[]))
    HardImageMining().setup(trainer, None, "validate")
    with pytest.raises(UsageError, match="needs a table: take mining=him"):
        HardImageMining().setup(trainer, None, "fit")


def test_each_process_has_a_table_of_its_own(tmp_path, monkeypatch):
    """Two processes that saw the same images with other scores."""
    callback, trainer = HardImageMining(), make_trainer(tmp_path, tables=2)

    def gather(_, mine):
        entries, scores = mine
        return [mine, (entries, 1 - scores)]

    monkeypatch.setattr("facedet.callbacks.hard_image_mining.all_gather", gather)
    run_epoch(callback, trainer, 0, lambda i: 0.875 if i < 50 else 0.125 if i < 150 else 0.5)
    first, second = trainer.datamodule.difficulties
    assert first.easy.nonzero().flatten().tolist() == list(range(50))
    assert second.easy.nonzero().flatten().tolist() == list(range(50, 150))
    (row,) = callback.history
    assert (row["drawn"], row["easy"], row["easy_share"]) == (400, 150, 150 / 400)
    # The files go by the lower score.
    assert (tmp_path / "hardest.csv").read_text().splitlines()[1].startswith("0.125000,0,/data/0.")
    assert set(np.load(tmp_path / "mining.npy")[0]) == {0.125, 0.5}
    content = {}
    callback.on_save_checkpoint(trainer, None, content)
    torch.save(content, tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    fresh = make_trainer(tmp_path, tables=2)
    HardImageMining().on_load_checkpoint(fresh, None, content)
    for one, other in zip(fresh.datamodule.difficulties, (first, second), strict=True):
        assert torch.equal(one.easy, other.easy)
    with pytest.raises(FacedetError, match="has 2 tables of difficulties, expected 1"):
        HardImageMining().on_load_checkpoint(make_trainer(tmp_path), None, content)


def test_table_and_visits_go_through_a_checkpoint(tmp_path):
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    run_epoch(callback, trainer, 0, lambda i: 0.9 if i < 20 else 0.1)
    trainer.train_dataloader.load_state_dict({"images": 0})
    visit(callback, trainer, {3: 0.25, 40: 0.5})
    content = {}
    callback.on_save_checkpoint(trainer, None, content)
    torch.save(content, tmp_path / "a.ckpt")
    read = torch.load(tmp_path / "a.ckpt", weights_only=True)
    other, fresh = HardImageMining(), make_trainer(tmp_path / "other")
    (tmp_path / "other").mkdir()
    other.on_load_checkpoint(fresh, None, read)
    (table,), (same,) = trainer.datamodule.difficulties, fresh.datamodule.difficulties
    assert torch.equal(same.easy, table.easy)
    other.on_train_epoch_end(fresh, None)
    assert float(same.scores[3]) == 0.25
    assert len(other.history) == 2


def test_the_ranks_share_the_visits_of_a_checkpoint(tmp_path):
    state = {
        "table": DifficultyTable(IMAGES, DifficultyRule()).state_dict(), "history": [],
        "entries": torch.arange(5), "scores": torch.linspace(0, 1, 5)
    }  # fmt: skip
    taken = []
    for rank in range(2):
        callback, trainer = HardImageMining(), make_trainer(tmp_path)
        trainer.world_size, trainer.global_rank = 2, rank
        callback.on_load_checkpoint(trainer, None, {KEY: state})
        taken += callback._visits[0][0].tolist()
    assert sorted(taken) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("bad", [float("nan"), -0.5, 1.5])
def test_a_score_that_is_none_names_its_image_and_spoils_nothing(tmp_path, bad):
    callback, trainer = HardImageMining(), make_trainer(tmp_path)
    with pytest.raises(FacedetError, match=r"E/7: its difficulty"):
        run_epoch(callback, trainer, 0, lambda i: bad if i == 7 else 0.9)
    assert trainer.datamodule.difficulties[0].scores.isnan().all()
    assert not (tmp_path / "mining.csv").exists()


def test_the_hardest_pictures_are_drawn_and_logged_at_the_end(tmp_path):
    """Boxes of a mirrored picture of 40 px: x1' = 40 - 10 - 1 = 29 and x2' = 40 - 2 - 1 = 37."""
    path = tmp_path / "a.png"
    save_picture(path, np.zeros((20, 40, 3), np.uint8))
    boxes = np.array([[2, 3, 10, 12]], np.float32)
    record = Record("E/a", path, boxes, np.array([False]), {})
    trainer = make_trainer(tmp_path, record_of=lambda entry: (record, entry == 1))
    trainer.loggers = [Panels(), *trainer.loggers]
    callback = HardImageMining()
    callback.on_train_end(trainer, None)
    assert not (tmp_path / "hardest.png").exists()  # nothing was visited
    trainer.datamodule.difficulties[0].record(torch.tensor([0, 1]), torch.tensor([0.5, 0.25]))
    callback.on_train_end(trainer, None)
    assert (tmp_path / "hardest.png").stat().st_size > 1000
    ((name, (columns, *rows)),) = trainer.loggers[0].taken
    assert (name, columns) == ("mining/hardest", ("name", "score", "faces", "picture"))
    assert [row[:3] for row in rows] == [("E/1", 0.25, 1), ("E/0", 0.5, 1)]
    assert [row[3].faces.tolist() for row in rows] == [[[29, 3, 37, 12]], [[2, 3, 10, 12]]]
