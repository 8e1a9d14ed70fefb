"""Named weights: the table, the way from a name to a file, and model cards."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from facedet.config import CONF_DIR
from facedet.weights import zoo as registry
from facedet.weights.store import build_net, read_weights
from facedet.weights.zoo import DEFAULT, NAMED, NamedWeights, cache_folder, locate, usual_score
from reference.named_weights import write_card
from reference.refused_weights import complaint

SHIPPED = [named for named in NAMED.values() if named.url is None]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_released_ones(build_detector):
    for name, named in NAMED.items():
        if named.url is not None:
            width = int(name[-2:])
            net = build_detector("fpn", width)
            assert named.parameters == sum(value.numel() for value in net.parameters())
            assert named.url.endswith(f"/weights/EXTD_{width}.pth")
            # All but the header are the values, 4 bytes each.
            assert 4 * named.parameters < named.size < 6 * named.parameters


def test_the_cache_is_that_of_the_config(cache, monkeypatch):
    paths = OmegaConf.load(CONF_DIR / "paths" / "default.yaml")
    assert str(cache_folder()) == paths.cache == str(cache)
    monkeypatch.delenv("FACEDET_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(cache_folder()) == paths.cache == "/home/somebody/.cache/facedet"


def test_a_name_means_its_file(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path / "shipped")
    for name, folder in ((DEFAULT, tmp_path / "shipped"), ("extd-released-32", cache)):
        folder.mkdir()
        path = folder / f"{name}.safetensors"
        assert str(path) in complaint(locate, name)
        path.touch()
        assert locate(name) == locate(Path(name)) == path
    other = tmp_path / "other"
    text = complaint(locate, "extd-released-32", other)
    assert f"facedet weights fetch extd-released-32 --cache {other}" in text


def test_a_file_of_that_name_comes_first_and_a_folder_does_not(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path)
    monkeypatch.chdir(tmp_path)
    shipped, own = tmp_path / f"{DEFAULT}.safetensors", tmp_path / DEFAULT
    shipped.touch()
    own.mkdir()
    assert locate(DEFAULT) == shipped
    own.rmdir()
    own.touch()
    assert locate(DEFAULT) == Path(DEFAULT)


def test_what_is_neither_a_file_nor_a_name(tmp_path):
    text = complaint(locate, "extd-fpn-65-prelu")
    assert all(name in text for name in NAMED)
    assert "no such name; the nearest is extd-fpn-64-prelu; there are" in text
    for path in ("a.pth", str(tmp_path / "extd-fpn-65-prelu")):
        assert complaint(locate, path) == f"{path}: no such weights file"
    assert "is a folder" in complaint(locate, tmp_path)


MEASURED = """measured:
  - {protocol: wider_single, pictures: 243 of WIDER val, ap: {easy: 0.9, hard: 0.75}}
"""


def test_a_card(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path)
    named = NamedWeights("a", "b", 3, "nobody's", "an a")
    assert named.card() is None
    path = write_card(tmp_path / "a.md", MEASURED, "a" * 64)
    ap = {"easy": 0.9, "hard": 0.75}
    measured = {"protocol": "wider_single", "pictures": "243 of WIDER val", "ap": ap}
    assert named.card() == ("a" * 64, 0.5, [measured], path.read_text(encoding="utf-8"))
    for content in (b"# a\n", b"", b"---\n- 3\n---\n", b"---\na: b: c\n---\n", b"\xff\xfe---"):
        path.write_bytes(content)
        text = complaint(named.card)
        assert f"{path}: not a readable model card" in text


def test_the_score_of_shipped_weights_is_that_of_their_card(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert usual_score(DEFAULT) == usual_score("extd-released-64") == usual_score("a.pth") == 0.5
    write_card(tmp_path / f"{DEFAULT}.md", "score: 0.75\n", "a" * 64)
    assert usual_score(DEFAULT) == usual_score(Path(DEFAULT)) == 0.75
    # A file of that name is somebody else's.
    (tmp_path / DEFAULT).touch()
    assert usual_score(DEFAULT) == 0.5


@pytest.mark.parametrize("named", SHIPPED, ids=lambda named: named.name)
def test_shipped_files_are_small_and_sound(named, cli):
    assert named.path().stat().st_size < 1_000_000
    assert cli("weights", "verify", named.name).code == 0
    weights = read_weights(named.name)
    parameters = build_net(weights, named.name).parameters()
    assert sum(value.numel() for value in parameters) == named.parameters
