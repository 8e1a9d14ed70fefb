"""`facedet data`: what a data set holds."""


def test_counts(cli, wider):
    result = cli("data", "count", "--root", wider)
    assert (result.code, result.err) == (0, "")
    counts = {line.split(maxsplit=1)[1]: line.split()[0] for line in result.out.splitlines()}
    assert (counts["images"], counts["faces"], counts["missing images"]) == ("8", "8", "0")
    assert cli("data", "count", "--root", wider, "--split", "val").out.split()[0] == "4"


def test_roots_that_are_none(cli, wider, tmp_path):
    cli("data", "count", "--root", tmp_path / "nowhere").check_error(1, tmp_path / "nowhere")
    cli("data", "crowds", "--root", wider).check_error(1, wider, "something else than crowds")
    (tmp_path / "taken").write_text("a file")
    cli("data", "crowds", "--root", tmp_path / "taken").check_error(1, tmp_path / "taken")
    cli("data", "count").check_error(2, "--root")
    cli("data", "banana", "--root", wider).check_error(2, "banana")
