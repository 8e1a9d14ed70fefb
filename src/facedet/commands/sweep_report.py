"""`facedet sweep report`: what a sweep has found so far, as a table, as files and as a picture."""

import argparse

from facedet.option_types import folder

HELP = """Rank the jobs of a sweep by their objective, joined over seeds, with the effect of each
setting and the best trade-offs of AP and cost. The jobs are only read, also while they run; the
files are report.md, report.csv and pareto.png."""
EXAMPLE = """examples:
  facedet sweep report outputs/sweeps/extd_grid
  facedet sweep report outputs/sweeps/extd_grid --latency --output report/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("folder", type=folder, metavar="DIR", help="the sweep's folder")
    add("--latency", action="store_true", help="also time each network on this machine")
    add("--wandb", action="store_true", help="also to W&B: the ranking and the drawing")
    add("--output", type=folder, metavar="DIR", help="for the files (the sweep's)")


def run(args: argparse.Namespace) -> int:
    """Reads, prints, and writes the files."""
    from facedet.sweeps.report import make_report, markdown, write_report

    report = make_report(args.folder, args.latency)
    output = args.output or args.folder
    paths = write_report(output, report)
    print(markdown(report))
    if args.wandb:
        from facedet.loggers.wandb import log_report

        drawing = paths[2] if len(paths) == 3 else None
        log_report(output, f"report {args.folder.name}", paths[1], drawing)
    print(f"files: {', '.join(map(str, paths))}")
    return 0
