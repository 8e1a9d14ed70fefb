"""Overrides `KEY=VALUE` in Hydra's grammar, for values that it could not read."""

from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def quote(override: str) -> str:
    """The override `KEY=VALUE`, with quotes where Hydra's grammar could not read the value.

    It knows only English letters and no `~`, `(` or `'`, all of which paths may hold.
    """
    key, _, value = override.partition("=")
    if value.startswith("~/"):  # the shell leaves it alone in `data.root=~/wider`
        value = str(Path(value).expanduser())
        override = f"{key}={value}"
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        is_path = value and value[0] not in "[{'\""
        return literal(key, value) if is_path else override
    return override


def literal(key: str, value: str | Path) -> str:
    """The override of a value that is meant letter by letter: a path with a comma, say."""
    escaped = str(value).replace("'", "\\'")
    return f"{key}='{escaped}'"
