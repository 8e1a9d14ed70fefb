"""`facedet train`: a config to a trained detector; also a plain Hydra application."""

import argparse
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from facedet.commands.hydra_job import run_hydra, run_job
from facedet.config import CONF_DIR, build, compose, plain
from facedet.errors import FacedetError, UsageError

HELP = """Train a detector. Every part is one word, every setting a key of the config:
  preset=extd_fpn_64_prelu     the network    (backbone.width=48 backbone.activation=leaky_relu)
  neck=top_down | passthrough  FPN-like or SSD-like
  data=crowds | wider          embedded data, or WIDER FACE under data.root=PATH
  experiment=extd_fpn_64_prelu network, data and schedule of a paper's experiment
  trainer=cpu | gpu | ddp      trainer.max_steps=1000 trainer.precision=bf16-mixed
  logger=csv | wandb           W&B is offline without a key
  ckpt_path=last | best | PATH go on from a checkpoint
The output folder (paths.output) gets checkpoints, weights.safetensors, logs and the config."""
EXAMPLE = """examples:
  facedet train
  facedet train backbone.width=48 neck=passthrough trainer.max_steps=500
  facedet train data=wider data.root=/data/wider experiment=extd_fpn_64_prelu
  facedet train --show backbone.width=48      print the config, train nothing"""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the config")
    parser.add_argument("--show", action="store_true", help="print the resolved config only")
    parser.add_argument("-m", "--multirun", action="store_true", help="Hydra's multirun grid")
    parser.add_argument("--config-dir", type=Path, help="folder with further config groups")


def run(args: argparse.Namespace) -> int:
    """Checks the overrides, then hands over to Hydra."""
    if args.show:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(compose("train", args.overrides), resolve=True), end="")
        return 0
    flags = ["--multirun"] * args.multirun
    if args.config_dir is not None:
        flags += ["--config-dir", str(args.config_dir)]
    return run_hydra(main, "train", args.overrides, flags)


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="train")
def main(config: DictConfig) -> float | None:
    """Trains; returns the objective for a sweeper."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode == RunMode.MULTIRUN:
        # The clock in paths.output is read once for all jobs; Hydra's job folders differ.
        config.paths.output = HydraConfig.get().runtime.output_dir
    return run_job(train, config)


def train(config: DictConfig) -> float | None:
    """Trains what `config` describes and exports the best weights.

    Returns:
        The config's objective at its best, None where it was never measured.

    Raises:
        FacedetError: the data, a checkpoint or a setting is not as it should be.
    """
    values = plain(config)
    import pytorch_lightning as pl

    from facedet.callbacks.checkpoint_config import CheckpointConfig
    from facedet.scoring import require_subsets
    from facedet.weights import load_state, read_weights

    quieten()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    output = Path(config.paths.output)
    resume = find_checkpoint(config.ckpt_path, output)
    datamodule = build(config.data)
    module = build(config.model)
    for source in (config.weights, resume):
        if source is not None:
            # Lightning reads `resume` again; here it is said in one line if it does not fit.
            load_state(module.net, read_weights(source).state, source)
    if resume is not None:
        check_optimizer(resume, config)
    if module.metric is not None and datamodule.prepare is None:
        require_subsets(datamodule.reading("val").records, datamodule.root)
    callbacks = list(build(config.callbacks).values())
    for callback in callbacks:
        if isinstance(callback, CheckpointConfig):
            callback.config = values
    trainer = build_trainer(config, callbacks)
    for logger in trainer.loggers:
        logger.log_hyperparams(values)
    log.info("output: %s", output)
    last = output / "checkpoints" / "last.ckpt"
    try:
        trainer.fit(module, datamodule, ckpt_path=resume, weights_only=True)
    except SystemExit as stop:
        # Lightning's answer to Ctrl-C; as an exit it would end a whole multirun.
        if trainer.world_size == 1:  # other ranks, already ended, would be waited for
            trainer.save_checkpoint(last, weights_only=False)
        how = f"; ckpt_path=last paths.output={output} goes on" if last.is_file() else ""
        raise FacedetError(f"interrupted at step {trainer.global_step}{how}") from stop
    finally:
        _finish_wandb()
    if trainer.is_global_zero:
        report(trainer, output)
    value = trainer.callback_metrics.get(config.objective)
    best = getattr(trainer.checkpoint_callback, "best_model_score", None)
    chosen = best if best is not None else value
    return None if chosen is None else float(chosen)


def _finish_wandb() -> None:
    """Ends the W&B run, if there is one: the next job of a multirun would continue it."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()


def build_trainer(config: DictConfig, callbacks: list) -> Any:  # noqa: ANN401
    """The Lightning trainer of a config."""
    from omegaconf import OmegaConf

    settings = OmegaConf.merge(config.trainer, {"precision": precision(config.trainer)})
    logger = build(config.logger) if config.get("logger") else False
    return build(settings, callbacks=callbacks, logger=logger)


def precision(trainer: DictConfig) -> str:
    """The trainer's precision; `auto` is bfloat16 where the machine computes in it."""
    import torch

    if trainer.precision != "auto":
        return trainer.precision
    if trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    quick = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return "bf16-mixed" if quick else "32-true"


def find_checkpoint(wish: str | None, output: Path) -> str | None:
    """The file that `ckpt_path` means.

    Args:
        wish: None, `last` or `best` (of `output`, else of the newest run beside it), or a path.
        output: folder of this run.

    Raises:
        FacedetError: there is no such file.
    """
    if wish is None:
        return None
    if wish not in ("last", "best"):
        if not Path(wish).is_file():
            raise FacedetError(f"ckpt_path={wish}: no such file; wanted last, best or a file")
        if wish.endswith(".safetensors"):
            raise FacedetError(
                f"ckpt_path={wish}: holds weights only; weights=FILE starts from them"
            )
        return wish
    runs = sorted(output.parent.glob(f"*/checkpoints/{wish}.ckpt"), key=lambda p: p.stat().st_mtime)
    own = output / "checkpoints" / f"{wish}.ckpt"
    if not own.is_file() and not runs:
        raise FacedetError(
            f"ckpt_path={wish}: neither {output} nor a run beside it has checkpoints/{wish}.ckpt"
        )
    found = own if own.is_file() else runs[-1]
    log.info("going on from %s", found)
    return str(found)


def check_optimizer(checkpoint: str, config: DictConfig) -> None:
    """Refuses to go on with another optimiser: its state in the checkpoint means nothing to it.

    Raises:
        UsageError: the checkpoint's config names another one.
    """
    import torch

    from facedet.callbacks.checkpoint_config import KEY

    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    before, now = content[KEY]["config"]["optimizer"]["_target_"], config.optimizer._target_
    if before != now:
        raise UsageError(
            f"{checkpoint}: was trained with {before}, this run has {now}: take the experiment or "
            "optimizer of then, or start afresh with weights=FILE"
        )


def report(trainer: Any, output: Path) -> None:  # noqa: ANN401
    """Exports the weights of the best checkpoint (else the last) and says where they lie."""
    from facedet.weights import read_weights, save_weights

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
    main()
