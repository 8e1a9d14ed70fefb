"""`facedet benchmark`: its output, and its complaints; `profiling` has the measurements."""

import pytest


def test_json_is_one_object(cli):
    words = ("--preset", "extd_ssd_32_relu", "--size", 64, "--runs", 1, "--json")
    result = cli("benchmark", "network", *words)
    assert (result.code, result.err) == (0, "")
    assert result.json["what"] == "network"
    assert result.json["machine"]["threads"] >= 1


def test_mining_adds_a_small_share_made_of_its_parts(cli):
    words = ("--preset", "extd_ssd_32_relu", "--size", 64, "--batch", 2, "--runs", 1, "--json")
    found = cli("benchmark", "mining", *words).json
    share = found["added_per_step_seconds"] / found["step_seconds"]
    assert found["share"] == pytest.approx(share)
    assert found["added_per_step_seconds"] > found["of_it_per_epoch_seconds"] * 2 / 25_760


@pytest.mark.slow
def test_memory_of_weights(cli, weights):
    result = cli("benchmark", "memory", "--weights", weights, "--megapixels", 0.01, "--json")
    assert result.code == 0
    assert 0 < result.json["loaded_gib"] <= result.json["peak_gib"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["network", "--runs", 0], 2, "--runs: 0 is not a whole number above 0"),
        (["network", "--size", -3], 2, "--size"),
        (["network", "--threads", 0], 2, "--threads"),
        (["training", "--batch", 0], 2, "--batch"),
        (["memory", "--megapixels", 0], 2, "--megapixels"),
        (["memory"], 2, "--weights FILE"),
        (["memory", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["network", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["network", "--image", "/nowhere.jpg"], 1, "/nowhere.jpg: no such file"),
        (["network", "--preset", "extd_fpn_65_relu"], 2, "the nearest is extd_fpn_64_relu"),
        (["pipeline", "--data", "/nowhere"], 1, "/nowhere"),
        (["banana"], 2, "banana"),
    ],
)
def test_complaints(cli, words, code, said):
    cli("benchmark", *words).check_error(code, said)
