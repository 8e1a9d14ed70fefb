"""`facedet data`: the embedded data, what a data set holds, and words that do not fit."""

import pytest
from own_roots import ROOTS, coco_root, csv_root

from facedet.commands.data import _FORMATS
from facedet.data.formats import FORMATS


def counts_of(result):
    return {line.split(maxsplit=1)[1]: line.split()[0] for line in result.out.splitlines()}


def test_counts(cli, wider):
    result = cli("data", "count", "--root", wider, "--format", "wider")
    assert (result.code, result.err) == (0, "")
    counts = counts_of(result)
    assert (counts["images"], counts["faces"], counts["missing images"]) == ("8", "8", "0")
    assert cli("data", "count", "--root", wider, "--split", "val").out.split()[0] == "4"


@pytest.mark.parametrize("form", ROOTS)
def test_counts_of_own_data(cli, tmp_path, form):
    root = ROOTS[form](tmp_path / "mine")
    result = cli("data", "count", root)
    assert result.code == 0
    assert result.err == (
        f"facedet data: {root}: read as {FORMATS[form].title}, for it holds {FORMATS[form].mark}; "
        "--format says otherwise\n"
    )
    counts = counts_of(result)
    assert (counts["images"], counts["faces"], counts["faceless images"]) == ("1", "1", "1")
    # Of a split to validate with nothing is left out.
    assert counts_of(cli("data", "count", root, "--split", "val"))["images"] == "1"
    cli("data", "count", root, "--format", form, "--split", "test").check_error(1, root, "test")


def test_counts_of_data_that_is_not_divided(cli, tmp_path):
    root = csv_root(tmp_path)
    (root / "val.csv").unlink()
    (root / "train.csv").rename(root / "labels.csv")
    (root / "images" / "train").rename(root / "images" / "all")
    assert counts_of(cli("data", "count", root))["images"] == "2"
    cli("data", "count", root, "--split", "val", "--format", "csv").check_error(1, "labels.csv")


def test_roots_that_are_none(cli, wider, tmp_path):
    cli("data", "count", "--root", tmp_path / "nowhere").check_error(1, tmp_path / "nowhere")
    cli("data", "crowds", "--root", wider).check_error(1, wider, "something else than crowds")
    (tmp_path / "taken").write_text("a file")
    cli("data", "crowds", "--root", tmp_path / "taken").check_error(1, tmp_path / "taken")
    cli("data", "count").check_error(2, "--root")
    cli("data", "banana", "--root", wider).check_error(2, "banana")


def test_words_that_do_not_fit(cli, tmp_path):
    cli("data", "count", "a", "b").check_error(2, "count takes ROOT (or --root ROOT), not a b")
    cli("data", "convert", "a", "--to", "coco").check_error(2, "takes SOURCE and TARGET, not a")
    cli("data", "check", "a", "--copy").check_error(2, "--copy belongs to convert")
    cli("data", "convert", "a", "b", "--json").check_error(2, "--json belongs to check")
    cli("data", "count", "a", "--to", "coco").check_error(2, "--to belongs to convert")
    cli("data", "check", "a", "--format", "tar").check_error(2, "tar")
    csv_root(coco_root(tmp_path / "two"))
    cli("data", "check", tmp_path / "two").check_error(2, "may be coco or csv")


def test_the_forms_of_the_command_line_are_those_of_the_library():
    assert tuple(FORMATS) == _FORMATS
