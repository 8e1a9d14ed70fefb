"""The rule and the table of hard image mining, by hand."""

import numpy as np
import pytest
import torch

from facedet.data.difficulty import DifficultyRule, DifficultyTable, fingerprint
from facedet.errors import FacedetError, UsageError
from facedet.structures import NO_POSITIVE, Record

NAN = float("nan")


def table(entries=5, **rule):
    return DifficultyTable(entries, DifficultyRule(**rule), "print")


def record(given, visits):
    """Records {entry: score}, or pairs where an entry comes several times."""
    pairs = list(visits.items()) if isinstance(visits, dict) else visits
    entries, scores = zip(*pairs, strict=True) if pairs else ((), ())
    return given.record(torch.tensor(entries, dtype=torch.long), torch.tensor(scores))


def counts_of(**given):
    """The counts of an epoch, those not given being 0."""
    names = ("visited", "easy", "no_positive", "became_easy", "became_hard")
    return dict.fromkeys(names, 0) | given


def test_nothing_is_easy_before_it_was_seen():
    given = table()
    assert len(given) == 5
    assert given.scores.isnan().all()
    assert given.easy.tolist() == [False] * 5
    assert given.histogram(4).tolist() == [0, 0, 0, 0]
    assert given.hardest(3) == []


def test_the_rule_by_hand():
    # Easy from 0.85 on, itself included.
    given = table()
    counts = record(given, {0: 0.85, 1: 0.8499, 2: 1.0, 3: 0.0})
    assert given.easy.tolist() == [True, False, True, False, False]
    assert counts == counts_of(visited=4, easy=2, became_easy=2)
    assert given.scores[4].isnan()


def test_an_image_without_a_positive_is_left_out_like_an_easy_one_but_counted_apart():
    given = table(6)
    record(given, {0: 0.9, 1: 0.9, 2: 0.1})
    counts = record(given, {0: NO_POSITIVE, 2: NO_POSITIVE, 3: NO_POSITIVE, 4: 0.95})
    assert given.easy.tolist() == [True, True, True, True, True, False]
    # Easy by a score are 1 and 4, and only 4 became so.
    assert counts == counts_of(visited=4, easy=2, no_positive=3, became_easy=1)
    assert given.histogram(2).tolist() == [0, 2]
    assert [entry for entry, _ in given.hardest(9)] == [1, 4]
    # A later crop that shows a face decides again.
    counts = record(given, {0: 0.1, 3: 0.9})
    assert counts == counts_of(visited=2, easy=3, no_positive=1, became_hard=1)


def test_refresh_goes_by_the_latest_visit():
    given = table()
    record(given, {0: 0.9, 1: 0.9, 2: 0.1})
    # 0 becomes hard, 2 easy; 1 was left out and keeps its flag and score.
    counts = record(given, {0: 0.5, 2: 0.95, 3: 0.2})
    assert given.easy.tolist() == [False, True, True, False, False]
    assert counts == counts_of(visited=3, easy=2, became_easy=1, became_hard=1)
    torch.testing.assert_close(
        given.scores, torch.tensor([0.5, 0.9, 0.95, 0.2, NAN]), equal_nan=True
    )


def test_sticky_never_takes_a_flag_back():
    given = table(rule="sticky")
    record(given, {0: 0.9, 1: 0.3})
    counts = record(given, {0: 0.1, 1: 0.9})
    assert given.easy.tolist() == [True, True, False, False, False]
    assert counts == counts_of(visited=2, easy=2, became_easy=1)
    assert given.scores[0] == pytest.approx(0.1)


def test_the_worst_of_several_visits_counts():
    given = table()
    counts = record(given, [(3, 0.9), (3, 0.2), (3, 0.99), (1, 0.9), (1, 0.86)])
    assert counts["visited"] == 2
    assert given.easy.tolist() == [False, True, False, False, False]
    assert given.scores[[1, 3]].tolist() == pytest.approx([0.86, 0.2])


def test_an_epoch_without_visits_changes_nothing():
    given = table()
    record(given, {0: 0.9})
    assert record(given, {}) == counts_of(easy=1)
    assert given.easy.tolist() == [True, False, False, False, False]


def test_histogram_and_hardest():
    given = table(6)
    record(given, {0: 0.95, 1: 0.1, 2: 0.5, 3: 1.0, 4: 0.0})
    # Quarters: [0, .25) has 0.0 and 0.1, [.5, .75) has 0.5, [.75, 1] has 0.95 and 1.0.
    assert given.histogram(4).tolist() == [2, 0, 1, 2]
    some = table()
    record(some, {0: 0.3, 1: 0.6})
    assert some.histogram(4).tolist() == [0, 1, 1, 0]
    assert [entry for entry, _ in given.hardest(3)] == [4, 1, 2]
    assert given.hardest(9)[-1] == (3, 1.0)
    assert len(given.hardest(9)) == 5


def test_the_state_is_plain_and_complete(tmp_path):
    given = table(rule="sticky")
    record(given, {0: 0.9, 1: 0.1})
    record(given, {0: 0.2})
    torch.save(given.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = table(rule="sticky")
    again.load_state_dict(state)
    assert torch.equal(again.easy, given.easy)
    assert torch.equal(again.scores.nan_to_num(), given.scores.nan_to_num())
    assert again.counts == given.counts
    # The state is a copy: what follows does not change it.
    record(again, {2: 1.0})
    assert state["easy"].tolist() == [True, False, False, False, False]


def test_another_threshold_judges_the_stored_scores():
    given = table()
    record(given, {0: 0.9, 1: 0.6, 2: 0.1})
    strict = table(threshold=0.95)
    strict.load_state_dict(given.state_dict())
    assert strict.easy.tolist() == [False] * 5
    loose = table(threshold=0.5)
    loose.load_state_dict(given.state_dict())
    assert loose.easy.tolist() == [True, True, False, False, False]


def test_a_state_of_other_data_is_refused():
    state = table(4).state_dict()
    with pytest.raises(FacedetError, match="of 4 other images than the 5 here"):
        table(5).load_state_dict(state)
    other = DifficultyTable(4, DifficultyRule(), "another print")
    with pytest.raises(FacedetError, match=r"data\.root"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("key", "value"),
    [("threshold", 1.5), ("threshold", -0.1), ("probability", 2), ("probability", float("nan"))],
)
def test_rules_out_of_range_are_named(key, value):
    with pytest.raises(UsageError, match=rf"mining\.{key}={value}"):
        DifficultyRule(**{key: value})


def test_an_unknown_rule_is_named():
    with pytest.raises(UsageError, match=r"mining\.rule=soft is none of refresh, sticky"):
        DifficultyRule(rule="soft")
    with pytest.raises(UsageError, match=r"mining\.table=own is none of shared, per_rank"):
        DifficultyRule(table="own")


def test_the_fingerprint_knows_what_the_entries_are():
    def entry(name, faces, folder="a"):
        boxes = np.zeros((faces, 4), np.float32)
        return Record(name, f"{folder}/{name}.jpg", boxes, np.zeros(faces, bool), {})

    records = [entry("x", 2), entry("y", 0)]
    same = fingerprint(records, False)
    assert same == fingerprint([entry("x", 2, "b"), entry("y", 0, "b")], False)
    assert len(same) == 64
    others = [
        fingerprint(records, True),
        fingerprint(records[::-1], False),
        fingerprint(records[:1], False),
        fingerprint([entry("x", 1), entry("y", 0)], False),
        fingerprint([entry("x", 2), entry("z", 0)], False),
    ]
    assert len({same, *others}) == 6
