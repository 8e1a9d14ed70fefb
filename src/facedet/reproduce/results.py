"""Results of experiments on disk: each as soon as it is there, and all as one report."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facedet.files import replacing
from facedet.reproduce.experiments import (
    COMPUTED,
    LISTING,
    PAPER,
    RELEASE,
    Experiment,
    Outcome,
    from_plain,
    to_plain,
    verdict,
)
from facedet.tables import pipe_table

_HEAD = (
    "id", "experiment", "expected", "ours", "protocol", "images", "weights", "machine", "time",
    "verdict",
)  # fmt: skip
_SHOWN = 4  # values of an experiment in its row; all of them stand below
_PICTURES = (".png", ".jpg")
_BROKEN_OFF = "broken_off.json"


class Done(NamedTuple):
    """A finished run of an experiment."""

    outcome: Outcome
    machine: str
    date: str  # ISO
    seconds: float  # of all its starts
    inputs: dict[str, str]  # what it was run with


class Line(NamedTuple):
    """An experiment, and its run or why there is none."""

    experiment: Experiment
    done: Done | None
    why: str  # "" where it was run


def save_done(folder: Path, done: Done) -> None:
    """Writes a run's result into its folder."""
    content = {**done._asdict(), "outcome": to_plain(done.outcome)}
    with replacing(folder / "result.json") as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / _BROKEN_OFF).unlink(missing_ok=True)


def read_done(folder: Path, inputs: Mapping[str, str]) -> Done | None:
    """The result that `save_done` wrote, None where there is none, or one of other inputs."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        done = Done(**{**content, "outcome": from_plain(content["outcome"])})
    # Absent, cut short or of another version: it is run again.
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return done if done.inputs == dict(inputs) else None


def seconds_before(folder: Path, inputs: Mapping[str, str]) -> float:
    """The seconds that runs with these inputs took before they were broken off; 0.0: none was."""
    try:
        content = json.loads((folder / _BROKEN_OFF).read_text(encoding="utf-8"))
        return float(content["seconds"]) if content["inputs"] == dict(inputs) else 0.0
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0


def save_seconds(folder: Path, inputs: Mapping[str, str], seconds: float) -> None:
    """Keeps the time of a run that is broken off; the next one goes on from what it left."""
    with replacing(folder / _BROKEN_OFF) as aside:
        aside.write_text(json.dumps({"inputs": dict(inputs), "seconds": seconds}), encoding="utf-8")


def write_report(folder: Path, lines: Sequence[Line]) -> list[Path]:
    """Writes REPRODUCE.md and REPRODUCE.html into `folder`, which holds the experiments' own.

    Returns:
        The two files.
    """
    rows = [_row(line) for line in lines]
    paths = [folder / "REPRODUCE.md", folder / "REPRODUCE.html"]
    for path, text in zip(paths, (_markdown(rows, lines), _html(rows, lines)), strict=True):
        with replacing(path) as aside:
            aside.write_text(text, encoding="utf-8")
    return paths


def told(line: Line) -> str:
    """The verdict of a line."""
    return verdict(line.done.outcome) if line.done else f"not run: {line.why}"


def _row(line: Line) -> list[str]:
    experiment, done = line.experiment, line.done
    if done is None:
        return [experiment.id, experiment.title, experiment.claim, *["–"] * 6, told(line)]
    outcome = done.outcome
    results = sorted(outcome.results, key=lambda result: result.holds is not False)[:_SHOWN]
    hidden = len(outcome.results) - len(results)
    rest = f"; {hidden} more below" if hidden else ""
    expected = [f"{r.name}: {r.expected} ({r.source})" for r in results if r.expected is not None]
    ours = "; ".join(f"{result.name}: {result.ours}" for result in results)
    return [
        experiment.id,
        experiment.title,
        "; ".join(expected) + (rest if expected else "") or experiment.claim,
        ours + rest,
        outcome.protocol,
        "–" if outcome.images is None else f"{outcome.images:,}",
        outcome.weights or "–",
        done.machine,
        _duration(done.seconds),
        told(line),
    ]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _summary(lines: Sequence[Line]) -> str:
    words = [told(line).split(":")[0].split(" (")[0] for line in lines]
    counts = [f"{words.count(word)} {word}" for word in ("holds", "differs", "not run")]
    return f"{len(lines)} experiments: {', '.join(counts)}."


_EXPLAINED = (
    f"Expected values come from: {PAPER}, stated there; {RELEASE}, read from the authors' code; "
    f"{COMPUTED} from released curves or weights; {LISTING}, a public one of third parties. A "
    "number belongs to its protocol, images and weights; what is labelled a short training stands "
    "for nothing else."
)


def _markdown(rows: Sequence[Sequence[str]], lines: Sequence[Line]) -> str:
    text = ["# Reproduction", "", _summary(lines), "", _EXPLAINED, ""]
    text += pipe_table(_HEAD, rows)
    for line in lines:
        if line.done is None:
            continue
        text += ["", f"## {line.experiment.id}: {line.experiment.title}", ""]
        text += [f"{line.experiment.claim} Run on {line.done.date}: **{told(line)}**.", ""]
        text += pipe_table(*_details(line.done.outcome))
        for name in line.done.outcome.files:
            place = f"{line.experiment.id}/{name}"
            mark = "!" if name.endswith(_PICTURES) else ""
            text += ["", f"{mark}[{name}]({place})"]
    return "\n".join(text) + "\n"


def _details(outcome: Outcome) -> tuple[Sequence[str], list[list[str]]]:
    words = {True: "yes", False: "no", None: "–"}
    rows = [
        [
            result.name,
            result.expected or "–",
            result.source or "–",
            result.ours,
            words[result.holds],
        ]
        for result in outcome.results
    ]
    return ("what", "expected", "source", "ours", "holds"), rows


_STYLE = """body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; font-size: 13px } td, th { border: 1px solid #ccc;
padding: .3em .5em; text-align: left; vertical-align: top } .holds { background: #dff5df }
.differs { background: #fbdcdc } .not { background: #f3f3f3 } img { max-width: 48em }"""


def _html(rows: Sequence[Sequence[str]], lines: Sequence[Line]) -> str:
    body = [f"<h1>Reproduction</h1><p>{html.escape(_summary(lines))}</p>"]
    body += [f"<p>{html.escape(_EXPLAINED)}</p>", _html_table(_HEAD, rows)]
    for line in lines:
        if line.done is None:
            continue
        title = html.escape(f"{line.experiment.id}: {line.experiment.title}")
        claim = html.escape(f"{line.experiment.claim} Run on {line.done.date}: {told(line)}.")
        body += [f"<h2>{title}</h2><p>{claim}</p>", _html_table(*_details(line.done.outcome))]
        for name in line.done.outcome.files:
            place = html.escape(f"{line.experiment.id}/{name}")
            is_picture = name.endswith(_PICTURES)
            body.append(
                f'<p><img src="{place}" alt="{place}"></p>'
                if is_picture
                else f'<p><a href="{place}">{place}</a></p>'
            )
    head = f'<meta charset="utf-8"><title>Reproduction</title><style>{_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    text = [f"<table><tr>{cells}</tr>"]
    for row in rows:
        kind = row[-1].split(" ")[0].strip(":")
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        text.append(f'<tr class="{html.escape(kind)}">{cells}</tr>')
    return "".join([*text, "</table>"])


def machine_name(description: Mapping[str, Any]) -> str:
    """One line of `describe_machine`."""
    threads = f"{description['threads']} threads" if description["threads"] > 1 else "1 thread"
    return f"{description['gpu'] or description['cpu']}, {threads}, torch {description['torch']}"
