"""`logger=wandb` against real offline runs: their files are read back record by record."""

import csv
import json
import logging
import struct
import time

import numpy as np
import psutil
import pytest
import yaml
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from facedet.cli import main
from facedet.errors import FacedetError, UsageError
from facedet.loggers.guarded_wandb import GuardedWandbLogger
from facedet.loggers.sent_steps import RUN_FILE, SentSteps
from facedet.loggers.wandb import log_report, make_wandb_loggers, mode
from facedet.modules.base import DetectionModule
from facedet.plots import save_picture
from reference.small_training import SMALL_TRAINING

STEP = "trainer/global_step"
BLOCK = 32_768
SMALL = [
    *SMALL_TRAINING, "data.prepare=null", "trainer.log_every_n_steps=1", "optimizer=adamw",
    "trainer.limit_val_batches=2", "logger=wandb",
]  # fmt: skip


def records(path):
    """The records of a `.wandb` file: 7 bytes of header, then LevelDB's log format.

    Each chunk is checksum (4), length (2) and type (1), and no chunk crosses a block; a record in
    one chunk has type 1, one in several 2, 3 … 3, 4.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    place, parts, found = 7, b"", []
    while place + 7 <= len(data):
        rest = BLOCK - place % BLOCK
        if rest < 7:
            place += rest
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            try:
                found.append(Record.FromString(parts))
            except DecodeError:  # the service is still writing it
                break
            parts = b""
    return found


class Run:
    """What the files of a folder's run hold, in the order of their writing."""

    def __init__(self, folder):
        self.files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
        ends = time.monotonic() + 10
        while True:
            self.records = [record for file in self.files for record in records(file)]
            # W&B's service closes the file a moment after it has said that all is done.
            if len(self.of("exit")) == len(self.files) or time.monotonic() > ends:
                break
            time.sleep(0.05)

    def of(self, kind):
        return [getattr(r, kind) for r in self.records if r.WhichOneof("record_type") == kind]

    def history(self):
        """The rows as dicts, with nested keys joined by dots."""
        return [items(row.item) for row in self.of("history")]

    def summary(self):
        values = {}
        for row in self.of("summary"):
            values |= items(row.update)
        return values

    def config(self):
        """What was sent, without W&B's own notes."""
        sent = [one for row in self.of("config") for one in row.update]
        own = ("", "_wandb")  # the first one: of a nested key
        return {one.key: json.loads(one.value_json) for one in sent if one.key not in own}


def items(rows):
    return {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in rows}


def numbers(rows):
    """The rows' plain numbers as (step, name, value), without W&B's own columns and `epoch`."""
    return sorted(
        (row[STEP], key, float(value))
        for row in rows
        for key, value in row.items()
        if not key.startswith("_") and key not in (STEP, "epoch") and "." not in key
    )


def csv_numbers(folder):
    with (folder / "logs" / "metrics.csv").open(newline="") as stream:
        return sorted(
            (int(row["step"]), key, float(value))
            for row in csv.DictReader(stream)
            for key, value in row.items()
            if value and key not in ("step", "epoch")
        )


