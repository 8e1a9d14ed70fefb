"""Overrides: what is quoted and what is left alone."""

import pytest

from facedet.config import compose
from facedet.overrides import literal, quote


@pytest.mark.parametrize(
    "override",
    ["seed=3", "~logger", "callbacks=[progress]", "a.b='x y'", "+a={b: 1}", "seed=1,2", "seed=[1"],
)
def test_quote_leaves_alone_what_the_grammar_reads_or_what_is_no_path(override):
    assert quote(override) == override


@pytest.mark.parametrize("path", ["/a, b/c", "/a,b", "it's, so", "[a]", "{a: 1}", "~/a", "null"])
def test_a_literal_is_the_value_letter_by_letter(path):
    assert compose("evaluate", [literal("weights", path)]).weights == path
