"""Tables in Markdown, and counts in words."""

from collections.abc import Sequence


def pipe_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], is_number: Sequence[bool] | None = None
) -> list[str]:
    """The lines of a table.

    A bar within a cell, which would end it, is escaped. Columns for which `is_number` says so are
    set flush right; the cells are then padded, so that the lines can be read as they are.
    """
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    rule = f"| {' | '.join(['---'] * len(header))} |"
    if is_number is not None:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        columns = list(zip(widths, is_number, strict=True))
        lines = [
            [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, (width, right) in zip(row, columns, strict=True)
            ]
            for row in lines
        ]
        dashes = ("-" * (width + 1) + (":" if right else "-") for width, right in columns)
        rule = f"|{'|'.join(dashes)}|"
    text = [f"| {' | '.join(row)} |" for row in lines]
    return [text[0], rule, *text[1:]]


def counted(number: int, noun: str) -> str:
    """A number of things in words.

    >>> counted(1, "face"), counted(0, "face")
    ('1 face', '0 faces')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
