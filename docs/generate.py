"""Pages of the site that are made from the package: an MkDocs hook (`make docs`).

README, changelog, notebooks and model cards are taken as they are; commands come from `--help`, the
config from conf/, the numbers of the model zoo from the cards, `facedet cost` and docs/measured/.
"""

import base64
import contextlib
import functools
import importlib
import io
import json
import os
import re
from pathlib import Path

from hydra.core.config_store import ConfigStore
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from facedet import cli
from facedet.config import CONF_DIR
from facedet.weights.zoo import NAMED, NamedWeights

ROOT = Path(__file__).resolve().parents[1]
# From this heading on, the README belongs to the guide.
GUIDE = "\n## Train\n"
# What `make measure-zoo` has written, on a quiet machine.
MEASURED = ROOT / "docs" / "measured"
SUBSETS = ("easy", "medium", "hard")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages: dict[str, str | bytes] = {**_pages()}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages |= _notebook(path)
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links to notebooks lead to their pages; pipes in code show no backslash.

    Python-Markdown's tables need none there, GitHub's do.
    """
    markdown = re.sub(r"\]\((?:\.\./)?notebooks/\d+_(\w+)\.ipynb", r"](\1.md", markdown)
    return re.sub(r"`[^`\n]*`", lambda code: code[0].replace(r"\|", "|"), markdown)


def _pages() -> dict[str, str]:
    start, _, guide = _linked("README.md").partition(GUIDE)
    return {
        "index.md": start,
        "guide.md": f"# Guide\n{GUIDE}{guide}",
        "changelog.md": _linked("CHANGELOG.md"),
        "contributing.md": _linked("CONTRIBUTING.md"),
        "CITATION.cff": (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
        "commands.md": _commands(),
        "config.md": _config(),
        "zoo.md": _zoo(),
    }


def _notebook(path: Path) -> dict[str, str | bytes]:
    """A notebook as a page, its cells with what they gave, and the pictures of that."""
    name = path.stem[3:]  # without its number
    parts: list[str] = []
    files: dict[str, str | bytes] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../docs/", "]("))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/jpeg" in data:
                picture = f"{name}_{len(files)}.jpg"
                files[picture] = base64.b64decode(data["image/jpeg"])
                parts.append(f"![What the lines above draw]({picture})")
            elif text := "".join(output.get("text") or data.get("text/plain", "")):
                parts.append(f"```text\n{text.rstrip()}\n```")
    file = f"notebooks/{path.name}"
    parts.append(f"*This page is the notebook `{file}`, with the outputs of its last run.*")
    return {f"{name}.md": "\n\n".join(parts), **files}


def _linked(file: str) -> str:
    """A file of the repository's root, with links as they are from within docs/."""
    text = (ROOT / file).read_text(encoding="utf-8")
    text = re.sub(r'(\]\(|src=")docs/', r"\1", text)
    return re.sub(r"\]\((CHANGELOG|CONTRIBUTING)\.md", lambda link: link[0].lower(), text)


