"""Weights on the Hugging Face Hub: pushed and loaded again, from a stand-in of the Hub."""

import json
import os
import socket
import subprocess
import sys
from shutil import copyfile

import pytest
import torch

import facedet
from facedet.errors import UsageError
from facedet.files import file_sha256
from facedet.weights.hub import Address, find_repository, parse_address
from facedet.weights.pushing import push_to_hub, write_repository
from facedet.weights.store import read_weights
from facedet.weights.zoo import NAMED, locate, usual_score
from reference.hub_server import hub_server
from reference.named_weights import released_bytes, write_card
from reference.one_face import SCORE
from reference.refused_weights import complaint

REPO = "me/faces"
NOT_INSTALLED = "the extra [hub] is not installed"
HEAD = """score: 0.25
measured:
  - {protocol: wider_single, pictures: 3 of WIDER val, ap: {easy: 0.9, hard: 0.75}}
"""


@pytest.fixture(scope="module")
def running():
    with hub_server() as server:
        yield server


def use_endpoint(monkeypatch, url):
    """As HF_ENDPOINT does at the library's import."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(running, monkeypatch, tmp_path):
    """An empty Hub and cache; what the library has read from the environment is set in it."""
    constants = pytest.importorskip("huggingface_hub.constants", reason=NOT_INSTALLED)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    use_endpoint(monkeypatch, running.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    running.repos.clear()
    running.asked.clear()
    return running


@pytest.fixture
def own(weights, tmp_path):
    """Weights with a card: the scores 0.8808 of one face are above its cut of 0.25."""
    path = tmp_path / "own.safetensors"
    copyfile(weights, path)
    write_card(path.with_suffix(".md"), HEAD)
    return path


def test_addresses():
    assert parse_address("hf://a/b") == ("a/b", None)
    assert parse_address("hf:/a/b.c@refs/pr/1") == ("a/b.c", "refs/pr/1")
    assert str(Address("a/b", "v1")) == "hf://a/b@v1"
    for name in ("a/b", "a.safetensors", "/hf://a/b"):
        assert parse_address(name) is None
    for name in (
        "hf://",
        "hf://a",
        "hf://a/b/c",
        "hf://a/..",
        "hf://../b",
        "hf://a/b@",
        "hf://a b/c",
    ):
        assert "expected hf://owner/name" in complaint(parse_address, name, kind=UsageError)


def test_pushed_and_loaded_again(hub, own, photos):
    assert push_to_hub(own, REPO).startswith(f"{hub.url}/{REPO}/commit/")
    (files,) = hub.repos[REPO]
    assert set(files) == {"README.md", "config.json", "model.safetensors"}
    assert files["model.safetensors"] == own.read_bytes()
    detector = facedet.load(f"hf://{REPO}", engine="torch")
    assert detector.score == 0.25
    assert detector.info["sha256"] == file_sha256(own)
    (face,) = detector.detect(photos / "a b.jpg")
    assert face.score == pytest.approx(SCORE, abs=1e-4)
    # Of one commit, and nothing else: no pickle, no code, no README.
    got = [line for line in hub.asked if "/resolve/" in line]
    assert {line.rpartition("/")[2] for line in got} == {"config.json", "model.safetensors"}


def test_a_revision_stays_what_it_was(hub, own, weights):
    push_to_hub(own, REPO)
    first = f"hf://{REPO}@{newest(hub)}"
    push_to_hub(weights, f"hf://{REPO}@main", licence="mit")
    assert [usual_score(name) for name in (first, f"hf://{REPO}") if locate(name)] == [0.25, 0.5]
    assert "no such revision" in complaint(locate, f"hf://{REPO}@v9")


def newest(hub):
    return hub.find(REPO, "main")[0]


def test_without_a_network_the_cache_serves(hub, own, monkeypatch):
    push_to_hub(own, REPO)
    path = locate(f"hf://{REPO}")
    with socket.socket() as free:  # nobody listens there
        free.bind(("127.0.0.1", 0))
        use_endpoint(monkeypatch, f"http://127.0.0.1:{free.getsockname()[1]}")
        assert locate(f"hf://{REPO}") == path
        text = complaint(locate, "hf://me/other")
        assert "hf://me/other: cannot be fetched, and is not cached" in text
        assert "refused" in text


def test_what_is_complaint(hub, own, tmp_path, monkeypatch):
    assert "no such repository, or a private one" in complaint(locate, "hf://me/unknown")
    hub.commit("me/pickled", {"pytorch_model.bin": b"\x80\x04cos\nsystem\n", "README.md": b"# a"})
    text = complaint(locate, "hf://me/pickled")
    assert "has no config.json and model.safetensors" in text
    assert not [line for line in hub.asked if "pytorch_model.bin" in line]
    hub.commit("me/bert", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"1"})
    assert "is none of facedet's (KeyError 'library_name')" in complaint(locate, "hf://me/bert")
    push_to_hub(own, REPO)
    damaged = bytearray(own.read_bytes())
    damaged[-1] ^= 1
    hub.commit(REPO, {"model.safetensors": bytes(damaged)})
    assert f"its config.json says {file_sha256(own)}" in complaint(locate, f"hf://{REPO}")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "401: `hf auth login`, or set HF_TOKEN" in complaint(push_to_hub, own, REPO)
    assert "expected hf://" in complaint(push_to_hub, own, "faces", kind=UsageError)


@pytest.mark.parametrize(
    "config",
    ["{", "[]", '{"library_name": "timm"}', '{"library_name": "facedet"}',
     '{"library_name": "facedet", "sha256": "0", "score": 2}'],
)  # fmt: skip
def test_configs_of_others(config, tmp_path):
    (tmp_path / "config.json").write_text(config)
    assert f"{tmp_path}: its config.json is none of facedet's" in complaint(locate, tmp_path)


def test_a_folder_is_a_repository(own, tmp_path, cli, photos):
    folder = tmp_path / "cloned"
    assert cli("weights", "push", own, folder).code == 0
    assert find_repository(folder).score == usual_score(folder) == 0.25
    assert cli("weights", "verify", folder).code == 0
    found = cli("predict", photos / "a b.jpg", "-w", folder, "--json", "--engine", "torch").json
    assert [len(image["faces"]) for image in found["images"]] == [1]
    (folder / "model.safetensors").unlink()
    cli("predict", photos, "-w", folder, "--no-save").check_error(1, "has no model.safetensors")
    cli("weights", "push", own, tmp_path).check_error(1, "is not empty")


def test_a_checkpoint_becomes_safetensors(tmp_path, build_detector):
    path = tmp_path / "theirs.pth"
    path.write_bytes(released_bytes(build_detector("fpn", 32)))
    write_repository(path, tmp_path / "out", "me/theirs", licence="cc-by-4.0")
    stored, first = read_weights(tmp_path / "out"), read_weights(path)
    torch.testing.assert_close(stored.state, first.state, rtol=0, atol=0)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "license: cc-by-4.0\n" in card
    assert "# theirs\n" in card
    assert "- parameters: 62,939\n- backbone: IterativeBackbone\n" in card


@pytest.mark.parametrize("name", [name for name, one in NAMED.items() if one.url is None])
def test_model_cards_as_the_hub_reads_them(name, tmp_path):
    repocard = pytest.importorskip("huggingface_hub.repocard", reason=NOT_INSTALLED)
    write_repository(name, tmp_path / "out", "me/faces")
    card = repocard.ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.library_name == "facedet"
    assert card.data.pipeline_tag == "object-detection"
    assert (card.data.license, card.data.license_name) == ("other", "mit-trained-on-research-data")
    ours = NAMED[name].card()
    expected = [
        (f"{entry['pictures']}, protocol {entry['protocol']}", f"AP {subset}", value)
        for entry in ours.measured
        for subset, value in entry["ap"].items()
    ]
    results = card.data.eval_results
    assert expected
    assert [(one.dataset_name, one.metric_name, one.metric_value) for one in results] == expected
    assert f"# {name}\n" in card.text
    assert 'facedet.load("hf://me/faces")' in card.text
    assert "sha256:" not in card.content
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config == {"library_name": "facedet", "sha256": ours.sha256, "score": ours.score}
    assert "is known: MIT" in complaint(write_repository, name, tmp_path / "b", "", "mit")


def test_the_card_of_another_file(own, tmp_path):
    write_card(own.with_suffix(".md"), HEAD, "a" * 64)
    text = complaint(write_repository, own, tmp_path / "out")
    assert f"{own.with_suffix('.md')}: is another file's card" in text
    assert not (tmp_path / "out").exists()


def test_without_the_extra(own, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for action in (facedet.load, locate, lambda name: push_to_hub(own, name)):
        text = complaint(action, "hf://me/faces")
        assert text.endswith("needs huggingface-hub: pip install 'facedet-lightning[hub]'")


@pytest.mark.slow  # a process of its own: the library reads its environment at import
def test_the_command_in_the_environment_of_a_user(hub, own, tmp_path):
    paths = {"HF_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = os.environ | paths | {"HF_ENDPOINT": hub.url}
    command = [sys.executable, "-m", "facedet.cli", "weights"]

    def run(*words):
        return subprocess.run(
            [*command, *words], env=environment, capture_output=True, text=True, check=False
        )

    done = run("push", str(own), f"hf://{REPO}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{hub.url}/{REPO}/commit/")
    done = run("verify", f"hf://{REPO}", "hf://me/unknown")
    assert f"hf://{REPO}: sound: 56,038 parameters" in done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("facedet weights: hf://me/unknown: no such repository")
