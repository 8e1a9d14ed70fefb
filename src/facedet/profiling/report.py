"""Measured times as text and as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedet.files import replace_json, replacing_table
from facedet.tables import pipe_table


def value_lines(values: Mapping[str, Any], indent: str = "") -> str:
    """Names and values, a line each; what a value holds itself is indented."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", value_lines(value, indent + "  ")]
        else:
            several = value if isinstance(value, list) else [value]
            shown = " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in several)
            lines.append(f"{indent}{key:26} {shown}")
    return "\n".join(lines)


def network_text(result: Mapping[str, Any]) -> str:
    """The values of `measure_network`."""
    text = "times in seconds; speedup: the plain network's time over the folded one's"
    return f"{value_lines(result)}\n{text}"


def sizes_text(result: Mapping[str, Any]) -> str:
    """The rows of `measure_sizes` with the digits that a timing has."""
    machine = result["machine"]
    header = ["network", "side px", "prepare ms", "network ms", "postprocess ms", "fps", "x first"]
    header += ["parameters", "multiply-adds G"]
    form = "{network}|{width}|{prepare_ms:.2f}|{network_ms:.1f}|{postprocess_ms:.2f}|{fps:.1f}"
    form += "|{ratio:.2f} ({ratio_low:.2f}–{ratio_high:.2f})|{parameters:,}|{giga:.3f}"
    rows = [form.format(**row, giga=row["madds"] / 1e9).split("|") for row in result["rows"]]
    return "\n".join(
        [
            f"{machine['cpu']}, threads: {machine['threads']}, torch {machine['torch']}; "
            f"pictures: {result['pictures']}, one at a time",
            *pipe_table(header, rows, [False] + [True] * (len(header) - 1)),
            "ms: medians; x first: the network's time over that of the first, timed in turn, and "
            "its 10th to 90th percentile; fps: of all three steps; random: without weights, so "
            "its faces and their postprocessing mean nothing",
        ]
    )


def save_rows(output: Path, result: Mapping[str, Any]) -> None:
    """Writes WHAT.json, and WHAT.csv with the machine in every row.

    `output` is their folder, or a path that ends with .json, for this file alone. WHAT is
    `result["what"]`; there is at least one of its "rows".
    """
    is_file = output.suffix == ".json"
    replace_json(output if is_file else output / f"{result['what']}.json", result)
    if is_file:
        return
    machine = {key: result["machine"][key] for key in ("cpu", "threads", "torch")}
    with replacing_table(output / f"{result['what']}.csv") as table:
        table.writerow([*result["rows"][0], *machine])
        table.writerows([*row.values(), *machine.values()] for row in result["rows"])
