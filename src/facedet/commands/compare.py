"""`facedet compare`: own results on a benchmark next to the published ones."""

import argparse
import sys
from pathlib import Path

from facedet.errors import UsageError
from facedet.option_types import count

HELP = """List own results next to published ones: a table, best in the last column first, and
their curves. Own results are output folders of `facedet score` and `facedet evaluate`; the
published ones are in the folder --curves, whose files say which benchmark it is:
  METHOD/wider_pr_info_*_SUBSET_val.mat  WIDER FACE: AP on easy, medium and hard faces
  METHODDiscROC.txt                      FDDB, the official tool's: rates at 2,000 and 1,000 false
                                         positives
  METHOD.txt                             AFW or Pascal Faces: lines of precision and recall
Own results whose network is known also get parameters (M) and multiply-adds (G, every use counted,
640 x 640 px).
Results that were not measured alike (protocol, scales, merging, pictures, rounding of the IoU) are
refused; published ones are of all pictures, and nothing is known of their scales."""
EXAMPLE = """examples:
  facedet compare --curves eval_tools/plot/baselines/val --run EXTD-64=outputs/extd64
  facedet compare --curves val --run A=outputs/a --run B=outputs/b --unlike --latency"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("--curves", type=Path, required=True, help="folder of published curves")
    text = "an output folder with curves.npz; may be given several times"
    add("--run", action="append", default=[], metavar="[NAME=]FOLDER", help=text)
    text = "published curves drawn, the best so many; default: 8"
    add("--best", type=count, default=8, help=text)
    add("--output", type=Path, help="folder for the table and the curves")
    add("--unlike", action="store_true", help="compare what was not measured alike, and say so")
    text = "time the own networks on this machine, 640 x 640 px"
    add("--latency", action="store_true", help=text)


def run(args: argparse.Namespace) -> int:
    """Compares, prints, and writes the files asked for."""
    from facedet.config import describe
    from facedet.evaluation import comparison
    from facedet.tables import pipe_table

    benchmark = comparison.find_published(args.curves)
    published = benchmark.read(args.curves)
    methods = [comparison.Method(name, curves) for name, curves in published.items()]
    methods += [comparison.read_run(benchmark, text, args.latency) for text in args.run]
    differing = comparison.find_differences(benchmark, methods)
    if differing and not args.unlike:
        raise UsageError(
            f"the results were not measured alike: {describe(differing)}; --unlike compares them "
            "all the same"
        )
    methods.sort(key=lambda method: -method.value)
    if args.output:
        comparison.save_comparison(args.output, benchmark, methods, args.best, differing)
    header, *rows = comparison.make_table(methods, differing, decimals=4)
    numbers = [False, *[True] * (len(header) - 2), False]
    print(*pipe_table(header, rows, numbers), sep="\n")
    if differing:
        print(f"facedet compare: not measured alike: {describe(differing)}", file=sys.stderr)
    return 0
