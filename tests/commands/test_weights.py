"""`facedet weights`: what is listed, fetched, verified and converted."""

import hashlib
from functools import reduce
from pathlib import Path
from shutil import copyfile

import pytest
import torch

import facedet
from facedet.files import file_sha256
from facedet.structures import CHECKPOINT_KEY
from facedet.weights import zoo as registry
from facedet.weights.store import build_net, read_weights, save_weights
from facedet.weights.zoo import NamedWeights
from reference.named_weights import released_bytes, write_card
from reference.one_face import one_face_weights, save_one_face
from reference.web_server import web_server

# EXTD-SSD-32 with ReLU, see test_convert.
PARAMETERS = 56_038
THEIR_AP = ({"protocol": "wider", "pictures": "3 of WIDER val", "ap": {"hard": 0.7}},)
MEASURED = """measured:
  - {protocol: wider_single, pictures: 243 of WIDER val, ap: {easy: 0.9, hard: 0.75}}
  - {protocol: wider, pictures: all of WIDER val, ap: {hard: 0.8}}
"""


@pytest.fixture(scope="module")
def server():
    with web_server() as running:
        yield running


@pytest.fixture(scope="module")
def released(build_detector):
    """A file in the layout of the release."""
    return released_bytes(build_detector("fpn", 32))


