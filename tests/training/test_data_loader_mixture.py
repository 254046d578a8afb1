from collections import Counter

import pytest

from sam2_hf.data.config import DataMixture, SourceConfig
from sam2_hf.training.data_loader import BLOCK, MOST_TRIES, MixSchedule, generator


def source(**values):
    return SourceConfig("pairs", **values)


def schedule(*sources, lengths=(10, 10, 10), seed=0, num_steps=0):
    mix = DataMixture(sources, 32, seed=seed, num_steps=num_steps)
    return MixSchedule(mix, lengths[: len(sources)])


def test_sources_come_as_often_as_their_weights_say():
    drawn = schedule(source(weight=1.0), source(weight=3.0), source(weight=0.0))

    counts = Counter(drawn.source(step) for step in range(4000))

    assert counts[0] == pytest.approx(1000, rel=0.1)
    assert counts[1] == pytest.approx(3000, rel=0.05)
    assert counts[2] == 0


def test_a_step_is_the_same_whichever_is_asked_first():
    sources = source(), source(weight=2.0)
    steps = [BLOCK * 2 + 5, 3, BLOCK - 1, BLOCK]

    asked, fresh = schedule(*sources), [schedule(*sources) for _ in steps]

    found = [(asked.source(step), asked.first_position(step)) for step in steps]
    alone = [
        (one.source(step), one.first_position(step)) for one, step in zip(fresh, steps, strict=True)
    ]
    assert found == alone


def test_positions_count_the_clips_that_were_taken():
    drawn = schedule(source(batch_size=4), source(batch_size=2))
    taken = [0, 0]

    for step in range(BLOCK - 20, BLOCK + 20):
        number = drawn.source(step)
        if taken[number]:
            assert drawn.first_position(step) == taken[number]
        taken[number] = drawn.first_position(step) + (4, 2)[number]


def test_a_source_waits_for_its_time():
    drawn = schedule(source(), source(weight=9.0, starts_at=0.5), num_steps=100)

    numbers = [drawn.source(step) for step in range(100)]

    assert set(numbers[:50]) == {0}
    assert numbers[50:].count(1) > 35


def test_no_item_comes_twice_in_an_epoch():
    drawn = schedule(source(), lengths=(7,))

    epochs = [[drawn.item(0, 7 * epoch + place) for place in range(7)] for epoch in range(3)]

    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_repeats_come_within_an_epoch():
    drawn = schedule(source(repeat=3), lengths=(4,))

    counts = Counter(drawn.item(0, place) for place in range(12))

    assert set(counts.values()) == {3}


def test_another_seed_gives_another_order():
    orders = [
        [schedule(source(), lengths=(50,), seed=seed).item(0, place) for place in range(50)]
        for seed in (0, 1)
    ]

    assert orders[0] != orders[1]


def test_spares_are_other_items_each_once():
    drawn = schedule(source(), lengths=(9,))

    spares = list(drawn.fallback_items(0, 4))

    assert sorted([drawn.item(0, 4), *spares]) == list(range(9))
    assert spares == list(schedule(source(), lengths=(9,)).fallback_items(0, 4))


def test_a_large_source_is_not_searched_to_its_end():
    assert len(list(schedule(source(), lengths=(100_000,)).fallback_items(0, 0))) == MOST_TRIES - 1


def test_chances_of_different_things_are_different():
    assert generator(0, 1, 2).random() != generator(0, 2, 1).random()
    assert generator(0, 1, 2).random() == generator(0, 1, 2).random()
