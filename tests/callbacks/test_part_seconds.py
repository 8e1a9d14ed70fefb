from types import SimpleNamespace

from facedet.callbacks.part_seconds import PartSeconds


def test_parts_end_where_the_trainer_is():
    ended = []
    callback = PartSeconds(SimpleNamespace(end=ended.append))
    sanity, steps = SimpleNamespace(sanity_checking=True), SimpleNamespace(sanity_checking=False)
    callback.on_validation_start(sanity, None)
    callback.on_validation_end(sanity, None)
    callback.on_train_start(steps, None)
    callback.on_validation_start(steps, None)
    callback.on_validation_end(steps, None)
    callback.on_train_end(steps, None)
    # The steps after the last validation are training too.
    assert ended == ["build", "validation", "build", "training", "validation", "training"]
    callback.on_exception(steps, None, KeyboardInterrupt())
    assert ended[-1] == "training"
