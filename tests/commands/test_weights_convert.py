"""`facedet weights convert`: to a file that stands alone, or to nothing."""

import torch

import facedet
from facedet.structures import CHECKPOINT_KEY
from facedet.weights.store import read_weights
from reference.one_face import one_face_weights


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
    text = tmp_path / "text.pth"
    text.write_text("hello")
    for source, words in ((tmp_path / "nowhere.pth", "no such"), (tmp_path, "folder"), (text, "")):
        cli("weights", "convert", source, target).check_error(1, source, words)
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(checkpoint(tmp_path / "last.ckpt").read_bytes()[:5000])
    cli("weights", "convert", broken, target).check_error(1, broken, "not a readable PyTorch file")
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


def test_a_file_is_converted_onto_itself(cli, tmp_path):
    target = tmp_path / "a.safetensors"
    assert cli("weights", "convert", checkpoint(tmp_path / "last.ckpt"), target).code == 0
    before = read_weights(target)
    assert cli("weights", "convert", target, target, "--force").code == 0
    assert read_weights(target).config == before.config