def warnings(caplog):
    """What facedet has warned of."""
    found = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [record.getMessage() for record in found if record.name.startswith("facedet.")]


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory):
    """W&B offline, and everything it keeps outside of a run in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        own = tmp_path_factory.mktemp("wandb")
        for word in ("DATA", "CACHE", "CONFIG"):
            patch.setenv(f"WANDB_{word}_DIR", str(own))
        patch.setenv("WANDB_MODE", "offline")
        for word in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_RUN_GROUP"):
            patch.delenv(word, raising=False)
        yield


@pytest.fixture(scope="module")
def sweep(crowds, tmp_path_factory):
    """The folders of two jobs in one process."""
    folder = tmp_path_factory.mktemp("sweeps") / "first"
    words = [*SMALL, "mining=him", f"data.root={crowds}", "trainer.max_steps=3",
             "trainer.val_check_interval=3", "logger.log_model=true"]  # fmt: skip
    assert main(["train", "-m", *words, "seed=1,2", f"hydra.sweep.dir={folder}"]) == 0
    return [folder / str(number) for number in range(2)]


@pytest.fixture(scope="module")
def runs(sweep):
    return [Run(folder) for folder in sweep]


def test_every_job_is_a_run_of_its_own(runs, sweep):
    described = [run.of("run")[0] for run in runs]
    ids = [one.run_id for one in described]
    assert len(set(ids)) == 2
    assert [(len(run.files), len(run.of("exit"))) for run in runs] == [(1, 1)] * 2
    for seed, (one, folder) in enumerate(zip(described, sweep, strict=True), 1):
        assert one.project == "facedet"
        assert one.display_name.startswith(f"seed={seed} extd_ssd_32_relu augmentation.size=64 ")
        assert len(one.display_name) == 128
        assert one.run_group == "train first"
        assert list(one.tags) == ["extd_ssd_32_relu", "crowds"]
        assert (folder / RUN_FILE).read_text().split()[0] == one.run_id


def test_the_command_is_the_one_that_was_typed(runs):
    for run in runs:
        told = next(one for one in run.of("environment") if one.args)
        assert list(told.args)[:3] == ["train", "-m", "preset=extd_ssd_32_relu"]
        assert "seed=1,2" in told.args
        assert told.program == "facedet"


def test_the_history_is_that_of_the_csv_file(runs, sweep):
    for run, folder in zip(runs, sweep, strict=True):
        expected = csv_numbers(folder)
        assert numbers(run.history()) == expected
        names = {name for _, name, _ in expected}
        assert {
            "train/loss", "train/images_per_second", "val/loss", "lr-AdamW", "wider/medium",
            "mining/easy_share",
        } <= names  # fmt: skip
    assert len({str(numbers(run.history())) for run in runs}) == 2


def test_the_config_is_the_resolved_one(runs, sweep):
    for seed, (run, folder) in enumerate(zip(runs, sweep, strict=True), 1):
        told = run.config()
        stored = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
        assert told.pop("cost") == {"parameters": 56_038, "multiply_adds_640": 5_352_550_400}
        assert told.keys() == stored.keys() - {"hydra"}
        assert told["seed"] == seed
        assert told["model"]["optimizer"]["_target_"] == "torch.optim.AdamW"
        assert "${" not in json.dumps(told)


def test_the_x_axis_and_the_summary(runs):
    for run in runs:
        metrics = {one.glob_name or one.name: one for one in run.of("metric")}
        names = {"wider/easy", "wider/medium", "wider/hard"}
        assert metrics.keys() == {STEP, "*"} | names
        assert {metrics[name].step_metric for name in names | {"*"}} == {STEP}
        assert [metrics[name].summary.max for name in sorted(names)] == [True] * 3
        assert not metrics["*"].summary.max
        for name in names:
            best = max(row[name] for row in run.history() if name in row)
            assert run.summary()[name] == {"max": best}


def test_pictures_carry_true_and_found_boxes(runs, sweep):
    run, folder = runs[0], sweep[0]
    (row,) = [row for row in run.history() if "validation/pictures.count" in row]
    assert (row["validation/pictures.count"], row[STEP]) == (2, 3)
    assert len(set(row["validation/pictures.captions"])) == 2
    files = run.files[0].parent / "files"
    for name, boxes in zip(
        row["validation/pictures.filenames"], row["validation/pictures.all_boxes"], strict=True
    ):
        assert (files / name).stat().st_size > 0
        layers = {key: json.loads((files / boxes[key]["path"]).read_text()) for key in boxes}
        assert layers.keys() == {"truth", "found"}
        assert layers["truth"]["box_data"][0]["domain"] == "pixel"
        for found in layers["found"]["box_data"]:
            assert 0.3 <= found["scores"]["score"] <= 1
    assert (folder / "images" / "step_0000003.jpg").is_file()
    assert (folder / "images" / "precision_recall.png").is_file()


def test_curves_hardest_pictures_and_crops_are_shown(runs):
    run = runs[1]
    folder = run.files[0].parent / "files" / "media" / "table"
    (curves,) = [json.loads(p.read_text()) for p in folder.glob("validation/curves*.json")]
    assert curves["columns"] == ["step", "lineKey", "lineVal"]
    assert {row[1] for row in curves["data"]} <= {"easy", "medium", "hard"}
    assert all(0 <= row[0] <= 1 and 0 <= row[2] <= 1 for row in curves["data"])
    (hardest,) = [json.loads(p.read_text()) for p in folder.glob("mining/hardest*.json")]
    assert hardest["columns"] == ["name", "score", "faces", "picture"]
    scores = [row[1] for row in hardest["data"]]
    # Six pictures, less those whose crop had no anchor well on a face.
    assert 0 < len(scores) <= 6
    assert scores == sorted(scores)
    rows = [row for row in run.history() if "train/crops.count" in row]
    assert [(row["train/crops.count"], row[STEP]) for row in rows] == [(2, 0)]


def test_weights_are_an_artifact_and_checkpoints_on_request(runs):
    for run in runs:
        models = [one for one in run.of("artifact") if one.type == "model"]
        assert [one.name for one in models] == [f"model-{run.of('run')[0].run_id}"] * 3
        aliases = [set(one.aliases) - {"latest"} for one in models]
        assert aliases == [{"weights"}, {"best"}, {"last"}]
        paths = [content.path for one in models for content in one.manifest.contents]
        assert paths == ["weights.safetensors", "best.ckpt", "last.ckpt"]


@pytest.fixture(scope="module")
def resumed(crowds, tmp_path_factory):
    """A training that dies in its fourth step, with the checkpoint of the second, and goes on."""
    folder = tmp_path_factory.mktemp("resumed") / "run"
    words = [*SMALL, f"data.root={crowds}", f"paths.output={folder}", "trainer.max_steps=5",
             "trainer.val_check_interval=3", "callbacks.last.every_n_train_steps=2",
             "~callbacks.throughput", "logger.name=ours", "logger.tags=[mine]",
             "logger.group=pair"]  # fmt: skip
    step = DetectionModule.training_step

    def dying(self, batch, batch_index):
        if self.trainer.global_step == 3:
            raise FacedetError("the machine is on fire")
        return step(self, batch, batch_index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DetectionModule, "training_step", dying)
        assert main(["train", *words]) == 1
    assert main(["train", *words, "ckpt_path=last"]) == 0
    return folder


def test_a_resumed_run_is_the_same_and_sends_no_step_twice(resumed):
    run = Run(resumed)
    first, second = run.of("run")
    assert first.run_id == second.run_id
    assert [one.display_name for one in (first, second)] == ["ours", "ours"]
    assert (list(second.tags), second.run_group) == (["mine"], "pair")
    assert [one.exit_code for one in run.of("exit")] == [1, 0]
    found = numbers(run.history())
    assert found == csv_numbers(resumed)
    # Steps 0 … 2 were sent before the end, the checkpoint was of 2 steps: step 2 was done twice.
    assert [step for step, name, _ in found if name == "train/loss"] == [0, 1, 2, 3, 4]
    places = [row["_step"] for row in run.history()]
    assert places == sorted(set(places)), "W&B refuses rows that go back"


def test_the_end_of_the_service_stops_no_training(crowds, tmp_path, monkeypatch):
    """Killed in the first of two jobs; the second one has a service of its own."""
    step, killed = DetectionModule.training_step, []

    def killing(self, batch, batch_index):
        if self.trainer.global_step == 1 and not killed:
            # Other tests' services have their own parents.
            for process in psutil.Process().children(recursive=True):
                if "wandb-core" in process.name():
                    process.kill()
                    killed.append(process)
            psutil.wait_procs(killed)
        return step(self, batch, batch_index)

    monkeypatch.setattr(DetectionModule, "training_step", killing)
    words = [*SMALL, f"data.root={crowds}", "trainer.max_steps=3",
             "trainer.val_check_interval=3", f"hydra.sweep.dir={tmp_path}"]  # fmt: skip
    assert main(["train", "-m", *words, "seed=1,2"]) == 0
    assert len(killed) == 1
    told = [job.read_text() for job in (tmp_path / "0" / "train.log", tmp_path / "1" / "train.log")]
    warned = [[line for line in text.splitlines() if "[INFO]" not in line] for text in told]
    assert ([len(lines) for lines in warned]) == [1, 0], warned
    assert "W&B fails (Connection " in warned[0][0]
    assert "): the training continues without it; logs/metrics.csv has all" in warned[0][0]
    for job in ("0", "1"):
        losses = [s for s, name, _ in csv_numbers(tmp_path / job) if name == "train/loss"]
        assert losses == [0, 1, 2]
        assert (tmp_path / job / "weights.safetensors").is_file()
    assert numbers(Run(tmp_path / "1").history()) == csv_numbers(tmp_path / "1")


def make_logger(folder, how="offline", **changed):
    settings = {
        "described": {"project": "p", "name": "n"}, "best_of": ["wider/*"], "log_model": False,
        "timeouts": {"init_timeout": 1, "finish_timeout": 5},
    }  # fmt: skip
    return GuardedWandbLogger(str(folder), how, **settings | changed)


def test_off_means_off(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    history, run = make_wandb_loggers(str(tmp_path / "run"), "p")
    run.log_hyperparams({"a": 1})
    run.log_metrics({"a": 1.0}, 0)
    run.log_curves("c", {}, 0)
    run.end_run(is_failed=False)
    assert not (tmp_path / "run").exists()
    history.log_metrics({"a": 1.0}, 0)
    history.save()
    assert csv_numbers(tmp_path / "run") == [(0, "a", 1.0)]


def test_only_the_first_process_logs(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    run = make_logger(tmp_path / "run")
    run.log_hyperparams({"a": 1})
    run.log_metrics({"a": 1.0}, 0)
    run.end_run(is_failed=False)
    assert not (tmp_path / "run").exists()


def test_a_server_that_does_not_answer_makes_the_run_offline(tmp_path, caplog, monkeypatch):
    import wandb

    begin, asked = wandb.init, []

    def init(**given):
        asked.append(given["mode"])
        if given["mode"] == "online":
            raise wandb.errors.CommError("Timed out\nConsider increasing the init_timeout")
        return begin(**given)

    monkeypatch.setattr(wandb, "init", init)
    run = make_logger(tmp_path, "online")
    run.log_metrics({"a": 1.0}, 0)
    run.log_metrics({"a": 2.0}, 1)
    run.log_curves("c", {"easy": (np.zeros(3), np.zeros(3))}, 1)  # nothing was found
    run.end_run(is_failed=False)
    assert asked == ["online", "offline"]
    (message,) = warnings(caplog)
    assert message.startswith("W&B cannot be reached (Timed out): the run is kept in ")
    history = Run(tmp_path).history()
    assert numbers(history) == [(0, "a", 1.0), (1, "a", 2.0)]
    assert [row["c_table.nrows"] for row in history if "c_table.nrows" in row] == [0]


@pytest.mark.slow
def test_no_server_at_all(tmp_path, caplog, monkeypatch):
    """A port that nothing listens on, and a key; W&B's own wait is 10 s."""
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.delenv("WANDB_MODE")
    run = make_logger(tmp_path, mode())
    run.log_metrics({"a": 1.0}, 0)
    run.end_run(is_failed=False)
    assert len(warnings(caplog)) == 1
    assert numbers(Run(tmp_path).history()) == [(0, "a", 1.0)]


