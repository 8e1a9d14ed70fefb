"""Calls of the command line, and what they are called with."""

import json
from typing import NamedTuple

import pytest

from facedet.cli import main
from reference.one_face import make_wider, save_one_face, save_picture


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    def check_error(self, code, *words):
        """The exit code, and one line on stderr that holds the words."""
        assert self.code == code, self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        for word in words:
            assert str(word) in lines[0], lines[0]


@pytest.fixture
def cli(capsys):
    """Runs `facedet WORDS` in this process."""

    def run(*words):
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse's way out
            code = stop.code
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A weights file whose detector finds one face in every picture."""
    return save_one_face(tmp_path_factory.mktemp("weights") / "one face.safetensors")


@pytest.fixture(scope="session")
def wider(tmp_path_factory):
    """A small data set in WIDER FACE's layout, with its lists."""
    root = make_wider(tmp_path_factory.mktemp("data") / "wider ü")
    return make_wider(root, "train", images=8)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Commands run in an empty folder: nothing may depend on the checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def photos(tmp_path):
    """A folder of two sound pictures of 64 x 48 px, with an odd name."""
    folder = tmp_path / "photos ü (1)"
    save_picture(folder / "a b.jpg")
    save_picture(folder / "sub" / "c.png", seed=1)
    return folder