def _printed(*words: str) -> str:
    """What `facedet WORDS` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            code = cli.main(words)
        except SystemExit as end:  # argparse, after --help
            code = end.code
    assert code == 0, f"facedet {' '.join(words)}: exit code {code}"
    return out.getvalue()


@functools.cache  # docs-serve builds again and again
def _commands() -> str:
    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    page = ["# Commands", f"```text\n{_printed('--help')}```"]
    for name in cli.COMMANDS:
        further = getattr(importlib.import_module(f"facedet.commands.{name}"), "FURTHER", ())
        for words in [(name,), *((name, word) for word in further)]:
            page += [f"## facedet {' '.join(words)}", f"```text\n{_printed(*words, '--help')}```"]
    return "\n\n".join(page)


def _config() -> str:
    page = [
        "# Config reference",
        "`facedet train` and `facedet evaluate` are Hydra applications: `GROUP=OPTION` chooses a "
        "part, `GROUP.KEY=VALUE` sets a key. These are the files; `--show` prints what they make.",
    ]
    for name in ("train", "evaluate"):
        page += [f"## facedet {name}", _yaml(CONF_DIR / f"{name}.yaml")]
    for folder in sorted({file.parent for file in CONF_DIR.glob("*/**/*.yaml")}):
        group = folder.relative_to(CONF_DIR).as_posix()
        files = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
        store = ConfigStore.instance().repo.get(group, {})
        made = sorted({Path(name).stem for name in store} - {*files, "schema"})
        page += [f"## {group}", "Options: " + ", ".join(f"`{name}`" for name in [*files, *made])]
        for name, file in files.items():
            page += [f"### {group}={name}", _yaml(file)]
    return "\n\n".join(page)


def _yaml(file: Path) -> str:
    return f"```yaml\n{file.read_text(encoding='utf-8').strip()}\n```"


@functools.cache
def _zoo() -> str:
    costs = {row["preset"]: row for row in json.loads(_printed("cost", "--json"))}
    height, width = next(iter(costs.values()))["size"]
    for name, one in NAMED.items():
        assert one.parameters == costs[one.preset]["parameters"], f"{name}: not {one.preset}"
    measured = {name: _measured(one) for name, one in NAMED.items()}
    protocols = list(dict.fromkeys(protocol for aps in measured.values() for protocol in aps))
    timings = [json.loads(file.read_text()) for file in sorted(MEASURED.glob("engines*.json"))]
    times = _times(timings)
    table = [
        ["weights", "preset", "parameters", "multiply-adds", "file", *times]
        + [f"`{protocol}` {subset}" for protocol in protocols for subset in SUBSETS]
        + ["pictures", "licence"]
    ]
    table.append([*["---"] * 2, *["--:"] * (len(table[0]) - 4), *["---"] * 2])
    for name, one in NAMED.items():
        size = one.size if one.url else one.path().stat().st_size
        own = [column.get(name, "–") for column in times.values()]
        found = [measured[name].get(protocol, {}) for protocol in protocols]
        own += [aps.get(subset, "–") for aps in found for subset in SUBSETS]
        pictures = dict.fromkeys(aps["pictures"] for aps in found if aps)
        table.append(
            [name if one.url else f"[{name}](#{name})", *_numbers(costs[one.preset])]
            + [f"{size / 1e3:,.0f} kB", *own, ", ".join(pictures) or "–", one.licence]
        )
    trained = {one.preset for one in NAMED.values()}
    for preset, cost in costs.items():
        if preset not in trained:
            cells = ["–", *_numbers(cost)]
            table.append(cells + ["–"] * (len(table[0]) - len(cells)))
    cards = [card.text.split("---\n", 2)[2] for one in NAMED.values() if (card := one.card())]
    return "\n\n".join(
        [
            "---\nhide: [navigation, toc]\n---\n# Model zoo",
            "A click on a heading sorts. Below the table are the cards of the shipped weights. "
            "Those named `released` are the authors': `facedet weights fetch NAME`. A line without "
            "weights is a network that `facedet train preset=NAME` trains. An AP belongs to its "
            "protocol and its pictures. Multiply-adds are those of a picture of "
            f"{height} x {width} px, with every use of a convolution counted. –: not measured.",
            *map(_about, timings),
            '<div class="sortable" markdown>',
            "\n".join(f"| {' | '.join(cells)} |" for cells in table),
            "</div>",
            *(re.sub(r"^#", "##", card.strip(), flags=re.M) for card in cards),
        ]
    )


def _numbers(cost: dict) -> list[str]:
    return [cost["preset"], f"{cost['parameters']:,}", f"{cost['madds'] / 1e9:.2f} G"]


def _measured(one: NamedWeights) -> dict[str, dict[str, str]]:
    """By protocol the AP of each subset, and "pictures"."""
    card = one.card()
    return {
        entry["protocol"]: {
            **{subset: f"{ap:.3f}".lstrip("0") for subset, ap in entry["ap"].items()},
            "pictures": entry["pictures"],
        }
        for entry in (card.measured if card else one.measured)
    }


def _times(timings: list[dict]) -> dict[str, dict[str, str]]:
    """Columns of milliseconds by heading, each by the name of the weights."""
    columns: dict[str, dict[str, str]] = {}
    for timing in timings:
        count = timing["machine"]["threads"]
        threads = f"{count} thread{'s' * (count > 1)}"
        for row in timing["rows"]:
            column = columns.setdefault(f"ms, {row['engine'].split()[0]}, {threads}", {})
            column[row["detector"]] = f"{row['whole_ms']:.1f}"
    return columns or {f"ms, {engine}": {} for engine in ("torch", "onnxruntime", "openvino")}


def _about(timing: dict) -> str:
    machine = timing["machine"]
    return (
        f"Milliseconds ({timing['pictures']}; the whole call, median) were measured on "
        f"{timing['date']}: {machine['cpu']}, threads: {machine['threads']}, torch "
        f"{machine['torch']}, by `{timing['command']}`."
    )
