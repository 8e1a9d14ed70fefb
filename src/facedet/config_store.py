"""What Hydra's ConfigStore holds: types of settings, the paper's 18 EXTD models, and resolvers.

A schema gives types, the YAML files values and comments. Other keys may stand beside those of a
schema, so that a config of one's own can have more.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf


@dataclass
class TrainSchema:
    """Keys of conf/train.yaml."""

    command: str = MISSING
    seed: int = MISSING
    ckpt_path: str | None = MISSING
    overwrite: bool = MISSING
    weights: str | None = MISSING
    widen: bool = MISSING
    backbone_weights: str | None = MISSING
    total_batch_size: int | None = MISSING
    lr_batch_size: int | None = MISSING
    objective: str = MISSING
    export: str = MISSING
    threads: int | str = MISSING
    estimate: str = MISSING


@dataclass
class EvaluateSchema:
    """Keys of conf/evaluate.yaml."""

    command: str = MISSING
    seed: int = MISSING
    weights: str = MISSING
    device: str = MISSING
    engine: str = MISSING
    threads: int | None = MISSING
    folded: bool = MISSING
    resume: bool = MISSING
    split: str = MISSING
    limit: int | None = MISSING


@dataclass
class PathsSchema:
    """Keys of conf/paths."""

    cache: str = MISSING
    output: str = MISSING


@dataclass
class DataSchema:
    """Keys that all of conf/data have, with a type."""

    root: str = MISSING
    images: str = MISSING
    batch_size: int = MISSING
    drop_last: bool = MISSING
    num_workers: int = MISSING
    seed: int = MISSING
    mirrored_copies: bool = MISSING
    group_by_aspect: bool = MISSING
    faceless: str = MISSING


@dataclass
class TrainerSchema:
    """Keys of conf/trainer; Lightning takes several types for `devices`."""

    accelerator: str = MISSING
    strategy: str = MISSING
    num_nodes: int = MISSING
    precision: str = MISSING
    max_steps: int = MISSING
    max_time: str | None = MISSING
    val_check_interval: int | float | None = MISSING
    check_val_every_n_epoch: int | None = MISSING
    limit_val_batches: int | float = MISSING
    log_every_n_steps: int = MISSING
    gradient_clip_val: float | None = MISSING
    accumulate_grad_batches: int = MISSING
    sync_batchnorm: bool = MISSING
    num_sanity_val_steps: int = MISSING
    use_distributed_sampler: bool = MISSING
    default_root_dir: str = MISSING
    enable_model_summary: bool = MISSING


_SCHEMAS = {"": (TrainSchema, EvaluateSchema), "paths": (PathsSchema,), "data": (DataSchema,),
            "trainer": (TrainerSchema,)}  # fmt: skip
# Keys whose value is text as it is typed: weights=123 is a name.
TEXT_KEYS = {
    f"{group}.{field.name}".lstrip(".")
    for group, schemas in _SCHEMAS.items()
    for schema in schemas
    for field in fields(schema)
    if field.type in (str, str | None)
}


def extd_cells() -> list[tuple[str, str, int, str]]:
    """(name, layout, width, activation) of the paper's 18 EXTD models."""
    cells = product(("fpn", "ssd"), (32, 48, 64), ("relu", "prelu", "leaky_relu"))
    return [(f"extd_{layout}_{width}_{act}", layout, width, act) for layout, width, act in cells]


def usual_mode(objective: str) -> str:
    """Which values of a logged number are better, `${goal:NAME}`: "min" of losses, else "max"."""
    return "min" if objective.partition("/")[0] in ("loss", "train", "val") else "max"


def register() -> None:
    """Makes the schemas, the EXTD models' presets and experiments, and the resolvers known."""
    store = ConfigStore.instance()
    for group, schemas in _SCHEMAS.items():
        for schema in schemas:
            name = "schema" if group else f"{schema.__name__.removesuffix('Schema').lower()}_schema"
            store.store(group=group or None, name=name, node=_types_of(schema))
    for name, layout, width, act in extd_cells():
        # A backbone of its own, not settings of any: `backbone=vgg16` then replaces all of it.
        backbone = {"defaults": ["iterative", "_self_"], "width": width, "activation": act}
        store.store(group="backbone", name=f"iterative_{width}_{act}", node=backbone)
        override = {"override /backbone": f"iterative_{width}_{act}"}
        preset = {"defaults": [f"extd_{layout}", override]}
        recipe = {"defaults": ["extd", {"override /preset": name}]}
        store.store(group="preset", name=name, node=preset, package="_global_")
        store.store(group="experiment", name=name, node=recipe, package="_global_")
    resolvers: dict[str, Callable] = {
        "goal": usual_mode,
        "fine_tuning": _fine_tuning,
        "share": _share,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _fine_tuning(weights: str | None, tuned: Any, fresh: Any) -> Any:  # noqa: ANN401
    """`${fine_tuning:${weights},A,B}`: A where training starts from weights, else B."""
    return fresh if weights is None else tuned


def _share(part: float, steps: int) -> int | None:
    """`${share:0.6,STEPS}`: that part of the steps; null where their number is open (-1)."""
    return round(part * steps) if steps >= 0 else None


def _types_of(schema: type) -> DictConfig:
    """The schema's typed keys in a dict that takes others as well."""
    typed: Any = OmegaConf.structured(schema)
    return OmegaConf.create({key: typed._get_node(key) for key in typed})


register()
