"""Tables in Markdown."""

from facedet.tables import pipe_table


def test_as_it_is():
    assert pipe_table(["a", "long"], [["1|2", "x"]]) == [
        "| a | long |",
        "| --- | --- |",
        "| 1\\|2 | x |",
    ]


def test_padded():
    assert pipe_table(["name", "n"], [["a", "10"], ["bcdef", "2"]], [False, True]) == [
        "| name  |  n |",
        "|-------|---:|",
        "| a     | 10 |",
        "| bcdef |  2 |",
    ]


def test_an_empty_one():
    assert pipe_table(["a"], [], [True]) == ["| a |", "|--:|"]
