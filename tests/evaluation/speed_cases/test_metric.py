"""The metric is fast, and equal to its definition over whole frames."""

from evaluation.speed_cases.metric import time_metric


def test_cropping_to_the_object_saves_two_thirds_of_the_time_or_more():
    (result,) = time_metric(rounds=3)

    assert result.ratio >= 3
