"""The documentation: its links, its numbers about weights, and the site."""

import importlib.util
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from facedet.weights.zoo import NAMED

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def anchors_of(page):
    """Anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"', text):
        target, _, anchor = "".join(link).partition("#")
        if target.startswith(("http:", "https:")):
            continue
        file = page.parent / target if target else page
        assert file.is_file(), f"{page.name}: {target} is missing"
        assert not anchor or anchor in anchors_of(file), (
            f"{page.name}: no heading {target}#{anchor}"
        )


def test_the_readme_has_the_registrys_numbers():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| weights | parameters"))
    table = {re.search(r"`(.+?)`", line)[1]: line for line in rows_of(lines[first + 2 :])}
    assert table
    for name, line in table.items():
        one = NAMED[name]
        size = "fetched" if one.url else f"{one.path().stat().st_size / 1e3:,.0f} kB"
        ap = " / ".join(aps_of(one))
        assert line.split("|")[2:5] == [f" {one.parameters:,} ", f" {size} ", f" {ap} "]


def test_the_readme_has_the_cards_numbers():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    row = r"^\| shipped `(.+?)`.*? \| `(\w+)` \| (.+?) \| (.+?) \| `"
    found = re.findall(row, text, flags=re.M)
    assert {name for name, *_ in found} == {one.name for one in NAMED.values() if not one.url}
    for name, protocol, pictures, numbers in found:
        assert numbers.split(" | ") == aps_of(NAMED[name], protocol, pictures), (name, protocol)


def rows_of(lines):
    return takewhile(lambda line: line.startswith("|"), lines)


def aps_of(one, protocol="wider_single", pictures="243 of WIDER val"):
    card = one.card()
    (entry,) = [
        entry
        for entry in (card.measured if card else one.measured)
        if (entry["protocol"], entry["pictures"]) == (protocol, pictures)
    ]
    return [f"{value:.3f}".lstrip("0") for value in entry["ap"].values()]


@pytest.mark.slow  # 20 s: imports the package and counts every preset
def test_the_site_builds_and_needs_no_network(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: make docs installs it")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {page.stem: page.read_text(encoding="utf-8") for page in tmp_path.glob("*.html")}
    fetched = (
        r'<(?:script|img|iframe)[^>]+src="?https?:'
        r'|<link[^>]+rel="?(?:stylesheet|preconnect)[^>]+https?:'
    )
    assert not [name for name, page in pages.items() if re.search(fetched, page)]
    for name in NAMED:
        assert name in pages["zoo"]
    assert 'class="sortable"' in pages["zoo"]
    assert (tmp_path / "sort.js").is_file()
    for notebook in ROOT.glob("notebooks/*.ipynb"):
        assert f"notebooks/{notebook.name}" in pages[notebook.stem[3:]]
    assert (tmp_path / "my_own_faces_1.jpg").is_file()
    assert "facedet sweep report" in pages["commands"]
    assert "criterion=sampled" in pages["config"]
    assert 'id="facedet.FaceDetector.detect"' in pages["api"]
