"""Pages of the site that are made from the package: an MkDocs hook (`make docs`).

README, changelog and model cards are taken as they are; commands come from `--help`, the config
from conf/, the numbers of the model zoo from the cards and `facedet cost`.
"""

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


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for name, text in _pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Pipes within code need no backslash in Python-Markdown's tables, and would show it."""
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
    presets = {name: _preset_of(name) for name in NAMED}
    for name, one in NAMED.items():
        assert one.parameters == costs[presets[name]]["parameters"], f"{name}: not {presets[name]}"
    measured = {name: _measured(one) for name, one in NAMED.items()}
    protocols = list(dict.fromkeys(protocol for aps in measured.values() for protocol in aps))
    table = [
        ["weights", "preset", "parameters", "multiply-adds", "file"]
        + [f"AP easy / medium / hard, `{protocol}`" for protocol in protocols]
        + ["licence"],
        ["---", "---", "--:", "--:", "--:", *("---" for _ in protocols), "---"],
    ]
    for name, one in NAMED.items():
        size = one.size if one.url else one.path().stat().st_size
        shown = name if one.url else f"[{name}](#{name})"
        aps = [measured[name].get(protocol, "–") for protocol in protocols]
        numbers = [*_numbers(costs[presets[name]]), f"{size / 1e3:,.0f} kB"]
        table.append([shown, *numbers, *aps, one.licence])
    for preset, cost in costs.items():
        if preset not in presets.values():
            table.append(["–", *_numbers(cost), *("–" for _ in range(len(protocols) + 2))])
    cards = [card.text.split("---\n", 2)[2] for one in NAMED.values() if (card := one.card())]
    return "\n\n".join(
        [
            "---\nhide: [navigation, toc]\n---\n# Model zoo",
            "Below the table are the cards of the shipped weights. Those named `released` are the "
            "authors': `facedet weights fetch NAME`. A line without weights is a network that "
            "`facedet train preset=NAME` trains. An AP belongs to its protocol and its pictures. "
            f"Multiply-adds are those of a picture of {height} x {width} px, with every use of a "
            "convolution counted.",
            "\n".join(f"| {' | '.join(cells)} |" for cells in table),
            *(re.sub(r"^#", "##", card.strip(), flags=re.M) for card in cards),
        ]
    )


def _preset_of(name: str) -> str:
    """The preset of named weights; the released ones are the paper's FPN-like networks."""
    return re.sub(r"extd_released_(\d+)", r"extd_fpn_\1_prelu", name.replace("-", "_"))


def _numbers(cost: dict) -> list[str]:
    return [cost["preset"], f"{cost['parameters']:,}", f"{cost['madds'] / 1e9:.2f} G"]


def _measured(one: NamedWeights) -> dict[str, str]:
    """AP and pictures by protocol."""
    card = one.card()
    return {
        entry["protocol"]: " / ".join(f"{ap:.3f}".lstrip("0") for ap in entry["ap"].values())
        + f"<br>{entry['pictures']}"
        for entry in (card.measured if card else one.measured)
    }
