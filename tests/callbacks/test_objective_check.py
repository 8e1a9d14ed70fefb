from types import SimpleNamespace

import pytest

from facedet.callbacks.objective_check import ObjectiveCheck
from facedet.errors import UsageError


def check(known, sanity_checking=False):
    trainer = SimpleNamespace(callback_metrics=known, sanity_checking=sanity_checking)
    ObjectiveCheck("a/b").on_validation_end(trainer, None)


def test_what_is_logged_and_what_is_not():
    check({"a/b": 0.5, "c": 1})
    check({"c": 1}, sanity_checking=True)
    with pytest.raises(
        UsageError, match="^objective=a/b: no such number is logged; there are c, d$"
    ):
        check({"d": 1, "c": 1})
    with pytest.raises(UsageError, match="there is none at all"):
        check({})
