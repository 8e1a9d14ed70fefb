"""Repositories for the Hugging Face Hub: weights, `config.json` and a model card."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from facedet import DISTRIBUTION
from facedet.errors import FacedetError, UsageError, first_line
from facedet.files import file_sha256, new_folder
from facedet.weights.hub import CONFIG, FILE, LIBRARY, parse_address, require_hub
from facedet.weights.store import Weights, build_net, read_weights, save_weights
from facedet.weights.zoo import NAMED, Card, NamedWeights, locate, read_card, usual_score

# The Hub's words for the licences of named weights.
_SHIPPED_LICENCE = {"license": "other", "license_name": "mit-trained-on-research-data"}
_REFUSED = (401, 403)


def push_to_hub(weights: str | Path, repo: str, *, private: bool = False, licence: str = "") -> str:
    """Uploads weights with a model card; `facedet.load("hf://owner/name")` then takes them.

    The repository is made if it is missing; of an existing one the three files are replaced.

    Args:
        weights: a file, a training checkpoint, or a name of `facedet weights list`. The numbers and
            the text of a card NAME.md next to NAME.safetensors go into the model card.
        repo: `owner/name`, or `hf://owner/name@branch`.
        private: of a new repository.
        licence: the Hub's word for that of your own weights, `mit` or `cc-by-nc-4.0` say.

    Returns:
        The address of the commit on the Hub.

    Raises:
        FacedetError: the weights cannot be read, huggingface-hub is not installed, or the Hub
            cannot be reached or refuses them.
        UsageError: `repo` is no name of a repository.
    """
    address = parse_address(repo if repo.startswith("hf:") else f"hf://{repo}")
    assert address is not None
    hub = require_hub(str(address))
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "repository")
        write_repository(weights, folder, address.repo, licence)
        try:
            api = hub.HfApi()
            api.create_repo(address.repo, private=private, exist_ok=True)
            commit = api.create_commit(
                address.repo,
                [hub.CommitOperationAdd(file.name, file) for file in sorted(folder.iterdir())],
                revision=address.revision,
                commit_message="facedet weights push",
            )
        except Exception as error:  # whatever a library raises over a network
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = first_line(error)
            if status in _REFUSED:
                reason = f"{status}: `hf auth login`, or set HF_TOKEN to one that may write there"
            raise FacedetError(f"{address}: cannot be pushed ({reason})") from error
    return str(commit.commit_url)


def write_repository(weights: str | Path, folder: Path, repo: str = "", licence: str = "") -> None:
    """Writes the files of a repository into a new folder, which `facedet.load` takes too.

    Args:
        weights: as of `push_to_hub`.
        folder: absent or empty.
        repo: `owner/name`, for the model card; "": the folder's own name.
        licence: as of `push_to_hub`.

    Raises:
        FacedetError: the weights cannot be read, or the folder cannot be written.
    """
    path = locate(weights)
    read = read_weights(path)
    named = NAMED.get(str(weights))
    if named is not None and path != named.path():  # a file of that name is somebody else's
        named = None
    if named is not None and licence:
        raise UsageError(f"licence={licence}: that of {named.name} is known: {named.licence}")
    card = read_card(path)
    if card is not None and card.sha256 != read.info["sha256"]:
        raise FacedetError(f"{path.with_suffix('.md')}: is another file's card, see its sha256")
    parameters = sum(value.numel() for value in build_net(read, weights).parameters())
    with new_folder(folder) as aside:
        if path.suffix.lower() == ".safetensors":
            shutil.copyfile(path, aside / FILE)
        else:
            save_weights(aside / FILE, read)
        score = usual_score(weights) if card is None else card.score
        config = {"library_name": LIBRARY, "sha256": file_sha256(aside / FILE), "score": score}
        (aside / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        name = named.name if named else (repo or folder.name).rpartition("/")[2]
        head = _front_matter(name, named, card, licence)
        about = card.text.split("---\n", 2)[2] if card else _about(name, named, read, parameters)
        use = _use(f"hf://{repo}" if repo else folder.name)
        text = f"---\n{head}---\n{about.strip()}\n\n{use}"
        (aside / "README.md").write_text(text, encoding="utf-8")


def _front_matter(name: str, named: NamedWeights | None, card: Card | None, licence: str) -> str:
    """The model card's YAML, as huggingface.co/docs/hub/model-cards describes it."""
    head: dict[str, Any] = {"license": licence} if licence else {}
    if named is not None:
        head = _SHIPPED_LICENCE if named.url is None else {"license": "mit"}
    head = head | {
        "library_name": LIBRARY,
        "pipeline_tag": "object-detection",
        "tags": ["face-detection"],
    }
    measured = card.measured if card else named.measured if named else ()
    if measured:
        results = [_result(entry) for entry in measured]
        head["model-index"] = [{"name": name, "results": results}]
    return str(yaml.safe_dump(head, sort_keys=False, allow_unicode=True))


def _result(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a card's `measured`; an AP belongs to its protocol and its pictures."""
    return {
        "task": {"type": "object-detection", "name": "Face detection"},
        "dataset": {
            "type": "wider_face" if "wider" in entry["protocol"] else entry["protocol"],
            "name": f"{entry['pictures']}, protocol {entry['protocol']}",
        },
        "metrics": [
            {"type": "average_precision", "name": f"AP {subset}", "value": value}
            for subset, value in entry["ap"].items()
        ],
    }


def _about(name: str, named: NamedWeights | None, read: Weights, parameters: int) -> str:
    """The text of weights that have no card."""
    summary = named.summary if named else "A face detector, trained with facedet."
    licence = f"\n- licence: {named.licence}" if named else ""
    backbone = str(read.config["net"].get("backbone", {}).get("_target_", "")).rpartition(".")[2]
    source = named.url if named and named.url else read.info.get("source", "not stated")
    return (
        f"# {name}\n\n{summary}\n\n- parameters: {parameters:,}\n- backbone: {backbone}\n"
        f"- from: {source}\n- steps: {read.info.get('steps', 'not stated')}{licence}"
    )


def _use(source: str) -> str:
    return (
        f"## Use\n\n`pip install '{DISTRIBUTION}[hub]'`; facedet checks `{FILE}` by the SHA-256 "
        f"in `{CONFIG}` and runs no code of this repository.\n\n```python\nimport facedet\n\n"
        f'faces = facedet.load("{source}").detect("photo.jpg")\n'
        "print(faces.boxes, faces.scores)  # [N, 4] xyxy pixels and [N], best first\n```\n"
    )
