"""`facedet cost`; the counts themselves are in `profiling/test_cost.py`."""

import yaml
from omegaconf import OmegaConf

from facedet.config import CONF_DIR, compose, presets


def test_json_is_a_list_of_objects(cli):
    result = cli("cost", "extd_fpn_64_prelu", "extd_ssd_32_relu", "--size", 64, 128, "--json")
    assert (result.code, result.err) == (0, "")
    assert [row["preset"] for row in result.json] == ["extd_fpn_64_prelu", "extd_ssd_32_relu"]
    for row in result.json:
        assert set(row) == {"preset", "size", "parameters", "madds", "madds_paper"}
        assert row["size"] == [64, 128]
        assert 0 < row["madds_paper"] <= row["madds"]
    # EXTD-FPN-64 with PReLU: the paper's 0.16 M parameters.
    assert result.json[0]["parameters"] == 162_352


def test_table_has_a_line_per_preset(cli):
    lines = cli("cost", "extd_fpn_64_prelu", "smallhardface", "--size", 64, 64).out.splitlines()
    assert lines[0].split()[:2] == ["preset", "parameters"]
    assert lines[1].split()[:2] == ["extd_fpn_64_prelu", "162,352"]
    # 148.05 G at 640 x 640, a hundredth of it here; the paper does not count.
    assert lines[2].split() == ["smallhardface", "18,077,010", "1.4805", "-"]
    assert len(lines) == 4
    words = ("smallhardface", "--size", 64, 64, "--json")
    assert cli("cost", *words).json[0]["madds_paper"] is None


def test_complaints(cli):
    cli("cost", "extd_fpn_65_prelu").check_error(2, "the nearest is extd_fpn_64_prelu")
    cli("cost", "--size", 0, 64).check_error(2, "--size", "0 is not a whole number above 0")
    cli("cost", "--size", "a", 64).check_error(2, "--size", "a is not a whole number above 0")
    cli("cost", "--size", 64).check_error(2, "--size")


def test_a_network_is_that_of_a_training():
    """`conf/network.yaml` has the parts of `conf/train.yaml`, and every preset composes there."""
    parts, training = (
        yaml.safe_load((CONF_DIR / name).read_text())["defaults"]
        for name in ("network.yaml", "train.yaml")
    )
    assert [one for one in parts if one not in training] == []
    for name in presets():
        if name.endswith("relu") and name != "extd_ssd_48_relu":
            continue  # EXTD's cells are made alike
        config = compose("network", [f"preset={name}"])
        for node in (config.model.net, config.criterion, config.postprocess):
            assert OmegaConf.to_container(node, resolve=True)
