"""`facedet data convert`: a data set in another form."""

import argparse

from facedet.errors import UsageError


def run_convert(args: argparse.Namespace) -> int:
    """Converts, and says what was written and what was lost."""
    from facedet.commands.data import choose_form
    from facedet.data.converting import convert
    from facedet.data.readers.formats import FORMATS

    if args.to is None:
        raise UsageError(f"convert wants --to, one of {', '.join(FORMATS)}")
    source, target = args.folders
    form, splits = choose_form(source, args.format)
    done = convert(
        source,
        target,
        form,
        args.to,
        splits,
        classes=args.classes,
        images=args.images,
        copy=args.copy,
    )
    for split, pictures in done.pictures.items():
        print(f"{split:<6}{pictures:>9,} pictures{done.boxes[split]:>11,} boxes")
    for reason, number in done.left_out.items():
        print(f"left out: {number:,} {reason}")
    for note in done.notes:
        print(f"note: {note}")
    print(f"{target}: {FORMATS[args.to].title}")
    return 0
