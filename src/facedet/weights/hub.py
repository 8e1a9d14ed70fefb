"""Weights on the Hugging Face Hub, `hf://owner/name[@revision]`, or such a repository as a folder.

A repository holds `config.json`, `model.safetensors` and a model card; see `weights.pushing`. Only
the first two are fetched, nothing is unpickled, and the weights must have the SHA-256 that
`config.json` records. It is no signature: who may write to the repository may change both. A commit
as revision cannot change.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from facedet.errors import FacedetError, UsageError, first_line, named_line
from facedet.files import expand_home, file_sha256

CONFIG, FILE = "config.json", "model.safetensors"
LIBRARY = "facedet"
_TIMEOUT_S = 30
_EXPECTED = "expected hf://owner/name or hf://owner/name@revision"
# One slash: of a name that went through a Path.
_ADDRESS = re.compile(r"hf:/{1,2}([\w-][\w.-]*/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?")


class Address(NamedTuple):
    """Of a repository on the Hub."""

    repo: str  # "owner/name"
    revision: str | None  # a branch, tag or commit; None: the newest

    def __str__(self) -> str:
        return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")


class Repository(NamedTuple):
    """Weights of ours with what `config.json` says about them."""

    name: str  # for messages
    path: Path  # of the safetensors file
    sha256: str  # that it must have
    score: float | None  # from which a box is shown as a face; None: not said

    def checked(self) -> Path:
        """The file, if it is the one that was pushed; raises `FacedetError` where it is not."""
        if not self.path.is_file():
            raise FacedetError(f"{self.name}: has no {FILE}, the weights of its {CONFIG}")
        if (found := file_sha256(self.path)) != self.sha256:
            raise FacedetError(
                f"{self.name}: {FILE} has SHA-256 {found}, its {CONFIG} says {self.sha256}"
            )
        return self.path


def parse_address(name: str | Path) -> Address | None:
    """The address in `hf://owner/name[@revision]`; None: the name is another kind.

    Raises:
        UsageError: it begins so and continues otherwise.
    """
    if not str(name).startswith("hf:/"):
        return None
    match = _ADDRESS.fullmatch(str(name))
    if match is None:
        raise UsageError(f"{name}: {_EXPECTED}")
    return Address(match[1], match[2])


def find_repository(name: str | Path, is_fetched: bool = False) -> Repository | None:
    """The repository of an address, fetched if need be, or of a folder; None: the name is neither.

    Args:
        name: `hf://…`, or a path.
        is_fetched: ask for nothing, take what is in the Hub's cache.

    Raises:
        FacedetError: huggingface-hub is not installed, the Hub cannot be reached, or the repository
            is missing or none of ours.
    """
    if (address := parse_address(name)) is not None:
        return _fetch(address, is_fetched)
    folder = expand_home(name)
    return _read(folder, str(name)) if (folder / CONFIG).is_file() else None


def _fetch(address: Address, is_fetched: bool) -> Repository:
    """Both files as of one commit; without a network those of the Hub's cache."""
    hub = require_hub(str(address))
    from huggingface_hub import errors

    try:
        with _quiet(hub):
            folder = hub.snapshot_download(
                address.repo,
                revision=address.revision,
                allow_patterns=[CONFIG, FILE],
                local_files_only=is_fetched,
                etag_timeout=_TIMEOUT_S,
                max_workers=1,  # one thread's lost connection closes the others'
            )
    except errors.RepositoryNotFoundError as error:
        raise FacedetError(
            f"{address}: no such repository, or a private one: `hf auth login`, or set HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FacedetError(f"{address}: the repository has no such revision") from error
    except errors.LocalEntryNotFoundError as error:
        reason = first_line(error.__cause__ or error)
        raise FacedetError(f"{address}: cannot be fetched, and is not cached ({reason})") from error
    except Exception as error:  # whatever a library raises over a network
        raise FacedetError(f"{address}: cannot be fetched ({first_line(error)})") from error
    if not Path(folder, CONFIG).is_file():
        raise FacedetError(
            f"{address}: has no {CONFIG} and {FILE}, as `facedet weights push` writes them"
        )
    return _read(Path(folder), str(address))


@contextmanager
def _quiet(hub: ModuleType) -> Iterator[None]:
    """Without the library's bars and warnings: what matters comes as an error."""
    level = hub.logging.get_verbosity()
    had_bars = not hub.utils.are_progress_bars_disabled()
    hub.logging.set_verbosity_error()
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        hub.logging.set_verbosity(level)
        if had_bars:
            hub.utils.enable_progress_bars()


def _read(folder: Path, name: str) -> Repository:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["library_name"] != LIBRARY:
            raise ValueError(f"library_name is {config['library_name']!r}")
        score = config.get("score")
        if not (score is None or 0 <= score <= 1):
            raise ValueError(f"score is {score!r}")
        return Repository(name, folder / FILE, str(config["sha256"]), score)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise FacedetError(
            f"{name}: its {CONFIG} is none of facedet's ({named_line(error)})"
        ) from error


def require_hub(name: str) -> ModuleType:
    """The package huggingface_hub; raises `FacedetError` where it is not installed."""
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise FacedetError(
            f"{name}: needs huggingface-hub: pip install 'facedet-lightning[hub]'"
        ) from error
