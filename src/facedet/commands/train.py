"""`facedet train`: a config to a trained detector; also a plain Hydra application."""

import argparse
import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from facedet.config import CONF_DIR, build, plain
from facedet.errors import FacedetError, InterruptedTrainingError, UsageError
from facedet.training.hydra_app import JobEndError, add_hydra_arguments, run_app, run_job
from facedet.training.objective import best_row, goal_of, measured
from facedet.training.run_folder import (
    begin_afresh,
    is_further_process,
    own_folder,
    ranks_start_from,
)
from facedet.training.signals import signals_restored

HELP = """Train a detector. Every part is one word, every setting a key of the config:
  preset=extd_fpn_64_prelu     the network    (backbone.width=48 backbone.activation=leaky_relu)
  neck=top_down | passthrough  FPN-like or SSD-like
  data=crowds | wider          embedded data, or WIDER FACE under data.root=PATH
  experiment=extd_fpn_64_prelu network, data and schedule of a paper's experiment
  trainer=cpu | gpu | ddp      trainer.max_steps=1000 trainer.precision=bf16-mixed
  logger=csv | wandb           W&B is offline without a key
  ckpt_path=last | best | PATH go on from a checkpoint (auto: from the last if there is one)
  mining=none | him            hard image mining
The output folder (paths.output) gets checkpoints, weights.safetensors, logs and the config."""
EXAMPLE = """examples:
  facedet train
  facedet train backbone.width=48 neck=passthrough trainer.max_steps=500
  facedet train data=wider data.root=/data/wider experiment=extd_fpn_64_prelu
  facedet train --show backbone.width=48      print the config, train nothing"""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_hydra_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Checks the overrides, then hands over to Hydra."""
    return run_app(main, "train", args)


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="train")
def main(config: DictConfig) -> float | None:
    """Trains; returns the objective for a sweeper."""
    return run_job(train, config)


def train(config: DictConfig) -> float | None:
    """Trains what `config` describes and exports the best weights.

    Args:
        config: composed.

    Returns:
        The number that the config's objective names, at its best of the run's history; of a run
        that keeps no such history the last one. None where it was never measured.

    Raises:
        FacedetError: the data, a checkpoint or a setting is not as it should be.
        UsageError: the first validation is over, and nothing of the objective's name was logged.
    """
    values = plain(config)
    from facedet.allocator import keep_freed_memory
    from facedet.training.resume import find_checkpoint

    quieten()
    keep_freed_memory()
    output = Path(config.paths.output)
    with own_folder(output):
        resume = find_checkpoint(config.ckpt_path, output)
        if resume is None and not is_further_process():
            begin_afresh(output, config.overwrite)
        values |= {"ckpt_path": resume, "paths": {**values["paths"], "output": str(output)}}
        with ranks_start_from(values, output, __file__):
            return _train(config, values, output, resume)


def _train(
    config: DictConfig,
    values: dict[str, Any],
    output: Path,
    resume: str | None,
) -> float | None:
    import pytorch_lightning as pl

    from facedet.data.readers.wider import require_subsets
    from facedet.training.trainer import build_trainer

    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = build(config.data)
    module = build(config.model)
    module.config = values
    step = prepare_weights(config, values, module, datamodule, resume)
    if module.metric is not None and datamodule.prepare is None:
        require_subsets(datamodule.reading("val").records, datamodule.root)
    trainer = build_trainer(config, build_callbacks(config))
    for logger in trainer.loggers:
        if resume is not None and hasattr(logger, "go_on") and output in Path(resume).parents:
            logger.go_on(step)
        logger.log_hyperparams(values)
    log.info("output: %s", output)
    fit(trainer, module, datamodule, resume)
    if not trainer.is_global_zero:
        return None
    report(trainer, output)
    # Without a logger a history that lies there is that of an earlier run.
    if trainer.loggers and (rows := measured(output, config.objective)):
        goal = goal_of(config, config.objective)
        return best_row(rows, config.objective, goal)[config.objective]
    value = trainer.callback_metrics.get(config.objective)
    return None if value is None else float(value)


def prepare_weights(
    config: DictConfig,
    values: dict[str, Any],
    module: Any,  # noqa: ANN401
    datamodule: Any,  # noqa: ANN401
    resume: str | None,
) -> int:
    """Loads what the config starts from, and checks what it goes on from.

    Returns:
        Steps that the checkpoint `resume` has done, 0 without one.

    Raises:
        FacedetError: a file does not fit the network, the data or the settings.
    """
    from facedet.training.resume import check_data, check_resume, read_checkpoint
    from facedet.weights.store import load_state, read_weights

    if resume is not None:
        content = read_checkpoint(resume)
        check_resume(resume, content, values)
        datamodule.prepare_data()
        check_data(resume, content, datamodule.fingerprint(), datamodule.root)
        # Lightning reads it again; here it is said in one line if it does not fit.
        load_state(module.net, read_weights(resume).state, resume)
        return int(content["global_step"])
    if config.weights is not None:
        load_state(module.net, read_weights(config.weights).state, config.weights)
    elif config.backbone_weights is not None:
        from facedet.weights.vgg16 import load_backbone, read_backbone_weights

        wish, mean = config.backbone_weights, module.net.mean.flatten().tolist()
        state = read_backbone_weights(wish, mean, Path(config.paths.cache))
        load_backbone(module.net, state, wish)
    return 0


def build_callbacks(config: DictConfig) -> list:
    """The callbacks of a config; the one that writes the last checkpoint comes last."""
    from facedet.callbacks.last_checkpoint import LastCheckpoint

    callbacks = build(config.callbacks).values()
    # Its file holds the others' states, that of the best checkpoint too.
    return sorted(callbacks, key=lambda callback: isinstance(callback, LastCheckpoint))


def fit(trainer: Any, module: Any, datamodule: Any, resume: str | None) -> None:  # noqa: ANN401
    """Runs the training; what ends it early becomes an error of one line."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from facedet.loggers.wandb import end_runs

    last = Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"
    how = f"ckpt_path=last paths.output={trainer.default_root_dir} goes on"
    try:
        with signals_restored():
            trainer.fit(module, datamodule, ckpt_path=resume, weights_only=True)
    except SystemExit as stop:
        # Lightning's answer to a signal outside of the steps.
        if not trainer.is_global_zero:
            raise
        what = f"interrupted at step {trainer.global_step}"
        number = signal.SIGTERM if trainer.received_sigterm else signal.SIGINT
        raise InterruptedTrainingError(what, number, how if last.is_file() else "") from stop
    except MisconfigurationException as error:
        # Of `monitor=${objective}` too, at the first validation, where no such number is logged.
        raise UsageError(str(error).partition(" HINT")[0]) from error
    except RuntimeError as error:
        if trainer.world_size == 1 or not _is_lost_process(error):
            raise
        goes_on = f"; {how}" if last.is_file() else ""
        raise FacedetError(
            f"one of the {trainer.world_size} processes ended at step {trainer.global_step}; if it "
            f"said why, that stands above{goes_on}"
        ) from error
    finally:
        end_runs(trainer)


