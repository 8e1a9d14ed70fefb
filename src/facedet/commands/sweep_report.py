"""`facedet sweep report`: what a sweep has found so far, as a table, as files and as a picture."""

import argparse

from facedet.commands.option_types import folder

HELP = """Rank the jobs of a sweep by their objective, joined over seeds, with the effect of each
setting and the best trade-offs of AP and cost. The jobs are only read, also while they run; the
files are report.md, report.csv and pareto.png."""
EXAMPLE = """examples:
  facedet sweep report outputs/sweeps/extd_grid
  facedet sweep report outputs/sweeps/extd_grid --latency --output report/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=folder, metavar="DIR", help="the sweep's folder")
    parser.add_argument(
        "--latency", action="store_true", help="also time each network on this machine"
    )
    parser.add_argument(
        "--wandb", action="store_true", help="also to W&B: the ranking and the drawing"
    )
    parser.add_argument("--output", type=folder, metavar="DIR", help="for the files (the sweep's)")


def run(args: argparse.Namespace) -> int:
    """Reads, prints, and writes the files."""
    from facedet.files import replacing
    from facedet.sweeps.rendering import draw_trade_offs, markdown, write_csv
    from facedet.sweeps.report import make_report, trade_offs

    report = make_report(args.folder, args.latency)
    output, fronts = args.output or args.folder, trade_offs(report)
    files = [output / "report.md", output / "report.csv"]
    if fronts:
        files.append(output / "pareto.png")
        draw_trade_offs(files[-1], report, fronts)
    write_csv(files[1], report)
    with replacing(files[0]) as aside:
        aside.write_text(markdown(report, fronts, output), encoding="utf-8")
    print(markdown(report, fronts, None))
    if args.wandb:
        from facedet.loggers.wandb import log_report

        log_report(output, f"report {args.folder.name}", files[1], files[-1] if fronts else None)
    print(f"files: {', '.join(map(str, files))}")
    return 0
