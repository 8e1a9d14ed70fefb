"""A config to a trained detector: prepares, fits, and exports the best weights."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from facedet.config import build, plain
from facedet.errors import FacedetError, InterruptedTrainingError, UsageError
from facedet.training.objective import best_row, measured, mode_of
from facedet.training.run_folder import (
    holds,
    is_further_process,
    own_folder,
    ranks_start_from,
    refuse_replacing,
    start_fresh,
)
from facedet.training.trainer import share_total_batch

log = logging.getLogger(__name__)

# Of a collective call that failed because another process is gone.
_LOST_PROCESS = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
_SILENCED = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*Experiment logs directory .* exists.*",
    ".*It is recommended to use `self.log\\('(wider|pyramid)/.*sync_dist=True.*",
    ".*isinstance\\(treespec, LeafSpec\\).*",
    ".*You defined a `validation_step` but have no.*",
    ".*The number of training batches.*is smaller than the logging interval.*",
)


def train(config: DictConfig) -> float | None:
    """Trains what a composed config describes and exports the best weights.

    Returns:
        The number that the config's objective names, at its best of the run's history; of a run
        that keeps no such history the last one. None where it was never measured.

    Raises:
        FacedetError: the data, a checkpoint or a setting is not as it should be.
        UsageError: it does not fit into the memory; or the first validation is over, and nothing
            of the objective's name was logged.
    """
    silence()
    share_total_batch(config)
    values = plain(config)
    if values.get("export", "best") not in ("best", "last"):
        raise UsageError(f"export={values['export']}: expected best or last")
    if not 0 <= config.seed < 2**32:
        raise UsageError(f"seed={config.seed}: expected a whole number of 0 to {2**32 - 1}")
    if config.widen and config.weights is None:
        raise UsageError("widen=true: expected weights=, those of a narrower network")
    from facedet.allocator import keep_freed_memory
    from facedet.training.resume import find_checkpoint
    from facedet.training.threads import set_threads

    keep_freed_memory()
    output = Path(config.paths.output)
    with own_folder(output):
        resume = find_checkpoint(config.ckpt_path, output)
        is_own = resume is not None and holds(output, resume)
        if not is_own and not is_further_process():
            refuse_replacing(output, config.overwrite, config.weights)
        values["threads"] = set_threads(config, resume)
        values |= {"ckpt_path": resume, "paths": {**values["paths"], "output": str(output)}}
        with ranks_start_from(values, output):
            return _train(config, values, output, resume, is_own)


def _train(
    config: DictConfig, values: dict[str, Any], output: Path, resume: str | None, is_own: bool
) -> float | None:
    import pytorch_lightning as pl

    from facedet.data.readers.wider import require_subsets
    from facedet.loggers.wandb import ending_runs
    from facedet.training.description import describe_job
    from facedet.training.estimate import check_fit
    from facedet.training.trainer import build_callbacks, build_trainer

    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = build(config.data)
    module = build(config.model)
    module.config = values
    step = load_weights(config, values, module, datamodule, resume)
    if module.metric is not None and datamodule.prepare is None:
        require_subsets(datamodule.reading("val").records, datamodule.root)
    trainer = build_trainer(config, build_callbacks(config))
    log.info("output: %s", output)
    if not is_further_process():
        check_fit(config, trainer, module, datamodule, step)
        if not is_own:
            # With estimate=off nobody has read the data yet.
            datamodule.prepare_data()
            datamodule.setup("fit")
            start_fresh(output, config.overwrite)
    for logger in trainer.loggers:
        if hasattr(logger, "describe"):
            logger.describe(**describe_job(output))
        if is_own and hasattr(logger, "resume"):
            logger.resume(step)
        logger.log_hyperparams(values)
    with ending_runs(trainer):
        fit(trainer, module, datamodule, resume)
        if not trainer.is_global_zero:
            return None
        report(trainer, module, output, config.get("export", "best"))
    # Without a logger a history that lies there is that of an earlier run.
    if trainer.loggers and (rows := measured(output, config.objective)):
        mode = mode_of(config, config.objective)
        return best_row(rows, config.objective, mode)[config.objective]
    value = trainer.callback_metrics.get(config.objective)
    return None if value is None else float(value)


def load_weights(
    config: DictConfig,
    values: dict[str, Any],
    module: Any,  # noqa: ANN401
    datamodule: Any,  # noqa: ANN401
    resume: str | None,
) -> int:
    """Loads what the config starts from; checks the checkpoint `resume`, and returns its steps.

    Raises:
        FacedetError: a file does not fit the network, the data or the settings.
    """
    from facedet.training.resume import check_resume, read_checkpoint
    from facedet.weights.store import load_state, read_weights
    from facedet.weights.widening import widen

    if resume is not None:
        content = read_checkpoint(resume)
        datamodule.prepare_data()
        check_resume(resume, content, values, datamodule.fingerprint())
        # Lightning reads it again; here it is said in one line if it does not fit.
        load_state(module.net, read_weights(resume).state, resume)
        return int(content["global_step"])
    if config.weights is not None:
        weights = read_weights(config.weights)
        state = weights.state
        if config.widen:
            state = widen(weights, module.net, config.weights, config.seed)
        load_state(module.net, state, config.weights)
    elif config.backbone_weights is not None:
        from facedet.weights.vgg16 import load_backbone, read_backbone_weights

        name, mean = config.backbone_weights, module.net.mean.flatten().tolist()
        state = read_backbone_weights(name, mean, Path(config.paths.cache))
        load_backbone(module.net, state, name)
    return 0


def fit(trainer: Any, module: Any, datamodule: Any, resume: str | None) -> None:  # noqa: ANN401
    """Runs the training; what ends it early becomes an error of one line."""
    from pytorch_lightning.utilities.exceptions import MisconfigurationException

    from facedet.data.loader import explain_lost_worker

    try:
        with _signals_restored():
            trainer.fit(module, datamodule, ckpt_path=resume, weights_only=True)
    except SystemExit as stop:
        # Lightning's answer to a signal outside of the steps.
        if not trainer.is_global_zero:
            raise
        number = signal.SIGTERM if trainer.received_sigterm else signal.SIGINT
        what = f"interrupted at step {trainer.global_step}"
        raise InterruptedTrainingError(what, number, _remedy(trainer)) from stop
    except MisconfigurationException as error:
        # Of `monitor=${objective}` too, at the first validation, where no such number is logged.
        raise UsageError(str(error).partition(" HINT")[0]) from error
    except RuntimeError as error:
        if lost := explain_lost_worker(error):
            raise FacedetError(lost) from error
        if trainer.world_size == 1 or not any(word in str(error) for word in _LOST_PROCESS):
            raise
        what = f"one of the {trainer.world_size} processes ended at step {trainer.global_step}"
        rest = filter(None, ("its own message is above", _remedy(trainer)))
        raise FacedetError("; ".join([what, *rest])) from error


def _remedy(trainer: Any) -> str:  # noqa: ANN401
    """How a training that was ended early is resumed; "" where it saved nothing."""
    folder = Path(trainer.default_root_dir)
    if not (folder / "checkpoints" / "last.ckpt").is_file():
        return ""
    return f"ckpt_path=last paths.output={folder} resumes it"


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Restores the handlers of Ctrl-C and SIGTERM after the block.

    Lightning's handler of SIGTERM outlives its training and only takes a note: what follows could
    not be ended.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def report(trainer: Any, module: Any, output: Path, export: str) -> None:  # noqa: ANN401
    """Exports the weights of the `best` checkpoint, or of the last, to the run's folder."""
    from facedet.weights.store import Weights, model_config, read_weights, save_weights

    best = getattr(trainer.checkpoint_callback, "best_model_path", "") if export == "best" else ""
    chosen = Path(best) if best else output / "checkpoints" / "last.ckpt"
    if best or (chosen.is_file() and not trainer.fast_dev_run):
        weights, name = read_weights(chosen), chosen.name
    else:  # without a callback that writes checkpoints
        info = {"source": "training", "steps": trainer.global_step}
        weights = Weights(module.net.state_dict(), model_config(module.config), info)
        name = "the last step"
    target = save_weights(output / "weights.safetensors", weights)
    metrics = trainer.callback_metrics.items()
    shown = "  ".join(f"{n} {float(value):.3f}" for n, value in metrics if n.startswith("wider/"))
    print(f"trained {trainer.global_step} steps; last validation: {shown or 'none'}")
    print(f"weights: {target}  (of {name})")


def silence() -> None:
    """Lets only Lightning's warnings that a user can act on through."""
    if is_further_process():  # the first process says the same
        logging.getLogger().setLevel(logging.WARNING)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(f"{name}.utilities.rank_zero").setLevel(logging.WARNING)
    for pattern in _SILENCED:
        warnings.filterwarnings("ignore", pattern)
