"""A search by Optuna as a Hydra sweeper, whose study is stored and resumed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from facedet.errors import UsageError
from facedet.sweeps.plan import job_hash
from facedet.training.objective import DIRECTIONS, mode_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)

TARGET = "hydra_plugins.facedet.StudySweeper"


class StudySweeper(Sweeper):
    """Asks Optuna's TPE for settings, runs them as jobs, and reports their objectives to it.

    Every trial is in the storage before its job starts: after a kill the trials without an
    objective are run again with their settings, and the draws continue as they would have.

    Args:
        search_space: by key `interval(a, b)`, `tag(log, interval(a, b))`, `choice(…)` or
            `range(…)`, in Hydra's grammar.
        params: settings of all jobs, as for Hydra's own sweeper.
        options: `n_trials`, jobs in all, those of earlier starts included; `n_jobs` that the
            launcher gets at a time; `startup`, trials drawn at random before the search learns
            from them; `seed` of the draws; `study_name`, to which a hash of the jobs' settings
            is added, since objectives of another budget do not compare; and `storage` (URL of
            Optuna's; None: `study.db` in Hydra's folder of the sweep).
    """

    config: DictConfig
    hydra_context: HydraContext
    launcher: Launcher

    def __init__(
        self,
        search_space: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self.words = [f"{k}={v}" for k, v in {**(params or {}), **search_space}.items()]
        self.options = options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra hands to every sweeper."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs what is left of the study's trials.

        Of the command line's settings, `arguments`, those of several values extend the space.
        """
        space, fixed = read_space([*self.words, *arguments])
        loader = self.hydra_context.config_loader
        study, number = self.open_study(loader.load_sweep_config(self.config, fixed)), 0
        trials = self._trials_left(study, space)
        while batch := list(islice(trials, self.options["n_jobs"])):
            words = [
                [*fixed, *(f"{key}={value}" for key, value in settings.items())]
                for _, settings in batch
            ]
            jobs = self.launcher.launch(words, initial_job_idx=number)
            number += len(batch)
            for (trial, _), job in zip(batch, jobs, strict=True):
                # One that failed, or was not begun, is asked for again at the next start.
                if job.return_value is not None:
                    study.tell(trial, job.return_value)
            if (Path(self.config.hydra.sweep.dir) / "stop").exists():
                break  # a job failed, and --on-error stop ends the search

    def open_study(self, config: DictConfig) -> "Study":
        """The stored study of jobs of this config, or a new one in its objective's direction."""
        import optuna

        folder = Path(config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna.create_study(
            storage=self.options["storage"] or f"sqlite:///{folder / 'study.db'}",
            study_name=f"{self.options['study_name']}-{job_hash(config)}",
            direction=DIRECTIONS[mode_of(config, config.objective)],
            load_if_exists=True,
        )

    def _trials_left(
        self, study: "Study", space: Mapping[str, "BaseDistribution"]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number, settings) of the trials that have no objective, then of new ones."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.params.keys() == space.keys():
                log.info("trial %d has no objective yet: its job comes first", trial.number)
                yield trial.number, trial.params
            else:  # killed while it was being drawn, or of another space
                study.tell(trial.number, state=TrialState.FAIL)
        while True:
            drawn_ones = study.get_trials(deepcopy=False)
            done = sum(trial.params.keys() == space.keys() for trial in drawn_ones)
            if done >= self.options["n_trials"]:
                return
            # A sampler of its own for each draw: a study that was killed draws what it would have.
            seed, startup = self.options["seed"] + done, self.options["startup"]
            study.sampler = TPESampler(seed=seed, n_startup_trials=startup)
            drawn = study.ask(dict(space))
            yield drawn.number, drawn.params


def register_sweeper() -> None:
    """Makes `StudySweeper` known to Hydra, which takes sweepers of `hydra_plugins` only."""
    Plugins.instance().class_name_to_class[TARGET] = StudySweeper


def read_space(words: Sequence[str]) -> tuple[dict[str, "BaseDistribution"], list[str]]:
    """The keys that are searched, and the settings of one value; of a key's words the last counts.

    Raises `UsageError` where nothing is searched, or a value is of no searchable kind.
    """
    parsed = OverridesParser.create().parse_overrides(list(words))
    last = {one.get_key_element(): one for one in parsed}
    space = {key: _distribution(one) for key, one in last.items() if one.is_sweep_override()}
    if not space:
        raise UsageError("hydra.sweeper.search_space is empty: give KEY=interval(A,B)")
    fixed = [f"{key}={last[key].get_value_element_as_str()}" for key in last if key not in space]
    return space, fixed


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            low: Any = value.start
            high: Any = value.end
            is_whole = isinstance(low, int) and isinstance(high, int)
            kind = IntDistribution if is_whole else FloatDistribution
            return kind(low, high, log="log" in value.tags)
        if isinstance(value, (ChoiceSweep, RangeSweep)):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise UsageError(f"{override.input_line}: {error}") from error
    raise UsageError(f"{override.input_line}: expected interval(a,b), choice(…) or range(…)")
