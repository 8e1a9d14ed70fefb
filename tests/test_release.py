"""What is released: the sdist, the wheel made of it, and README's first minute with the wheel."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from PIL import Image
from skimage import data as pictures

from facedet import __version__
from facedet.weights.zoo import SHIPPED_DIR

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
# Lines of the first minute that need a network, npm, a film, or somebody at a browser.
_ELSEWHERE = ("https://", ".mp4", "released", "--format web", "facedet app")

slow = pytest.mark.slow  # builds, installs, and starts the program four times


def build(kind, source, target):
    """Builds an `sdist` or a `wheel` of a folder; returns the file."""
    call = f"import sys; from hatchling.build import build_{kind}; build_{kind}(sys.argv[1])"
    command = [sys.executable, "-c", call, str(target)]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
    (file,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Made of what the sdist holds, which shows that it holds enough."""
    for package in ("hatchling", "hatch_fancy_pypi_readme"):
        if find_spec(package) is None:
            pytest.skip(f"{package}, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(build("sdist", ROOT, folder)) as packed:
        packed.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    return build("wheel", source, folder)


@slow
def test_the_wheel_holds_what_is_shipped(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        description = packed.read(metadata).decode()
    shipped = {f"facedet/shipped/{path.name}" for path in SHIPPED_DIR.glob("*")}
    assert len(shipped) > 4
    assert shipped <= names
    assert {"facedet/conf/paths/default.yaml", "facedet/sweeps/extd_grid.yaml"} <= names
    assert "facedet predict photo.jpg" in description
    # The index has neither the repository's pictures nor its files.
    assert not re.search(r"docs/\w+\.jpg|\]\((?!https?:)", description)


@slow
def test_the_first_minute_of_the_readme(wheel, tmp_path):
    """In an environment that has the wheel, and of the tests' own one nothing but dependencies."""
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    # The folder is searched, but its own .pth files, such as an editable install's, are not read.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    subprocess.run([*install, "--no-deps", wheel], check=True)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    Image.fromarray(pictures.astronaut()).save(folder / "photo.jpg")
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    clean |= {"HOME": str(folder), "PATH": f"{python.parent}{os.pathsep}{clean['PATH']}"}

    def run(*words):
        done = subprocess.run(
            words, cwd=folder, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    where = run(python, "-c", "import facedet; print(facedet.__file__)")
    assert Path(where.strip()).is_relative_to(environment)
    assert run("facedet", "--version").split() == ["facedet", __version__]
    commands, snippet = first_minute()
    said = "".join(run(*command) for command in commands)
    assert "photo.jpg: 1 face\n" in said
    predictions = [command for command in commands if command[1] == "predict"]
    assert len(list(folder.glob("outputs/predict/*/photo_faces.jpg"))) == len(predictions)
    assert (folder / "extd-plain-32-s8.onnx").is_file()
    assert run(python, "-c", snippet).startswith("1 tensor(")


def first_minute():
    """The commands that can run anywhere, and the lines of Python."""
    section = README.read_text(encoding="utf-8").partition("\n## First minute\n")[2]
    shell, snippet = re.findall(r"```(?:python)?\n(.*?)```", section.partition("\n## ")[0], re.S)
    lines = [line.partition("  #")[0] for line in shell.splitlines()]
    here = [line for line in lines if not any(word in line for word in _ELSEWHERE)]
    commands = [shlex.split(line) for line in here]
    assert ["facedet", "predict", "photo.jpg"] in commands
    assert len(commands) > 2
    return commands, snippet


def test_the_version_comes_from_one_place():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