@pytest.fixture
def named(server, released, monkeypatch, tmp_path):
    """Two names: `ours`, shipped but not there yet, and `theirs`, which the server gives."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("FACEDET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "SHIPPED_DIR", tmp_path / "shipped")
    (tmp_path / "shipped").mkdir()
    server.asked.clear()
    url = server.serve("theirs.pth", released)
    digest = hashlib.sha256(released).hexdigest()
    ours = NamedWeights("ours", "extd_fpn_32_relu", PARAMETERS, "free", "our own")
    about = ("extd_fpn_32_prelu", 62_939, "MIT", "another's")
    theirs = NamedWeights("theirs", *about, url, digest, 302_000, THEIR_AP)
    monkeypatch.setattr(registry, "NAMED", {"ours": ours, "theirs": theirs})
    return registry.NAMED


@pytest.fixture
def shipped(named, weights):
    """The file of `ours`, with its card."""
    path = named["ours"].path()
    copyfile(weights, path)
    write_card(path.with_suffix(".md"), MEASURED)
    return path


@pytest.fixture
def cached(named, tmp_path):
    """Where the file of `theirs` is to lie."""
    return tmp_path / "cache" / "theirs.safetensors"


def lines(result):
    assert result.err == ""
    return result.out.splitlines()


def test_list_before_anything_is_there(cli, named):
    ours, theirs = (" ".join(line.split()) for line in lines(cli("weights", "list")))
    assert ours == "ours - missing 56,038 parameters our own"
    theirs, _, measured = theirs.partition("; ")
    assert theirs == "theirs 302 kB not fetched 62,939 parameters another's"
    assert measured == "AP hard 0.700 (wider, 3 of WIDER val)"


def test_list_says_what_was_measured(cli, named, shipped, cached):
    assert cli("weights", "fetch", "theirs").code == 0
    ours, theirs = lines(cli("weights", "list"))
    kilobytes = [f"{path.stat().st_size / 1e3:.0f}" for path in (shipped, cached)]
    assert ours.split()[:4] == ["ours", kilobytes[0], "kB", "shipped"]
    assert ours.endswith(
        "our own; AP easy 0.900 hard 0.750 (wider_single, 243 of WIDER val); "
        "AP hard 0.800 (wider, all of WIDER val)"
    )
    assert theirs.split()[:4] == ["theirs", kilobytes[1], "kB", "cached"]


def test_fetched_weights_are_theirs(cli, named, cached, build_detector, server):
    first = cli("weights", "fetch", "theirs")
    assert (first.code, first.out) == (0, f"theirs: {cached}\n")
    net, expected = build_net(read_weights("theirs"), "theirs"), build_detector("fpn", 32).eval()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        assert torch.equal(net(images).logits, expected(images).logits)
    assert facedet.load("theirs").info["origin_sha256"] == named["theirs"].sha256
    # The second time nothing is asked for, and no half file stays.
    assert cli("weights", "fetch", "all").out == first.out
    assert server.asked == ["/theirs.pth"]
    files = {path for path in cached.parent.glob("[!.]*") if path.is_file()}
    assert files == {cached.with_suffix(".pth"), cached}


def test_a_cache_of_its_own(cli, named, tmp_path):
    folder = tmp_path / "other ü"
    assert cli("weights", "fetch", "theirs", "--cache", folder).code == 0
    assert "cached" in lines(cli("weights", "list", "--cache", folder))[1]
    assert cli("weights", "verify", "theirs", "--cache", folder).code == 0
    cli("weights", "verify", "theirs").check_error(1, "is not fetched yet", "weights fetch theirs")


def test_a_file_put_there_by_hand(cli, named, cached, released):
    named["theirs"] = named["theirs"]._replace(url="http://127.0.0.1:9/theirs.pth")
    by_hand = cached.parent / "theirs.pth"
    words = ("cannot be fetched", f"put it at {by_hand}")
    cli("weights", "fetch", "theirs").check_error(1, named["theirs"].url, *words)
    cached.parent.mkdir(exist_ok=True)
    by_hand.write_bytes(released[:-1])
    cli("weights", "fetch", "theirs").check_error(1, by_hand, "remove it, and fetch again")
    assert list(cached.parent.glob("[!.]*")) == [by_hand]
    by_hand.write_bytes(released)
    assert cli("weights", "fetch", "theirs").code == 0


def test_what_is_shipped_is_not_fetched(cli, named):
    (line,) = lines(cli("weights", "fetch", "ours"))
    assert line == "ours: is shipped with facedet, nothing to fetch"


def test_a_damaged_file_in_the_cache_is_made_again(cli, named, cached, server):
    assert cli("weights", "fetch", "theirs").code == 0
    data = cached.read_bytes()
    cached.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    cli("weights", "verify", "theirs").check_error(1, cached, "is damaged")
    assert cli("weights", "fetch", "theirs").out == f"theirs: {cached}\n"
    assert cli("weights", "verify", "theirs").code == 0
    assert server.asked == ["/theirs.pth"]


def test_verify_without_words_looks_at_all_that_is_here(cli, named, shipped, weights):
    (line,) = lines(cli("weights", "verify"))
    digest = hashlib.sha256(shipped.read_bytes()).hexdigest()
    said = f"sound: 56,038 parameters, all finite, SHA-256 {digest} (made by hand)"
    assert line == f"ours: {said}"
    assert cli("weights", "fetch", "theirs").code == 0
    ours, theirs = lines(cli("weights", "verify"))
    assert ours == line
    assert theirs.startswith("theirs: sound: 62,939 parameters")
    assert lines(cli("weights", "verify", weights)) == [f"{weights}: {said}"]


def test_verify_goes_on_after_a_failure(cli, named, shipped, tmp_path):
    nowhere = tmp_path / "nowhere.pth"
    result = cli("weights", "verify", nowhere, "ours")
    result.check_error(1, nowhere, "no such weights file")
    assert result.out.startswith("ours: sound")
    shipped.unlink()
    cli("weights", "verify").check_error(1, "ours: is not part of this installation")


def test_weights_that_are_not_those_of_the_name(cli, named, shipped, cached, released):
    again = "install facedet again"
    write_card(shipped.with_suffix(".md"), sha256="a" * 64)
    cli("weights", "verify").check_error(1, shipped, "expected aaaa", again)
    shipped.with_suffix(".md").unlink()
    cli("weights", "verify").check_error(1, shipped, "expected that of its model card", again)
    cached.parent.mkdir()
    copyfile(shipped, cached)
    cli("weights", "verify", "theirs").check_error(1, cached, "SHA-256 is None", "weights fetch")
    # A file of one's own that has the name may be anything.
    Path("ours").write_bytes(released)
    assert "62,939 parameters" in cli("weights", "verify", "ours").out


def test_files_that_are_not_sound(cli, tmp_path):
    weights = one_face_weights()
    weights.state["head.levels.5.score.bias"][0] = float("nan")
    path = save_weights(tmp_path / "odd.safetensors", weights)
    cli("weights", "verify", path).check_error(1, path, "not finite")
    weights = one_face_weights()
    weights.config["box_coder"] = {}
    save_weights(path, weights)
    cli("weights", "verify", path).check_error(1, path, "does not say what to build")


def test_cards(cli, named, shipped):
    card = shipped.with_suffix(".md")
    assert cli("weights", "card", "ours").out == card.read_text(encoding="utf-8")
    theirs = cli("weights", "card", "theirs").out
    for part in ("62,939", named["theirs"].url, named["theirs"].sha256, "MIT", "1906.06579"):
        assert part in theirs
    card.unlink()
    cli("weights", "card", "ours").check_error(1, "ours: has no model card")
    card.write_text("# no head")
    for action in (["list"], ["card", "ours"], ["verify"]):
        cli("weights", *action).check_error(1, card, "not a readable model card")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "action"),
        (["banana"], "banana"),
        (["list", "ours"], "list takes no further words, not ours"),
        (["fetch"], "fetch takes names, or all, not nothing"),
        (["fetch", "banana"], "banana: no such name: there are ours, theirs"),
        (["fetch", "all", "banana"], "all: no such name"),
        (["card", "our"], "our: no such name; the nearest is ours; there are ours, theirs"),
        (["card"], "card takes one name, not nothing"),
        (["card", "ours", "theirs"], "not ours theirs"),
        (["card", "banana"], "there are ours, theirs"),
        (["convert", "a.pth"], "convert takes SOURCE and TARGET, not a.pth"),
    ],
)
def test_complaints(cli, named, words, said):
    cli("weights", *words).check_error(2, said)


def checkpoint(path):
    stored = one_face_weights()
    config = {"model": {"net": stored.config["net"]}, "box_coder": stored.config["box_coder"]}
    state = {f"net.{key}": value for key, value in stored.state.items()}
    torch.save({"state_dict": state, "global_step": 7, CHECKPOINT_KEY: {"config": config}}, path)
    return path


def test_a_checkpoint_becomes_a_file_of_its_own(cli, tmp_path):
    source, target = checkpoint(tmp_path / "last.ckpt"), tmp_path / "new ü" / "a b.safetensors"
    result = cli("convert", source, target)  # as it was called before
    assert (result.code, result.err) == (0, "")
    # EXTD-SSD-32 without PReLU's 21 slopes: 56,059 - 21.
    assert f"{target}: 56,038 parameters" in result.out
    assert result.out.count("\n") == 1
    source.unlink()
    assert facedet.load(target).info["steps"] == 7


def test_an_existing_target_is_kept_unless_forced(cli, tmp_path):
    source, target = checkpoint(tmp_path / "last.ckpt"), tmp_path / "a.safetensors"
    target.write_text("precious")
    cli("weights", "convert", source, target).check_error(2, target, "--force")
    assert target.read_text() == "precious"
    assert cli("weights", "convert", source, target, "--force").code == 0
    assert read_weights(target).info["steps"] == 7


def test_nothing_is_written_where_the_source_is_wrong(cli, tmp_path):
    target = tmp_path / "a.safetensors"
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(checkpoint(tmp_path / "last.ckpt").read_bytes()[:5000])
    cli("weights", "convert", broken, target).check_error(1, broken, "not a readable PyTorch file")
    assert not target.exists()
    target.write_text("precious")

    cli("weights", "convert", broken, target, "--force").check_error(1, broken)
    assert target.read_text() == "precious"


def test_targets_that_cannot_be(cli, tmp_path):
    source = checkpoint(tmp_path / "last.ckpt")
    cli("weights", "convert", source, tmp_path / "a.pth").check_error(2, "must end in .safetensors")
    (tmp_path / "taken").write_text("a file")
    inside = tmp_path / "taken" / "a.safetensors"
    cli("weights", "convert", source, inside).check_error(1, inside, "cannot be written")
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    cli("weights", "convert", source, folder, "--force").check_error(1, folder, "cannot be written")


def test_the_mean_of_three(cli, tmp_path):
    files = []
    for number, bias in enumerate((1.0, 2.0, 6.0)):
        weights = one_face_weights()
        weights.state["head.levels.5.score.bias"][-1] = bias
        # Of no matter for what the network computes.
        weights.config["net"]["head"]["prior"] = bias / 10
        files.append(str(save_weights(tmp_path / f"{number}.safetensors", weights)))
    target = tmp_path / "new" / "mean.safetensors"
    result = cli("weights", "average", *files, str(target))
    digests = [file_sha256(Path(file))[:12] for file in files]
    assert f"56,038 parameters, 0.25 MB, mean of {', '.join(digests)}" in result.out
    mean, first = read_weights(target), read_weights(files[0])
    assert mean.state["head.levels.5.score.bias"][-1] == 3.0
    key = "backbone.stem.conv.weight"
    torch.testing.assert_close(mean.state[key], first.state[key])
    assert mean.state["backbone.stem.norm.num_batches_tracked"].dtype == torch.int64
    assert mean.config == first.config
    # As for a conversion.
    assert "exists already: add --force" in cli("weights", "average", *files, str(target)).err
    cli("weights", "average", "--force", *files[:2], str(target))
    assert read_weights(target).state["head.levels.5.score.bias"][-1] == 1.5
    # One given twice counts twice.
    twice = cli("weights", "average", "--force", files[0], files[0], str(target))
    assert twice.out.endswith(f"mean of {digests[0]}, {digests[0]}\n")


def test_no_mean_of_different_networks(cli, tmp_path):
    file, target = save_one_face(tmp_path / "one.safetensors"), tmp_path / "mean.safetensors"
    result = cli("weights", "average", str(file), "extd-fpn-32-prelu", str(target))
    assert "extd-fpn-32-prelu: these are weights of another network" in result.err
    assert not target.exists()
    few = cli("weights", "average", str(file), str(target)).err
    assert "average takes two SOURCES or more and TARGET, not" in few


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("net.backbone.activation", "leaky_relu", "backbone.activation relu ({0}) / leaky_relu"),
        ("net.mean", [0.0] * 3, "mean [123.0, 117.0, 104.0] ({0}) / [0.0, 0.0, 0.0]"),
        ("net.multiple", 8, "multiple null ({0}) / 8"),
        ("box_coder.size_variance", 0.1, "box_coder.size_variance 0.2 ({0}) / 0.1"),
    ],
)
def test_no_mean_of_equal_shapes_in_different_networks(cli, tmp_path, key, value, said):
    weights, files = one_face_weights(), [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    del weights.config["net"]["multiple"]  # an older file does not say it
    save_weights(files[0], weights)
    *parents, last = key.split(".")
    reduce(dict.__getitem__, parents, weights.config)[last] = value
    save_weights(files[1], weights)
    result = cli("weights", "average", *files, tmp_path / "mean.safetensors")
    said = f"weights of different networks: {said.format(files[0])} ({files[1]})"
    result.check_error(1, said)
    assert not (tmp_path / "mean.safetensors").exists()
