"""Tables in Markdown."""

from collections.abc import Sequence


def pipe_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], is_number: Sequence[bool] | None = None
) -> list[str]:
    """The lines of a table.

    A bar within a cell, which would end it, is escaped.

    Args:
        header: of the columns.
        rows: a text per column each.
        is_number: by column, whether it is set flush right; the cells are then padded, so that
            the lines can be read as they are. None: nothing is padded.
    """
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    if is_number is None:
        rule = " | ".join(["---"] * len(header))
        lines_of_text = [" | ".join(row) for row in lines]
        return [f"| {line} |" for line in (lines_of_text[0], rule, *lines_of_text[1:])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        " | ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        )
        for row in lines
    ]
    dashes = [
        "-" * (width + 1) + (":" if right else "-")
        for width, right in zip(widths, is_number, strict=True)
    ]
    return [f"| {padded[0]} |", f"|{'|'.join(dashes)}|", *(f"| {line} |" for line in padded[1:])]