class Broken:
    """A run all of whose calls fail."""

    id = "x"

    def __getattr__(self, name):
        raise BrokenPipeError("[Errno 32] Broken pipe")


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.log_hyperparams({"a": 1}),
        lambda run: run.log_metrics({"a": 1.0}, 0),
        lambda run: run.log_metrics({"a": 1.0}),
        lambda run: run.log_pictures("p", [], 0),
        lambda run: run.log_curves("c", {"easy": (np.ones(2), np.ones(2))}, 0),
        lambda run: run.log_rows("h", ["a"], [], 0),
        lambda run: run.end_run(is_failed=False),
        lambda run: run.log_files({"last": run.file}),
    ],
)
def test_no_call_fails(tmp_path, caplog, call):
    run = make_logger(tmp_path, log_model=True)
    run.file = tmp_path / "last.ckpt"
    run.file.touch()
    run._experiment, run._sent = Broken(), SentSteps(tmp_path / RUN_FILE, is_resumed=False)
    call(run)
    run.log_metrics({"b": 1.0}, 1)
    (message,) = warnings(caplog)
    assert message.startswith("W&B fails ([Errno 32] Broken pipe): the training continues")


def test_a_row_is_sent_as_far_as_it_is_new(tmp_path):
    sent = SentSteps(tmp_path / RUN_FILE, is_resumed=False)
    sent.note({"loss": 1.0, "epoch": 0}, 4)
    sent.note({"ap": 0.5, "epoch": 0}, 3)
    again = SentSteps(tmp_path / RUN_FILE, is_resumed=True)
    assert (again.id, again.rows) == (sent.id, 2)
    assert again.unsent({"loss": 1.0, "epoch": 0}, 4) == {}
    # Of step 4 the loss was sent, but not the AP; the epoch goes with whatever is.
    assert again.unsent({"loss": 1.0, "ap": 0.6, "epoch": 0}, 4) == {"ap": 0.6, "epoch": 0}
    assert again.unsent({"loss": 1.0}, 5) == {"loss": 1.0}
    assert SentSteps(tmp_path / RUN_FILE, is_resumed=False).id != sent.id
    (tmp_path / RUN_FILE).write_text("abc\n")  # of an older version
    again = SentSteps(tmp_path / RUN_FILE, is_resumed=True)
    assert (again.id, again.unsent({"a": 1}, 0)) == ("abc", {"a": 1})