def _is_lost_process(error: RuntimeError) -> bool:
    """Whether a collective call failed because another process is gone."""
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return any(word in str(error) for word in words)


def report(trainer: Any, output: Path) -> None:  # noqa: ANN401
    """Exports the weights of the best checkpoint (else the last) and says where they lie."""
    from facedet.weights.store import read_weights, save_weights

    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    chosen = Path(best) if best else output / "checkpoints" / "last.ckpt"
    if not chosen.is_file():
        raise FacedetError(f"{chosen}: the training wrote no checkpoint; is the disk full?")
    target = save_weights(output / "weights.safetensors", read_weights(chosen))
    metrics = {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith("wider/")
    }
    shown = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    print(f"trained {trainer.global_step} steps; last validation: {shown or 'none'}")
    print(f"weights: {target}  (of {chosen.name})")


def quieten() -> None:
    """Lets only Lightning's warnings that a user can act on through."""
    if is_further_process():  # the first process tells the same
        logging.getLogger().setLevel(logging.WARNING)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*Experiment logs directory .* exists.*",
        ".*It is recommended to use `self.log\\('wider/.*sync_dist=True.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*You defined a `validation_step` but have no.*",
        ".*The number of training batches.*is smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", pattern)


if __name__ == "__main__":
    try:
        main()
    except JobEndError as end:
        print(f"facedet train: {end.args[0]}", file=sys.stderr)
        sys.exit(end.args[0].exit_code)