def test_a_report_is_a_run_with_a_table_and_a_drawing(tmp_path):
    (tmp_path / "report.csv").write_text("rank,width\n1,48\n2,32\n")
    save_picture(tmp_path / "pareto.png", np.zeros((8, 16, 3), np.uint8))
    log_report(tmp_path, "report x", tmp_path / "report.csv", tmp_path / "pareto.png")
    run = Run(tmp_path)
    assert run.of("run")[0].display_name == "report x"
    (table,) = (run.files[0].parent / "files" / "media" / "table").rglob("*.json")
    told = json.loads(table.read_text())
    assert (told["columns"], told["data"]) == (["rank", "width"], [["1", "48"], ["2", "32"]])
    assert [row["report/trade_offs.count"] for row in run.history()[1:]] == [1]


def test_mode(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    for word in ("offline", "dryrun"):
        monkeypatch.setenv("WANDB_MODE", word)
        assert mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(UsageError, match="WANDB_MODE=of: expected online, offline or disabled"):
        mode()
    monkeypatch.setenv("WANDB_MODE", "online")
    assert mode() == "offline", "there is no key"
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert mode() == "online"
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password k\n")
    assert mode() == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert mode() == "offline", "the key is of another server"
    (tmp_path / "own").write_text("machine wandb.example.org login user password k\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "own"))
    assert mode() == "online"


def test_a_job_describes_what_config_and_environment_leave_open(tmp_path, monkeypatch):
    def described(**config):
        _, run = make_wandb_loggers(str(tmp_path), "p", **config)
        run.describe(name="n", group="g", tags=["t"], command=[])
        return [run._wandb_init[key] for key in ("group", "name", "tags")]

    assert described() == ["g", "n", ["t"]]
    monkeypatch.setenv("WANDB_RUN_GROUP", "theirs")
    assert described() == ["theirs", "n", ["t"]]
    assert described(group="ours", name="x", tags=[]) == ["ours", "x", []]


def test_an_evaluation_is_a_run_of_its_own(weights, wider, tmp_path):
    out = tmp_path / "out"
    words = ["evaluate", f"weights={weights}", "data=wider", f"data.root={wider}", "logger=wandb",
             f"paths.output={out}", "limit=2"]  # fmt: skip
    assert main(words) == 0
    run = Run(out)
    expected = [(0, f"wider/{subset}", 1.0) for subset in ("easy", "hard", "medium")]
    assert numbers(run.history()) == csv_numbers(out) == expected
    keys = {key.partition(".")[0] for row in run.history() for key in row}
    for panel in ("evaluation/pictures", "evaluation/curves"):
        assert any(key.startswith(panel) for key in keys)
    assert run.config()["protocol"]["name"] == "wider_single"
    assert len(run.of("exit")) == 1
